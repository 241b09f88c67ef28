"""No id of a key of alerta is written down: the server takes an id for the key, so an id is a credential.

A real daemon adopts, rotates through a lost answer, and owes what it could not revoke; then every id that the server
ever listed is searched in everything that the daemon wrote or says.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.lab import wire
from tests.lab.alerta import Alerta
from tests.lab.estate import Estate, Servers, Tempo
from tests.lab.openbao import OpenBaoDev
from tests.lab.postgres import Postgres
from tests.lab.proxy_rules import Answer
from tests.lab.shapes import AlertaKey, handle_of, staged, stored

NAME = "key-ids"


def ids(alerta: Alerta) -> set[str]:
    """Every id that the server lists now."""
    return {row["id"] for row in alerta.keys()}  # noqa: SIM118 - a method


def told(estate: Estate) -> str:
    """All that the API says of the credential, its runs, their events and debts, the endpoint, and the metrics."""
    runs = estate.runs(NAME)
    targets = [
        "/v1/status", "/v1/credentials", f"/v1/credentials/{NAME}", "/v1/runs", "/v1/debts", "/v1/plugins",
        *(f"/v1/runs/{run['id']}" for run in runs), *(f"/v1/runs/{run['id']}/events" for run in runs),
    ]  # fmt: skip
    answers = [estate.ask("GET", target) for target in targets]
    assert [status for status, _ in answers] == [200] * len(targets)
    metrics = wire.call("GET", f"http://127.0.0.1:{estate.port}/metrics")
    assert metrics.status == 200
    return json.dumps([body for _, body in answers]) + metrics.body.decode()


def written(estate: Estate) -> bytes:
    """Everything in the estate's folder: ledger with its journal, log, configuration, files."""
    paths = [path for path in estate.folder.rglob("*") if path.is_file()]
    assert {"ledger.db", "daemon.log"} <= {path.name for path in paths}
    return b"\0".join(path.read_bytes() for path in paths)


def rotate(estate: Estate) -> dict[str, Any]:
    status, said = estate.ask("POST", "/v1/rotate", {"selection": {"ids": [NAME]}, "reason": "leaks"})
    assert status == 200, said
    return estate.settled(NAME)


def test_no_id_of_a_key_stands_in_ledger_log_api_or_store(
    tmp_path: Path, openbao: OpenBaoDev, postgres: Postgres, alerta: Alerta
) -> None:
    estate = Estate(tmp_path / "estate", Servers(openbao, postgres, alerta), Tempo())
    shape = AlertaKey(NAME)
    try:
        shape.prepare(estate)
        estate.start(log_level="debug")
        ever = ids(alerta)
        assert estate.rotator("adopt", NAME, "--wait", "--reason", "leaks").code == 0
        assert rotate(estate)["ending"] == "succeeded"
        ever |= ids(alerta)
        estate.web.rule("answer_lost", method="POST", path=r"^/key$", times=1)
        assert rotate(estate)["ending"] == "succeeded"
        ever |= ids(alerta)
        estate.web.rule("made_up", method="DELETE", path=r"^/key/", answer=Answer.json(200, {"status": "ok"}))
        assert rotate(estate)["ending"] == "owed"
        ever |= ids(alerta)
        own = shape.rows(estate)
        said, on_disk = told(estate), written(estate)
        kept = json.dumps([stored(estate, NAME), list(staged(estate, NAME))])
        output = estate.rotator("debts").out + estate.rotator("explain", NAME).out
        estate.stop()
        on_disk += written(estate)
    finally:
        estate.close()
    assert len(own) == 2, "what serves, and the debt"
    assert any(handle_of(row) in said for row in own), "the handle itself is shown: the search looks at the right place"
    assert any(handle_of(row).encode() in on_disk for row in own)
    assert all(row["id"] in ever and alerta.accepts(row["id"]) for row in own)
    for one in sorted(ever):
        forms = {one, one.replace("-", ""), one.upper()}
        assert not any(form in text for form in forms for text in (said, kept, output))
        assert not any(form.encode() in on_disk for form in forms)
