"""Every code that the product can show a person, found in the code itself.

Read by `runbook` and by the tests that hold the runbook complete. Where the product keeps a catalogue, the catalogue is
asked; else the source is read: what is handed to an error, a reason or a refusal as a literal text.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from rotator_http import load_pack, shipped

from rotator.effects.stores.reasons import REASONS as STORE_REASONS
from rotator.effects.stores.vault_errors import ROWS
from rotator.ledger.failures import CODES as LEDGER_CODES
from rotator.machine import reasons as machine
from rotator.plugin_api.errors import RESERVED
from rotator.settings.problems import CODES as CONFIGURATION_CODES

ROOT = Path(__file__).parents[2]
PLUGINS = ("rotator_aws_iam", "rotator_exec", "rotator_file", "rotator_postgresql")
STRING_CODE = re.compile(r"(?:ROT|CFG)-[A-Z]+(?:-[A-Z]+)*")
SLUG = re.compile(r"[a-z]+(?:_[a-z0-9]+)*")
ERRORS = frozenset({"Misconfigured", "Refused", "Failed", "OutcomeUnknown", "Inconclusive", "Rejected", "PluginBug"})
REASON_KEYS = frozenset({"reason", "refused"})


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _texts(node: ast.AST) -> Iterator[str]:
    """Every literal slug below a node, but not inside another call or comparison."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and SLUG.fullmatch(node.value):
        yield node.value
    if isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)
    if isinstance(node, ast.BoolOp):
        for one in node.values:
            yield from _texts(one)


def string_codes() -> frozenset[str]:
    """`ROT-…` and `CFG-…` as they stand in the source; those made of a reason are in `reasons`."""
    found = set(CONFIGURATION_CODES)
    for path in _files("rotator", "plugins"):
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and STRING_CODE.fullmatch(node.value):
                found.add(node.value)
    return frozenset(found)


def declared() -> dict[str, dict[str, str]]:
    """The reasons that each plugin and each shipped pack declares, by its name."""
    found = {name.removeprefix("rotator_"): dict(importlib.import_module(name).REASONS) for name in PLUGINS}
    for pack in shipped():
        found[f"http, pack {pack}"] = dict(load_pack(pack).reasons)
    return found


def _calls(path: Path) -> Iterator[str]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Call):
            if _name(node) in ERRORS and node.args:
                yield from _texts(node.args[0])
            if _name(node) == "_outcome" and len(node.args) > 2:
                yield from _texts(node.args[2])
            if _name(node) == "Outcome" and len(node.args) > 3:
                yield from _texts(node.args[3])
            for keyword in node.keywords:
                if keyword.arg in REASON_KEYS:
                    yield from _texts(keyword.value)
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple) and path.stem == "perform":
            yield from _texts(node.value.elts[-1])  # (answer, reason)
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value in REASON_KEYS:
                    yield from _texts(value)


def raised() -> frozenset[str]:
    """Reasons that the daemon itself gives to a step, a request or its start, beside the catalogues'."""
    found = {text for path in _files("rotator/effects", "rotator/daemon", "rotator/engine") for text in _calls(path)}
    found |= {row.reason for row in ROWS if row.reason}
    return frozenset(found - set(RESERVED) - set(STORE_REASONS))


def ledger_codes() -> frozenset[str]:
    """The slugs of LedgerError, also of those that derive from it."""
    found = set(LEDGER_CODES)
    for path in _files("rotator/ledger", "rotator/engine"):
        for node in ast.walk(_tree(path)):
            if not isinstance(node, ast.Call):
                continue
            in_super = isinstance(node.func, ast.Attribute) and node.func.attr == "__init__" and path.stem == "ports"
            if (_name(node) == "LedgerError" or in_super) and node.args:
                found |= set(_texts(node.args[0]))
    return frozenset(found)


def schedule_codes() -> frozenset[str]:
    """Why a credential has the next time that it has, and what an open run waits for: the engine's, beside `due`'s."""
    found: set[str] = set()
    for path in _files("rotator/engine"):
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.Call) and _name(node) in {"Due", "release", "set_due"}:
                for one in node.args:
                    found |= set(_deep_texts(one))
    return frozenset(found - set(machine.DUE))


def _deep_texts(node: ast.AST) -> Iterator[str]:
    yield from _texts(node)
    for child in node.elts if isinstance(node, ast.Tuple | ast.List) else ():
        yield from _deep_texts(child)


def readiness_codes() -> frozenset[str]:
    """What `/livez` and `/readyz` answer when they are not well."""
    text = (ROOT / "rotator/daemon/health.py").read_text() + (ROOT / "rotator/engine/enquiries.py").read_text()
    return frozenset(re.findall(r'"((?:no|not|ticker)_[a-z]+)(?:\\n)?"', text)) & {
        "no_installation",
        "not_ready",
        "ticker_dead",
    }
