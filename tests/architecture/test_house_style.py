"""The house style, held by machine: sizes, names, banned calls, where a Secret is opened."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted([*ROOT.glob("rotator/**/*.py"), *ROOT.glob("plugins/**/*.py")])
TESTS = sorted(ROOT.glob("tests/**/*.py"))
BANNED_NAMES = {"utils", "helpers", "common", "base", "manager", "misc", "util", "helper"}
CLOCK_HOME = ROOT / "rotator/daemon/clock.py"
RANDOM_HOMES = {
    CLOCK_HOME,
    ROOT / "rotator/effects/generate.py",
    ROOT / "rotator/effects/fingerprint.py",
}
# Every file that opens a Secret, and why. A new one is a decision, not an accident.
REVEALS = {
    "rotator/effects/fingerprint.py": "keyed digest",
    "rotator/effects/stores": "the store's own wire",
    "rotator/effects/transport": "rendered at the last moment",
    "rotator/effects/notices_webhook.py": "the signature",
    "rotator/effects/notices_mail.py": "the login at the mail server",
    "rotator/effects/host": "the gateway's echo check and key files",
    "plugins/rotator_postgresql": "SCRAM and the driver",
    "plugins/rotator_aws_iam/sigv4": "the signature of a request",
    "plugins/rotator_exec": "the program's standard input",
    "plugins/rotator_file": "the file's content",
    "plugins/rotator_http/render": "JSON inside a form field; the id of a row in the path of the revoke that found it",
}


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def trees(paths: list[Path]) -> Iterator[tuple[Path, ast.Module]]:
    for path in paths:
        yield path, ast.parse(path.read_text())


def test_files_have_at_most_400_lines() -> None:
    assert [relative(p) for p in [*SOURCES, *TESTS] if p.read_text().count("\n") > 400] == []


def test_functions_have_at_most_60_lines() -> None:
    long = [
        f"{relative(path)}:{node.lineno} {node.name}"
        for path, tree in trees([*SOURCES, *TESTS])
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= 60
    ]
    assert long == []


def test_no_module_is_named_for_nothing() -> None:
    assert [relative(p) for p in [*SOURCES, *TESTS] if p.stem in BANNED_NAMES or p.parent.name in BANNED_NAMES] == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [relative(path) for path, tree in trees(SOURCES) if tree.body and not ast.get_docstring(tree)]
    assert silent == []


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize(
    "call", ["datetime.now", "datetime.utcnow", "time.time", "time.sleep", "time.monotonic", "uuid.uuid4", "uuid4"]
)
def test_time_and_ids_have_one_home(call: str) -> None:
    found = [
        f"{relative(path)}:{node.lineno}"
        for path, tree in trees(SOURCES)
        if path != CLOCK_HOME
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and dotted(node.func) == call
    ]
    assert found == []


def test_chance_has_few_homes() -> None:
    found = [
        relative(path)
        for path, tree in trees(SOURCES)
        if path not in RANDOM_HOMES and "rotator_postgresql" not in path.parts
        for node in ast.walk(tree)
        if isinstance(node, ast.Import) and any(name.name in {"random", "secrets"} for name in node.names)
    ]
    assert found == []


def test_a_secret_is_opened_only_where_it_is_listed() -> None:
    sites = {
        relative(path)
        for path, tree in trees(SOURCES)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "reveal"
    }
    assert [site for site in sites if not any(site.startswith(home) for home in REVEALS)] == []


def names_bound(node: ast.Assign | ast.AnnAssign | ast.NamedExpr) -> bool:
    """Whether a local name is bound: tracebacks print those. hvac wants its token as an attribute of the client."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return any(isinstance(one, ast.Name) for one in targets)


def test_an_opened_secret_is_never_bound_to_a_name() -> None:
    bound = [
        f"{relative(path)}:{node.lineno}"
        for path, tree in trees(SOURCES)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr)
        and names_bound(node)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute)
        and node.value.func.attr == "reveal"
    ]
    assert bound == []


def test_the_lab_imports_no_room_of_ours() -> None:
    found = [
        f"{relative(path)}: {name}"
        for path, tree in trees(sorted(ROOT.glob("tests/lab/**/*.py")))
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if name.split(".")[0] == "rotator" or name.startswith("rotator_")
    ]
    assert found == []
