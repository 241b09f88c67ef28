"""Problems of a configuration in the forms that other tools read: SARIF 2.1.0, and annotations of GitHub Actions.

Used by `rotator config validate -o sarif|github`. Takes problems as the JSON of `-o json`; adds no word of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
Item = Mapping[str, Any]


def sarif(items: Sequence[Item], meanings: Mapping[str, str], version: str) -> dict[str, Any]:
    """One run with one result a problem. `meanings`: of every code."""
    used = sorted({str(one["code"]) for one in items})
    rules = [
        {"id": code, "shortDescription": {"text": meanings[code]}, "helpUri": f"docs/runbook.md#{code.lower()}"}
        for code in used
    ]
    driver = {"name": "rotator", "version": version, "rules": rules}
    results = [_result(one, used.index(str(one["code"]))) for one in items]
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def github(items: Iterable[Item]) -> str:
    """One workflow command a problem; it becomes a remark at the line of a pull request."""
    return "".join(f"::{one['severity']} {_properties(one)}::{_data(_message(one))}\n" for one in items)


def _result(one: Item, rule: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": one["code"],
        "ruleIndex": rule,
        "level": one["severity"],
        "message": {"text": _message(one)},
    }
    if one["file"]:
        physical: dict[str, Any] = {"artifactLocation": {"uri": quote(_relative(str(one["file"])))}}
        if one["line"]:
            physical["region"] = {"startLine": one["line"], "startColumn": one["column"]}
        result["locations"] = [{"physicalLocation": physical}]
    return result


def _properties(one: Item) -> str:
    said = {"file": _relative(str(one["file"])), "line": one["line"], "col": one["column"], "title": one["code"]}
    return ",".join(f"{name}={_property(str(value))}" for name, value in said.items() if value)


def _message(one: Item) -> str:
    where = f"{one['where']}: " if one["where"] else ""
    meant = f" Did you mean {one['suggestion']}?" if one["suggestion"] else ""
    return f"{where}{one['message']}.{meant}"


def _relative(file: str) -> str:
    """As seen from here, where both tools look for the file."""
    path = Path(file).absolute()
    return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else path.as_posix()


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
