"""What the daemon makes of a store that cannot be opened, and of an incident at one: refusal, readiness, metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from rotator.daemon.clock import SystemClock
from rotator.daemon.live import Live
from rotator.daemon.metrics import render
from rotator.daemon.store_login import notes_of, unready
from rotator.effects.stores.reasons import REASONS
from rotator.effects.stores.vault_wrapped import INCIDENTS
from rotator.engine.inspection import Incident
from rotator.ledger import SqliteLedger, open_ledger
from rotator.settings.connections import Daemon
from rotator.settings.problems import ConfigurationRefused
from rotator.settings.values import FileRef
from tests.lab.tls import Authority
from tests.unit.engine_bench import Bench

INCIDENT = Incident("main", "store_secret_id_taken", REASONS["store_secret_id_taken"], 5)


class Installation:
    """A configuration with one Vault store whose `ca` is a good bundle. Nothing is listened on, nothing is sent."""

    def __init__(self, folder: Path, closing: ExitStack) -> None:
        self.folder, self.closing = folder, closing
        self.ca = Authority(folder).ca
        self.config = folder / "rotator.yaml"
        self.ledger: SqliteLedger = open_ledger(folder / "ledger.db", SystemClock())
        closing.callback(self.ledger.close)
        self.write()

    def write(self, **store: Any) -> None:
        """Write it, with some keys of the store changed."""
        login = {"jwt": {"role": "rotator", "token": {"file": str(self.folder / "jwt")}}}
        main = {"type": "vault", "url": "https://127.0.0.1:9", "ca": str(self.ca), "auth": login, **store}
        daemon = {
            "ledger": str(self.folder / "ledger.db"), "socket": str(self.folder / "api.sock"),
            "fingerprint_key": {"file": str(self.folder / "fingerprint.key")},
        }  # fmt: skip
        document = {"apiVersion": "rotator/v1", "installation": "acme", "daemon": daemon, "stores": {"main": main}}
        self.config.write_text(json.dumps(document))

    def live(self) -> Live:
        """The configuration, opened."""
        return Live(self.config, SystemClock(), self.closing, "0")


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with ExitStack() as closing:
        yield Installation(tmp_path, closing)


@pytest.mark.parametrize("case", ["gone", "no pem", "a folder"])
def test_bad_ca_at_a_reload_is_a_refusal_in_words_and_the_old_world_stands(
    installation: Installation, case: str
) -> None:
    live = installation.live()
    before = live.world
    match case:
        case "gone":
            installation.ca.unlink()
        case "no pem":
            installation.ca.write_text("canary")
        case "a folder":
            installation.write(ca=str(installation.folder))
    with pytest.raises(ConfigurationRefused) as raised:
        live.reload(installation.ledger)
    (problem,) = raised.value.problems
    assert problem.code == "CFG-STORE"
    assert "store `main`" in problem.message
    assert problem.message.endswith("(store_ca)")
    assert live.world is before


def test_bad_ca_at_the_start_is_the_same_refusal(installation: Installation) -> None:
    installation.ca.write_text("")
    with pytest.raises(ConfigurationRefused, match=r"1 problem"):
        installation.live()


def test_what_was_unwrapped_is_kept_over_a_reload(installation: Installation) -> None:
    live = installation.live()
    kept = live.deliveries
    installation.write(mount="other")
    live.reload(installation.ledger)
    assert live.deliveries is kept
    assert live.settings.stores["main"].mount == "other"  # type: ignore[union-attr]


def test_incident_in_words_for_readiness() -> None:
    assert unready([]) == ""
    other = Incident("backup", "store_secret_id_path", REASONS["store_secret_id_path"], 6)
    lines = unready([INCIDENT, other]).splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["store_secret_id_taken", "store main"],
        ["store_secret_id_path", "store backup"],
    ]
    assert all("Incident" in line for line in lines)


def test_every_incident_has_words() -> None:
    assert set(REASONS) > INCIDENTS
    assert all(REASONS[one].startswith("Incident: ") for one in INCIDENTS)


def test_notes_stand_beside_the_ledger() -> None:
    daemon = Daemon(
        ledger="/var/lib/rotator/ledger.db",
        fingerprint_key=FileRef(file="/etc/rotator/fingerprint.key"),
        socket="/run/rotator/api.sock",
    )
    assert notes_of(daemon) == Path("/var/lib/rotator/ledger.db.unwrapped")
    shared = daemon.model_copy(update={"ledger": "postgresql://rotator@db.example/rotator"})
    assert notes_of(shared) == Path("/run/rotator/api.sock.unwrapped")


def test_incident_is_a_metric_with_store_and_reason(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    def shown(*incidents: Incident) -> list[str]:
        text = render(bench.ledger, bench.clock, bench.tick, False, incidents)
        return [line for line in text.splitlines() if line.startswith("rotator_store_incidents")]

    assert shown() == []
    assert shown(INCIDENT) == ['rotator_store_incidents{store="main",reason="store_secret_id_taken"} 1']
    bench.ledger.close()
