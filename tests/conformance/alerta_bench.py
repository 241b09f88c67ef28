"""The bench of the alerta pack, and what its tests ask the server itself. Used by `test_alerta*`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from rotator_http import PACKS, load_pack

from rotator.plugin_api import Subject
from tests.conformance.bench import Bench, Credential
from tests.lab.alerta import ADMIN, Alerta
from tests.lab.proxy import Proxy
from tests.lab.shapes import handle_of

SERVICE = Subject(principal="svc-sync@lab.test")


def make_bench(alerta: Alerta, proxy: Proxy) -> Bench:
    """The pack's kind behind the host, through the proxy; the truth comes from the server."""
    return Bench(
        plugin=load_pack("alerta"),
        kind="key",
        proxy=proxy,
        admin=ADMIN,
        admin_value=alerta.admin_key,
        subject=SERVICE,
        scopes=frozenset({"read"}),
        write=r"^/key$",
        probe_path=r"^/keys\?",
        refusal="key_refused",
        accepts=alerta.accepts,
        stored=lambda: [handle_of(row) for row in alerta.keys()],  # noqa: SIM118 - a method
    )


def row_of(alerta: Alerta, credential: Credential) -> dict[str, Any]:
    """The server's record of a key, past the plugin."""
    (row,) = [row for row in alerta.keys() if row["key"] == credential.value]  # noqa: SIM118 - a method
    return row


def paged_pack(tmp_path: Path) -> Any:
    """The shipped pack with pages of two rows."""
    text = (PACKS / "alerta.yaml").read_text()
    assert 'page-size: "500"' in text
    (tmp_path / "alerta.yaml").write_text(text.replace('page-size: "500"', 'page-size: "2"'))
    return load_pack(str(tmp_path / "alerta.yaml"))


def with_plugin(bench: Bench, plugin: Any) -> Bench:
    """The same bench with another plugin."""
    return replace(bench, plugin=plugin)
