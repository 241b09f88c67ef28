"""Two installations at one platform, for the same account: each sweeps it again and again, neither harms the other.

Real daemons, a real alerta, a real OpenBao. The one's name begins like the other's, and a person has copied labels of
both. What is asked at the end is the server, never a ledger. The second test brings a dead key back, as a restored
backup does: that one is ended, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.alerta import Alerta
from tests.lab.estate import ROOT, Estate, Servers, Tempo
from tests.lab.openbao import OpenBaoDev
from tests.lab.postgres import Postgres
from tests.lab.process import wait_until
from tests.lab.shapes import AlertaKey

SWEEPS = 60
NAME = "shared"


class Site:
    """One installation with one credential, which was rotated twice."""

    def __init__(self, folder: Path, servers: Servers, name: str = "") -> None:
        self.estate = Estate(folder, servers, Tempo())
        if name:
            self._rename(name)
        self.shape = AlertaKey(NAME)
        self.former = ""
        """The label of its last dead value."""
        self.shape.prepare(self.estate)
        self.estate.start()

    def _rename(self, name: str) -> None:
        estate = self.estate
        words = {"MOUNT": "secret", "INSTALLATION": name, "APP": f"app-{estate.tag}", "ADMIN": f"admin-{estate.tag}"}
        policy = (ROOT / "config" / "openbao-policy.hcl").read_text()
        for word, text in words.items():
            policy = re.sub(rf"\b{word}\b", text, policy)
        estate.servers.openbao.admin.write_policy(f"rotator-{estate.tag}", policy)
        estate.installation = name

    def passage(self, *words: str) -> None:
        ran = self.estate.rotator(*words, "--wait", "--reason", "drill")
        assert ran.code == 0, ran.out + ran.err

    def sweep(self) -> dict[str, Any]:
        status, answer = self.estate.ask("POST", "/v1/endpoints/alerta/strays", {"apply": True, "reason": "drill"})
        assert status == 200, answer
        return dict(answer)

    def serving(self) -> dict[str, Any]:
        """The server's record of what the store's readers find."""
        current = self.shape.current(self.estate)
        assert current is not None
        return next(
            row
            for row in self.estate.servers.alerta.keys()  # noqa: SIM118
            if row["key"] == current[1]
        )

    def kinds(self) -> list[str]:
        return [run["kind"] for run in self.estate.runs(NAME)]


@pytest.fixture
def sites(tmp_path: Path, openbao: OpenBaoDev, postgres: Postgres, alerta: Alerta) -> Iterator[tuple[Site, Site]]:
    servers = Servers(openbao, postgres, alerta)
    one = Site(tmp_path / "one", servers)
    two = Site(tmp_path / "two", servers, f"{one.estate.installation}-1")
    try:
        for site in (one, two):
            site.passage("adopt", NAME)
            site.passage("rotate", NAME, "--yes")
            site.former = site.serving()["text"]
            site.passage("rotate", NAME, "--yes")
        yield one, two
    finally:
        one.estate.close()
        two.estate.close()


def test_two_installations_sweep_each_other_and_harm_nobody(sites: tuple[Site, Site], alerta: Alerta) -> None:
    one, two = sites
    serving = [site.serving() for site in sites]
    assert serving[1]["text"].startswith(f"rot-{one.estate.installation}-1-")
    copies = [alerta.create_key(site.former, ("read",), one.shape.user) for site in sites]
    person = [alerta.create_key(text, ("read",), one.shape.user) for text in ("", "by hand", "rot-other-5", "rot-x")]
    never = [alerta.create_key(f"rot-{site.estate.installation}-999999", ("read",), site.shape.user) for site in sites]
    theirs = [*copies, *person, *never]
    for number in range(SWEEPS):
        for site, other in (sites, sites[::-1]):
            view = site.sweep()
            assert view["blind"] == []
            assert [item["run"] for item in view["items"]] == [None] * len(view["items"])
            foreign = [item["installation"] for item in view["items"] if item["standing"] == "foreign"]
            assert other.estate.installation in foreign
            if number == 0:
                assert view["counts"]["ours"] == 1
                assert view["counts"]["stray"] == 0
                # its own label copied, and one that it never gave out
                mine = {(item["why"]) for item in view["items"] if item["standing"] == "unaccounted"}
                assert mine == {"label_copied", "no_intent"}
        if number == SWEEPS // 3:  # with the copies of dead labels in sight
            one.passage("rotate", NAME, "--yes")
        if number == SWEEPS // 2:  # and now a copy of what serves
            some = [alerta.create_key(site.serving()["text"], ("read",), one.shape.user) for site in sites]
            copies, theirs = copies + some, theirs + some
    alive = {
        row["id"]: row
        for row in alerta.keys()  # noqa: SIM118
        if row["user"] == one.shape.user
    }
    assert [row["id"] for row in theirs if row["id"] not in alive] == []
    assert all(alerta.accepts(row["key"]) for row in copies)
    for site in sites:
        current = site.shape.current(site.estate)
        assert current is not None
        assert alerta.accepts(current[1])
        assert set(site.kinds()) == {"adopt", "rotate"}, "no sweep has opened a run"
    assert two.serving()["id"] == serving[1]["id"]
    ran = one.estate.rotator("strays", "alerta", "--exit-code")
    assert ran.code == 10, ran.err
    assert re.search(r"unaccounted\s+rot-", ran.out)
    assert alerta.keys()[0]["key"] not in ran.out


def test_a_key_that_a_restored_backup_brought_back_is_ended_and_nothing_else(
    sites: tuple[Site, Site], alerta: Alerta, postgres: Postgres
) -> None:
    one, two = sites
    dead = one.serving()
    keep = f"kept_{one.estate.tag}"
    postgres.query(f"CREATE TABLE {keep} AS SELECT * FROM keys WHERE id = '{dead['id']}'", dbname=alerta.dbname)
    for _ in range(2):  # the second rotation buries it: only the journal knows it then
        one.passage("rotate", NAME, "--yes")
    assert not alerta.accepts(dead["key"])
    postgres.query(f"INSERT INTO keys SELECT * FROM {keep}", dbname=alerta.dbname)
    assert alerta.accepts(dead["key"])
    assert [item["standing"] for item in two.sweep()["items"] if item["label"] == dead["text"]] == ["foreign"]
    (stray,) = [item for item in one.sweep()["items"] if item["standing"] == "stray"]
    assert (stray["label"], stray["credential"]) == (dead["text"], NAME)
    wait_until(lambda: not alerta.accepts(dead["key"]), "the end of the stray", 60, alive=lambda: True)
    run = one.estate.settled(NAME)
    assert (run["kind"], run["ending"]) == ("reconcile", "succeeded"), run
    assert one.estate.ask("GET", "/v1/debts")[1]["items"] == []
    for site in sites:
        assert alerta.accepts(site.serving()["key"])
