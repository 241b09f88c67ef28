"""The log pipeline: only what the catalogue knows passes, and nothing of a value, whoever logs it and however."""

from __future__ import annotations

import ast
import io
import json
import logging
import secrets
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from rotator.daemon import catalogue
from rotator.daemon.clock import SystemClock
from rotator.daemon.logs import LIBRARIES, LogRefused, configure_logs, unconfigure_logs
from rotator.plugin_api import Secret

ROOT = Path(__file__).resolve().parents[2]
METHODS = {"debug", "info", "warning", "error", "critical", "exception", "log"}


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    yield io.StringIO()
    unconfigure_logs()
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture
def canary() -> str:
    return "canary-" + "".join(secrets.choice(string.ascii_letters) for _ in range(24))


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def log_calls() -> Iterator[tuple[str, str | None, set[str]]]:
    """Every call of a module's logger in the source: where, the event's name, the fields."""
    for path in sorted([*ROOT.glob("rotator/**/*.py"), *ROOT.glob("plugins/**/*.py")]):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS):
                continue
            owner = ast.unparse(node.func.value)
            if owner not in {"_LOG", "LOG", "log", "_log", "structlog.get_logger()", "self._log"}:
                continue
            names = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
            place = f"{path.relative_to(ROOT)}:{node.lineno}"
            yield place, names[0] if names else None, {one.arg for one in node.keywords if one.arg is not None}


def test_every_event_of_the_source_is_in_the_catalogue() -> None:
    assert [f"{place} {name}" for place, name, _ in log_calls() if name not in catalogue.EVENTS] == []


def test_every_field_of_the_source_is_in_the_catalogue() -> None:
    unknown = [
        f"{place} {name}: {sorted(extra)}"
        for place, name, fields in log_calls()
        if name in catalogue.EVENTS
        and (extra := fields - catalogue.EVENTS[name].fields - catalogue.CONTEXT - {"exc_info"})
    ]
    assert unknown == []


def test_every_event_of_the_catalogue_is_logged_somewhere() -> None:
    used = {name for _, name, _ in log_calls()}
    # This one the pipeline writes by itself, in the place of another.
    assert set(catalogue.EVENTS) - used == {"daemon.log.refused"}


def test_every_event_has_a_meaning_of_its_own() -> None:
    meanings = [one.meaning for one in catalogue.EVENTS.values()]
    assert len(set(meanings)) == len(meanings)
    assert all(len(one.split()) >= 3 for one in meanings)


def test_nobody_logs_in_another_way() -> None:
    found = []
    for path in [*ROOT.glob("rotator/**/*.py"), *ROOT.glob("plugins/**/*.py")]:
        if path == ROOT / "rotator/daemon/logs.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            uses = isinstance(node, ast.Attribute) and ast.unparse(node).startswith("logging.")
            # Silencing a library for good is no logging.
            silences = uses and ast.unparse(node).endswith(").disabled")
            inside = uses and ast.unparse(node) == "logging.getLogger" and "disabled = True" in path.read_text()
            if uses and not silences and not inside:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno} {ast.unparse(node)}")
    assert found == []


def test_a_line_is_one_json_object_in_utc(stream: io.StringIO) -> None:
    configure_logs(SystemClock(), stream=stream)
    structlog.get_logger().info("engine.run.ended", run="r", credential="c", ending="succeeded")
    [line] = lines(stream)
    assert line["event"] == "engine.run.ended"
    assert line["level"] == "info"
    assert line["at"].endswith("Z")
    assert list(line)[:3] == ["at", "level", "event"]


def test_an_unknown_event_raises_in_tests(stream: io.StringIO) -> None:
    configure_logs(SystemClock(), strict=True, stream=stream)
    with pytest.raises(LogRefused):
        structlog.get_logger().info("something happened")
    with pytest.raises(LogRefused):
        structlog.get_logger().info("engine.run.ended", ending="x", surprise="y")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("strict", [True, False])
def test_nothing_but_scalars_of_known_fields_passes(strict: bool, canary: str, stream: io.StringIO) -> None:
    configure_logs(SystemClock(), level="debug", strict=strict, stream=stream)
    log = structlog.get_logger()
    said = [
        ("engine.run.ended", {"ending": {"value": canary}}),
        ("engine.run.ended", {"ending": [canary]}),
        ("engine.run.ended", {"ending": canary.encode()}),
        ("engine.run.ended", {"ending": Secret(canary)}),
        ("engine.run.ended", {"ending": "x" * 290 + canary}),
        ("engine.run.ended", {"value": canary}),
        ("engine.run.ended", {"exc_text": canary, "stack_info": canary}),
        (f"refused with {canary}", {}),
        (canary, {"ending": canary}),
    ]
    for event, fields in said:
        if strict:
            with pytest.raises(LogRefused) as refused:
                log.debug(event, **fields)
            assert canary not in str(refused.value)
        else:
            log.debug(event, **fields)
    assert canary not in stream.getvalue()
    assert len(lines(stream)) == (0 if strict else len(said))
    assert all(line["left_out"] or line["event"] == "daemon.log.refused" for line in lines(stream))


@pytest.mark.parametrize("console", [True, False])
def test_an_exception_shows_types_and_places_only(console: bool, canary: str, stream: io.StringIO) -> None:
    configure_logs(SystemClock(), console=console, stream=stream)

    def inner(value: str) -> None:
        kept_in_a_local = value
        raise ValueError(f"the server said {kept_in_a_local}")

    try:
        try:
            inner(canary)
        except ValueError as error:
            raise RuntimeError(canary) from error
    except RuntimeError:
        structlog.get_logger().exception("daemon.tick.failed")
    text = stream.getvalue()
    assert canary not in text
    assert "builtins.RuntimeError at" in text
    assert "builtins.ValueError at" in text
    assert " inner" in text


def test_a_library_s_debug_is_blocked_whatever_it_sets(canary: str, stream: io.StringIO) -> None:
    configure_logs(SystemClock(), level="debug", stream=stream)
    for name in LIBRARIES:
        logger = logging.getLogger(f"{name}.deep.inside")
        logger.setLevel(logging.DEBUG)
        logger.debug("sent %s", canary)
        logger.info("sent %s", canary)
    assert stream.getvalue() == ""


def test_a_library_s_warning_loses_its_text(canary: str, stream: io.StringIO) -> None:
    configure_logs(SystemClock(), stream=stream)
    for name in LIBRARIES:
        logger = logging.getLogger(name)
        logger.warning("broken by %s at %s", ValueError(canary), f"https://u:{canary}@host/?token={canary}")
        logger.error(f"put together with {canary}")
        try:
            raise ConnectionError(canary)
        except ConnectionError:
            logger.exception("and an exception with %s", canary)
    assert canary not in stream.getvalue()
    found = lines(stream)
    assert len(found) == 3 * len(LIBRARIES)
    assert {line["event"] for line in found} == {"daemon.library.message"}
    assert found[0]["template"] == "broken by %s at %s"
    assert found[1]["template"] == ""
    assert "builtins.ConnectionError" in found[2]["exception"]


def test_a_handler_that_a_library_brought_along_is_taken_away(
    canary: str, stream: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in LIBRARIES:
        logging.getLogger(name).addHandler(logging.StreamHandler())
    configure_logs(SystemClock(), stream=stream)
    for name in LIBRARIES:
        logging.getLogger(name).warning("with %s", canary)
    out, err = capfd.readouterr()
    assert canary not in out + err + stream.getvalue()


def test_a_record_that_cannot_be_logged_prints_nothing(
    canary: str, stream: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    configure_logs(SystemClock(), strict=True, stream=stream)
    logging.getLogger("urllib3").warning("x" * 400 + " %s", canary)
    out, err = capfd.readouterr()
    assert canary not in out + err + stream.getvalue()


def test_real_libraries_at_debug_say_nothing_of_a_request(canary: str, stream: io.StringIO) -> None:
    import hvac
    import requests
    import urllib3

    configure_logs(SystemClock(), level="debug", stream=stream)
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.DEBUG)
    client = hvac.Client(url="http://127.0.0.1:9", token=canary, timeout=1)
    with pytest.raises(requests.exceptions.ConnectionError):
        client.secrets.kv.v2.read_secret_version(path=canary, raise_on_deleted_version=True)
    with urllib3.PoolManager() as pool, pytest.raises(urllib3.exceptions.MaxRetryError):
        pool.request("GET", f"http://127.0.0.1:9/{canary}", headers={"X-Api-Key": canary}, retries=1, timeout=1)
    client.adapter.close()
    assert canary not in stream.getvalue()


UNCAUGHT = """
import sys, threading, warnings
from rotator.daemon.clock import SystemClock
from rotator.daemon.logs import configure_logs
configure_logs(SystemClock(), stream=sys.stdout, strict=True)
value = sys.stdin.read()
def fail():
    raise ValueError(value)
thread = threading.Thread(target=fail, name="worker-1")
thread.start()
thread.join()
class Late:
    def __del__(self):
        raise ValueError(value)
late = Late()
del late
warnings.warn(f"insecure {value}")
fail()
"""


def test_what_nobody_caught_is_logged_without_its_text(canary: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNCAUGHT], input=canary, capture_output=True, text=True, timeout=30, cwd=ROOT
    )
    assert done.returncode == 1
    assert canary not in done.stdout + done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line.get("thread") for line in found if line["event"] == "daemon.uncaught"] == [
        "worker-1", "destructor", "main",
    ]  # fmt: skip
    assert [line["library"] for line in found if line["event"] == "daemon.library.message"] == ["py.warnings"]
