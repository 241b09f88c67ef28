"""A whole life through the real daemon, with faults, at DEBUG: then everything that was written is searched for values.

Every value that a server or a store ever held is a canary: the admin's, the clients', those that the daemon made itself
(read from the store while they were there). Searched are files, the ledger, answers, metrics and the process's own
command line and environment, in five encodings.
"""

from __future__ import annotations

import base64
import json
import random
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.lab.alerta import Alerta
from tests.lab.estate import Estate, Servers, Tempo
from tests.lab.openbao import OpenBaoDev
from tests.lab.postgres import Postgres
from tests.lab.shapes import AlertaKey, Roles, Shape, staged
from tests.lab.soak_faults import FAULTS, strike

OPENLY = {"store", "files"}
"""Folders whose business is to hold values: the encrypted store and what is installed at a consumer."""


def encodings(value: str) -> dict[str, bytes]:
    """A value as it might have been written; base64 at each of the three offsets, without the ends that differ."""
    raw = value.encode()
    found = {
        "raw": raw, "url": quote(value, safe="").encode(), "hex": raw.hex().encode(),
        "json": json.dumps(value)[1:-1].encode(),
    }  # fmt: skip
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + raw)
        found[f"base64+{offset}"] = text[4 if offset else 0 : -4]
    return found


def places(estate: Estate) -> Iterator[tuple[str, bytes]]:
    """Everything that the daemon and its command line wrote or show."""
    for path in sorted(estate.folder.rglob("*")):
        inside = path.relative_to(estate.folder).parts[0]
        if path.is_file() and inside not in OPENLY and inside not in {"secret-id", "rotator.yaml"}:
            yield str(path.name), path.read_bytes()
    for name in ("cmdline", "environ"):
        try:
            yield f"/proc/{name}", Path(f"/proc/{estate.daemon.pid}/{name}").read_bytes()
        except PermissionError:  # the daemon hides it even from its own user; root, who may read it, searches it
            yield f"/proc/{name}", b""


def test_the_search_finds_a_value_in_every_encoding() -> None:
    value = "canary-Ä/+&\"x'" * 2
    for name, text in encodings(value).items():
        assert text in b"before " + text + b" after", name
        assert len(text) > 8
    wrapped = base64.b64encode(b"user:" + value.encode())
    assert any(text in wrapped for name, text in encodings(value).items() if name.startswith("base64"))


@pytest.mark.slow
def test_nothing_that_was_written_holds_a_value(
    tmp_path: Path, openbao: OpenBaoDev, postgres: Postgres, alerta: Alerta, capsys: pytest.CaptureFixture[str]
) -> None:
    estate = Estate(tmp_path / "e", Servers(openbao, postgres, alerta), Tempo())
    admin = openbao.admin.get(f"admin-{estate.tag}/db")
    assert admin is not None
    assert admin.data is not None
    canaries = {alerta.admin_key, str(admin.data["password"]), (estate.folder / "secret-id").read_text()}
    shown: list[tuple[str, bytes]] = []
    try:
        shapes: list[Shape] = [AlertaKey("keys"), Roles("pair", alternating=True), Roles("single", alternating=False)]
        for shape in shapes:
            shape.prepare(estate)
        estate.start(log_level="debug")
        for shape in shapes:
            live(estate, shape, canaries, shown)
        for target in ("/v1/status", "/v1/plugins", "/v1/debts", "/v1/credentials"):
            shown.append((target, json.dumps(estate.ask("GET", target)).encode()))
        with urllib.request.urlopen(f"http://127.0.0.1:{estate.port}/metrics", timeout=10) as answer:
            shown.append(("/metrics", answer.read()))
        searched = [*places(estate), *shown]
        found = list(search(canaries, searched))
    finally:
        estate.close()
    with capsys.disabled():
        print(f"\nleaks: {len(searched)} places searched, {len(canaries)} canaries planted, found {len(found)}")
    assert len(canaries) >= 3 + 3 * len(shapes)
    log = next(text for name, text in searched if name == "daemon.log")
    assert b'"level": "debug"' in log or b'"level":"debug"' in log
    assert {"ledger.db", "daemon.log", "/proc/environ", "/metrics"} <= {name for name, _ in searched}
    assert found == []


def live(estate: Estate, shape: Shape, canaries: set[str], shown: list[tuple[str, bytes]]) -> None:
    """Adopt, rotate under faults, contain, retire; every value on the way is a canary."""
    only = {"ids": [shape.name]}
    acts: list[tuple[str, dict[str, object]]] = [
        ("/v1/adopt", {"ids": [shape.name]}),
        ("/v1/rotate", {"selection": only, "reason": "test"}),
        ("/v1/emergency", {"selection": only, "mode": "contain", "reason": "test"}),
        (f"/v1/workflows/flow-{shape.name}/retire", {"apply": True, "reason": "test"}),
    ]
    for route, body in acts:
        look(estate, shape, canaries)
        if route == "/v1/rotate":
            for name in ("create: answer lost", "store: reset"):
                if FAULTS[name].fits(shape):
                    strike(estate, shape, name, random.Random(7))
        status, answer = estate.ask("POST", route, body)
        assert status == 200, (route, answer)
        shown.append((route, json.dumps(answer).encode()))
        run = settle(estate, shape, canaries)
        estate.clear_faults()
        shown.append((f"{route} events", json.dumps(estate.ask("GET", f"/v1/runs/{run['id']}/events")).encode()))
    for words in (("explain", shape.name), ("runs", "list"), ("status",)):
        ran = estate.rotator(*words)
        shown.append((f"rotator {words[0]}", (ran.out + ran.err).encode()))


def settle(estate: Estate, shape: Shape, canaries: set[str]) -> dict[str, Any]:
    """Wait until the newest run has ended, looking at what is staged meanwhile."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        look(estate, shape, canaries)
        run = estate.runs(shape.name)[0]
        if run["ended"] is not None:
            return run
        assert run["question"] is None, run["question"]
        time.sleep(0.05)
    raise AssertionError("the run does not end")


def look(estate: Estate, shape: Shape, canaries: set[str]) -> None:
    """What readers find now, and what is staged."""
    now = shape.current(estate)
    values = [text for _, text in staged(estate, shape.name)] + ([] if now is None else [now[1]])
    canaries.update(text for text in values if len(text) >= 16)


def search(canaries: set[str], searched: list[tuple[str, bytes]]) -> Iterator[str]:
    """Where a canary was found, and in which encoding; never the canary."""
    for place, data in searched:
        for number, canary in enumerate(sorted(canaries)):
            yield from (f"{place}: canary {number} {how}" for how, text in encodings(canary).items() if text in data)
