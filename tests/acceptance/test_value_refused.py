"""A platform refuses new values by a rule: the real daemon makes other ones, and what was refused is proven dead.

The platform is a fake whose rule about half of all values break (`tests.fakes.choosy_accounts`); the store is a real
OpenBao. Real platforms with such a rule: `tests/real/test_request_tracker_policy.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.choosy_accounts import ADMIN, RULE_IN_WORDS, ChoosyAccounts, nothing_fits, serving
from tests.lab.alerta import Alerta
from tests.lab.estate import Estate, Servers, Tempo
from tests.lab.openbao import OpenBaoDev
from tests.lab.postgres import Postgres
from tests.lab.process import wait_until
from tests.lab.shapes import staged, stored

pytestmark = pytest.mark.long

MADE = re.compile(r"make g(\d+) and stage it in the store: done")
WHY = ("--reason", "acceptance")
NAME = "intake"
PACK = """\
pack: 1
name: choosy
version: 1.0.0
config: {url: {is: url}}
auth:
  acting: {basic: {user: "{acting.principal}", password: "{acting.value}"}}
  value: {basic: {user: "{principal}", password: "{value}"}}
replies:
  me:
    - {when: {status: 401, at: /error, equals: this password is wrong}, is: rejected, reason: password_refused}
    - {when: {status: 200, at: /account}, is: ok}
  set:
    - {when: {status: 422, at: /error, equals: weak password}, is: refused, reason: policy}
    - {when: {status: 200, at: /account}, is: ok}
reasons: {password_refused: The platform does not let this account in with this password.}
kinds:
  password:
    title: account password
    traits: {role: authority, origin: generated, lost: probe, undo: reinstall_old}
    value: {form: text, min: 32, max: 64}
    preflight: {request: {get: /me}, auth: acting, replies: me, take: {acting: /account}}
    probe: {request: {get: /me}, auth: value, replies: me, take: {principal: /account}}
    install: {request: {put: "/accounts/{principal}", json: {password: "{value}"}}, auth: acting, replies: set}
"""


class Site:
    """One account of the choosy platform, adopted and governed by a daemon. `values`: of the policy's patience."""

    def __init__(self, folder: Path, servers: Servers, platform: ChoosyAccounts, values: int, pair: bool) -> None:
        self.platform = platform
        self.estate = estate = Estate(folder, servers, Tempo(landing="200ms"))
        self.printed = ""
        (folder / "choosy.yaml").write_text(PACK)
        names = [f"{NAME}-a", f"{NAME}-b"] if pair else [NAME]
        self.account = names[0]
        for name in reversed(names):
            self.first = platform.create(name)
        admin = estate.servers.openbao.admin
        admin.put(f"admin-{estate.tag}/choosy", {"password": platform.admin_password})
        admin.put(estate.path_of(NAME), {"password": self.first, "username": self.account})
        where = {"store": "main", "path": f"admin-{estate.tag}/choosy", "field": "password"}
        estate.endpoints["choosy"] = {
            "plugin": "http", "pack": str(folder / "choosy.yaml"), "config": {"url": platform.url},
            "admin": {"principal": ADMIN, "value": where},
        }  # fmt: skip
        patience = {"attempts": 4, "span": "2s", "values": values}
        estate.policies["standard"] = estate.policy(patience=patience)
        who = {"principals": names} if pair else {"principal": NAME}
        estate.describe(
            NAME,
            {
                "authority": {"endpoint": "choosy", "kind": "password", **who},
                "store": {
                    "in": "main", "path": estate.path_of(NAME), "value": "password",
                    "fields": {"username": "principal"},
                },
            },
        )  # fmt: skip
        estate.start(log_level="debug")
        self.rotator("adopt", NAME, *WHY, "--wait")

    def rotator(self, *arguments: str, code: int = 0) -> str:
        """A command, which must end with `code`; what it printed."""
        ran = self.estate.rotator(*arguments)
        self.printed += ran.out + ran.err
        assert ran.code == code, f"{arguments}: {ran.code}\n{ran.out}{ran.err}\n{self.estate.complaints()}"
        return ran.out + ran.err

    def current(self) -> tuple[str, str]:
        """(account, value) that readers of the store find."""
        fields = stored(self.estate, NAME)
        assert fields is not None
        return fields["username"], fields["password"]

    def rotated(self) -> dict[str, Any]:
        """A rotation by hand, until it has ended or asks."""
        self.rotator("rotate", NAME, *WHY, "--yes", "--no-wait")
        return self.estate.settled(NAME)

    def journal(self, run: str) -> list[dict[str, Any]]:
        """What the run's journal says."""
        ran = self.estate.rotator("runs", "watch", run, "-o", "ndjson")  # its exit code is the run's
        self.printed += ran.out + ran.err
        lines = [json.loads(line) for line in ran.out.splitlines()]
        return [line for line in lines if line["type"] == "event"]

    def debts(self) -> list[dict[str, Any]]:
        """What the ledger says is owed."""
        return list(self.estate.ask("GET", f"/v1/debts?credential={NAME}")[1]["items"])

    def assert_no_value_is_told(self) -> None:
        """None of the values that the platform ever saw stands in an output, the log or the ledger."""
        kept = [one for one in self.estate.folder.iterdir() if one.name.startswith(("ledger.db", "daemon.log"))]
        written = b"".join(one.read_bytes() for one in kept) + self.printed.encode()
        assert len(kept) >= 2
        for _, value in [*self.platform.refused, *self.platform.taken, ("", self.first)]:
            assert value.encode() not in written

    def assert_only_current_lives(self) -> None:
        """What readers find logs in, nothing that was refused does, and nothing is owed or kept."""
        account, value = self.current()
        assert self.platform.accepts(account, value)
        assert not any(self.platform.accepts(*pair) for pair in self.platform.refused if pair != (account, value))
        assert self.debts() == []
        assert {kept for _, kept in staged(self.estate, NAME)} <= {value}


def refused_values(journal: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """(generation, step) of each write that the platform refused by its rules, in order: of what was made last."""
    found, made = [], 0
    for row in journal:
        if staged_now := MADE.match(row["says"]):
            made = int(staged_now[1])
        if row.get("outcome") == "refused" and row["says"].endswith(": refused (policy)"):
            found.append((made, row["says"].split(" ", 1)[0]))
    return found


def proven(journal: list[dict[str, Any]]) -> dict[int, list[str]]:
    """By generation, the platform's words at each proof of death."""
    found: dict[int, list[str]] = {}
    for row in journal:
        seen = row.get("observed")
        if seen and seen.get("grade") is not None:
            found.setdefault(seen["gen"], []).append(seen["refusal"])
    return found


@pytest.fixture
def start_site(
    tmp_path: Path, openbao: OpenBaoDev, postgres: Postgres, alerta: Alerta
) -> Iterator[Callable[..., Site]]:
    """A function that makes a site over a platform of its own."""
    sites: list[Site] = []
    platform = ChoosyAccounts()

    def start(values: int = 3, *, pair: bool = False) -> Site:
        site = Site(tmp_path / f"site-{len(sites)}", Servers(openbao, postgres, alerta), platform, values, pair)
        sites.append(site)
        return site

    with serving(platform):
        yield start
        for site in sites:
            site.estate.close()


PATIENT = 20
"""So many values in one run that no test meets the end of them by chance (two to the power of -20)."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("pair", [False, True], ids=["one account", "two that take turns"])
def test_a_refused_value_is_replaced_in_the_same_run_and_is_proven_dead(
    start_site: Callable[..., Site], pair: bool
) -> None:
    site = start_site(PATIENT, pair=pair)
    met: set[str] = set()
    for _ in range(PATIENT):
        old, before = site.current(), len(site.platform.refused)
        run = site.rotated()
        assert (run["ending"], run["debts"]) == ("succeeded", []), site.estate.complaints()

        refused = site.platform.refused[before:]
        journal = site.journal(run["id"])
        assert len(refused_values(journal)) == len(refused)
        assert len(set(refused)) == len(refused), "a refused value is never sent again"
        assert not site.platform.accepts(*old)
        assert site.current() != old
        site.assert_only_current_lives()
        shown = site.rotator("runs", "show", run["id"])
        assert shown.count(": refused (policy)") == len(refused)
        # What was refused is tried as often as any value that must be dead. A filler is not: nobody keeps it.
        for gen, step in refused_values(journal):
            assert proven(journal).get(gen, []) == (["password_refused"] * 2 if step == "install" else [])
        met |= {step for _, step in refused_values(journal)}
        if met >= ({"install", "neutralise"} if pair else {"install"}):
            break
    assert met == ({"install", "neutralise"} if pair else {"install"})
    site.assert_no_value_is_told()


def test_when_no_value_is_taken_the_run_goes_back_and_the_old_value_serves(start_site: Callable[..., Site]) -> None:
    site = start_site(3)
    site.platform.rule = nothing_fits
    site.rotator("rotate", NAME, *WHY, "--yes", "--wait", code=11)

    run = site.estate.runs(NAME)[0]
    journal = site.journal(run["id"])
    assert (run["ending"], run["debts"]) == ("rolled_back", [])
    assert len(set(site.platform.refused)) == len(site.platform.refused) == len(refused_values(journal)) == 3
    assert site.current() == (NAME, site.first)
    site.assert_only_current_lives()
    assert all(proven(journal)[gen] == ["password_refused"] * 2 for gen, _ in refused_values(journal))
    shown = site.rotator("runs", "show", run["id"])
    assert shown.count(": refused (policy)") == 3
    assert RULE_IN_WORDS not in shown, "the platform's prose stays outside"
    site.rotator("verify", NAME)
    site.assert_no_value_is_told()


def test_a_value_that_was_taken_though_refused_does_not_stay(start_site: Callable[..., Site]) -> None:
    site = start_site(PATIENT)
    for _ in range(PATIENT):
        site.platform.takes_what_it_refuses = 1
        run = site.rotated()
        assert (run["ending"], run["debts"]) == ("succeeded", []), site.estate.complaints()
        site.assert_only_current_lives()
        if not site.platform.takes_what_it_refuses:
            break
    assert site.platform.refused, "by chance no value was refused in so many runs"
    journal = site.journal(run["id"])
    assert all(proven(journal)[gen] == ["password_refused"] * 2 for gen, _ in refused_values(journal))


def test_in_an_emergency_a_person_is_asked_after_the_last_value_and_retry_makes_one_more(
    start_site: Callable[..., Site],
) -> None:
    site = start_site(2)
    site.platform.rule = nothing_fits
    site.rotator("emergency", NAME, "--mode", "contain", *WHY, "--yes", "--no-wait")
    run = site.estate.settled(NAME)
    assert run["ended"] is None
    assert len(site.platform.refused) == 2
    asked = site.rotator("runs", "show", run["id"])
    assert ": refused (policy)" in asked

    site.rotator("runs", "answer", run["id"], "retry", *WHY, "--no-wait")
    wait_until(lambda: len(site.platform.refused) == 3, "the third value", 30)
    assert site.estate.settled(NAME)["ended"] is None, "one value more, not three"

    site.platform.rule = len  # every value keeps it
    site.rotator("runs", "answer", run["id"], "retry", *WHY, "--wait")
    assert site.estate.runs(NAME)[0]["ending"] == "succeeded"
    assert not site.platform.accepts(NAME, site.first)
    assert len(site.platform.refused) == 3
    site.assert_only_current_lives()
    site.assert_no_value_is_told()


def test_a_filler_that_is_refused_at_the_end_of_a_workflow_is_replaced(start_site: Callable[..., Site]) -> None:
    site = start_site(PATIENT)
    refused: list[str] = []

    def first_two_never(value: str) -> bool:
        if len(set(refused)) < 2:
            refused.append(value)
        return value not in refused

    site.platform.rule = first_two_never
    flow = site.estate.credentials[NAME]["workflows"][0]
    site.rotator("retire", flow, *WHY, "--apply", "--confirm", flow, "--wait")
    run = site.estate.runs(NAME)[0]
    assert (run["kind"], run["ending"], run["debts"]) == ("retire", "succeeded", [])
    assert [value for _, value in site.platform.refused] == refused
    assert len(set(refused)) == 2
    assert not any(site.platform.accepts(NAME, value) for value in [*refused, site.first])
    assert stored(site.estate, NAME) in (None, {})
    assert list(staged(site.estate, NAME)) == []
    site.assert_no_value_is_told()
