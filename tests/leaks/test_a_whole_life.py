"""A whole life through the real daemon, with faults, at DEBUG: then everything that was written is searched for values.

Every value that a server or a store ever held is a canary: the admin's, the clients', those that the daemon made itself
(read from the store while they were there). Searched are files, the ledger, answers, metrics and the process's own
command line and environment, in five encodings.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.lab.alerta import Alerta
from tests.lab.estate import Estate, Servers, Tempo
from tests.lab.openbao import OpenBaoDev
from tests.lab.postgres import Postgres
from tests.lab.shapes import SHAPES, Shape

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
        yield f"/proc/{name}", Path(f"/proc/{estate.daemon.pid}/{name}").read_bytes()


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
    canaries: set[str] = {alerta.admin_key}
    shown: list[tuple[str, bytes]] = []
    try:
        shapes = [(make(estate)) for _, make in SHAPES]
        estate.start()
        for shape in shapes:
            live(estate, shape, canaries, shown)
        for target in ("/v1/status", "/v1/plugins", "/v1/debts", "/v1/runs"):
            shown.append((target, json.dumps(estate.ask("GET", target)).encode()))
        found = list(search(canaries, [*places(estate), *shown]))
        count = len(list(places(estate))) + len(shown)
    finally:
        estate.close()
    with capsys.disabled():
        print(f"\nleaks: {count} places searched, {len(canaries)} canaries planted, found {len(found)}")
    assert len(canaries) > 2 * len(shapes)
    assert found == []


def live(estate: Estate, shape: Shape, canaries: set[str], shown: list[tuple[str, bytes]]) -> None:
    """Adopt, rotate, contain, retire; the values on the way are canaries."""
    for words in (("adopt",), ("rotate",), ("emergency", "--mode", "contain"), ("explain",), ("plan",)):
        look(estate, shape, canaries)
        ran = estate.rotator(*words[:1], shape.name, *words[1:])
        shown.append((" ".join(words), (ran.out + ran.err).encode()))
        look(estate, shape, canaries)


def look(estate: Estate, shape: Shape, canaries: set[str]) -> None:
    """What readers find now."""
    value = estate.servers.openbao.admin.get(estate.path_of(shape.name))
    canaries.update(text for text in (value or {}).values() if len(str(text)) >= 16)


def search(canaries: set[str], searched: list[tuple[str, bytes]]) -> Iterator[str]:
    """Where a canary was found, and in which encoding; never the canary."""
    for place, data in searched:
        for number, canary in enumerate(sorted(canaries)):
            yield from (f"{place}: canary {number} {how}" for how, text in encodings(canary).items() if text in data)


__all__: list[Callable[..., object]] = []
