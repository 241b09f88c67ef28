"""Every command: what it asks the daemon, what it shows, in every format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rotator.engine.requests import Selection
from tests.unit.cli_process import Cli, cli_over
from tests.unit.requests_double import CAMPAIGN, DEBT, QUESTION, RUN, run_view

WHY = ("--reason", "drill")
ORDERS = Selection(ids=("orders",))


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    with cli_over(tmp_path) as made:
        yield made


ASKED: list[tuple[tuple[str, ...], str, dict[str, Any], str]] = [
    (("status",), "status", {}, "acme-prod"),
    (("status", "-l", "tier in (T0, T1)"), "status", {"selector": "tier in (T0, T1)"}, "acme-prod"),
    (("freezes",), "freezes", {}, "in force until"),
    (("strays",), "strays", {}, "1 stray, 0 unaccounted, 1 foreign, 7 unlabelled"),
    (("strays", "api"), "sweep", {"endpoint": "api", "apply": False, "reason": ""}, "another installation made it"),
    (("strays", "api", "--apply", *WHY), "sweep", {"endpoint": "api", "apply": True, "reason": "drill"}, "run 0198"),
    (("brake", "release", *WHY), "release_brake", {"reason": "drill"}, "released: 70 due"),
    (
        ("retire", "--only", "id=orders"),
        "retire_selected",
        {"selection": Selection(selector="id=orders"), "apply": False, "reason": "", "ticket": ""},
        "rotator retire --only id=orders --apply",
    ),
    (
        ("retire", "--only", "id=orders", "--apply", "--confirm", "id=orders", *WHY),
        "retire_selected",
        {"selection": Selection(selector="id=orders"), "apply": True, "reason": "drill", "ticket": ""},
        "succeeded",
    ),
    (("credentials",), "credentials", {"selection": Selection(everything=True)}, "dba@x.example"),
    (("credentials", "-l", "team=ops"), "credentials", {"selection": Selection(selector="team=ops")}, "orders"),
    (("explain", "orders"), "explain", {"credential": "orders"}, "it is not due yet"),
    (("plan", "orders"), "plan", {"selection": ORDERS, "kind": "rotate"}, "cannot be undone: g1 is revoked"),
    (
        ("plan", "--workflow", "w", "--kind", "contain"),
        "plan",
        {"selection": Selection(workflow="w"), "kind": "contain"},
        "exposure",
    ),
    (("verify", "orders"), "verify", {"selection": ORDERS}, "works"),
    (("debts",), "debts", {"credential": ""}, "rot-acme-1"),
    (("debts", "orders"), "debts", {"credential": "orders"}, "gone"),
    (("debts", "list", "orders"), "debts", {"credential": "orders"}, "gone"),
    (("debts", "explain", "orders"), "explain_debts", {"credential": "orders"}, "3 refusals over at least 120 s"),
    (
        ("debts", "accept", "orders", "--gen", "3", "--home", "a@db", "--until", "2027-03-01", "--yes", *WHY),
        "accept_debt",
        {"credential": "orders", "gen": 3, "home": "a@db", "until": "2027-03-01T00:00:00+00:00", "reason": "drill"},
        "accepted until 2027-03-01",
    ),
    (("reconcile",), "reconcile", {"selection": Selection(everything=True)}, "store newer"),
    (("reconcile", "orders"), "reconcile", {"selection": ORDERS}, "rot-acme-9 alive at orders-db"),
    (("reconcile", "orders", "--repair", *WHY), "repair", {"ids": ("orders",), "reason": "drill"}, "succeeded"),
    (("observe", "end", *WHY), "end_observing", {"reason": "drill", "unseen": False}, "the daemon works again"),
    (("ledger", "backup", "/tmp/copy.db"), "backup", {"path": "/tmp/copy.db"}, "the ledger up to 7"),
    (("certificate", CAMPAIGN), "certificate", {"campaign": CAMPAIGN}, "complete"),
    (("adopt", "a", "b"), "adopt", {"ids": ("a", "b"), "source": "", "reason": ""}, "succeeded"),
    (("rotate", "orders", *WHY), "rotate", {"selection": ORDERS, "reason": "drill", "ticket": ""}, "succeeded"),
    (
        ("rotate", "-l", "team=ops", "-l", "env=prod", "--yes", *WHY, "--ticket", "C1"),
        "rotate",
        {"selection": Selection(selector="team=ops, env=prod"), "reason": "drill", "ticket": "C1"},
        "succeeded",
    ),
    (
        ("emergency", "orders", "--mode", "contain", "--yes", *WHY),
        "emergency",
        {"selection": ORDERS, "mode": "contain", "reason": "drill", "ticket": ""},
        "succeeded",
    ),
    (("retire", "w"), "retire", {"workflow": "w", "apply": False, "reason": "", "ticket": ""}, "leave   mail"),
    (
        ("retire", "w", "--apply", "--confirm", "w", *WHY),
        "retire",
        {"workflow": "w", "apply": True, "reason": "drill", "ticket": ""},
        "succeeded",
    ),
    (("runs", "list"), "runs", {"credential": "", "open_only": False, "limit": 50}, RUN),
    (
        ("runs", "list", "--open", "--credential", "orders", "--limit", "3"),
        "runs",
        {"credential": "orders", "open_only": True, "limit": 3},
        "installing",
    ),
    (("runs", "show", RUN), "run", {"run": RUN}, "JOURNAL"),
    (("runs", "watch", RUN), "run", {"run": RUN}, "succeeded"),
    (
        ("runs", "answer", RUN, "retry", *WHY),
        "answer",
        {"run": RUN, "answer": "retry", "about": {}, "reason": "drill"},
        "succeeded",
    ),
    (
        ("runs", "answer", RUN, "accept", "--gen", "3", "--home", "a@b", "--yes", *WHY),
        "answer",
        {"run": RUN, "answer": "accept", "about": {"gen": "3", "home": "a@b"}, "reason": "drill"},
        "succeeded",
    ),
    (
        ("runs", "answer", RUN, "skip", "--consumer", "files", *WHY),
        "answer",
        {"run": RUN, "answer": "skip", "about": {"consumer": "files"}, "reason": "drill"},
        "succeeded",
    ),
    (("runs", "back", RUN, *WHY), "back", {"run": RUN, "reason": "drill"}, "succeeded"),
    (
        ("pause", "orders", *WHY, "--until", "2026-12-01T00:00:00Z"),
        "pause",
        {"selection": ORDERS, "reason": "drill", "until": "2026-12-01T00:00:00+00:00"},
        "paused: orders",
    ),
    (
        ("pause", "orders", *WHY, "--until", "1d4h"),
        "pause",
        {"selection": ORDERS, "reason": "drill", "until": "2026-11-25T13:30:00Z"},
        "paused: orders",
    ),
    (("resume", "--all"), "resume", {"selection": Selection(everything=True), "reason": ""}, "resumed: orders"),
    (("config", "reload"), "reload", {}, "no longer managed"),
    (("notify", "list"), "notify", {}, "team=ops"),
    (
        ("notify", "log", "--state", "dead", "--channel", "soc"),
        "deliveries",
        {"channel": "soc", "state": "dead", "limit": 50},
        "test",
    ),
    (("notify", "test", "pages"), "test_route", {"route": "pages"}, "sent"),
    (("notify", "resend", "soc"), "resend", {"channel": "soc"}, "3 wait again"),
    (("plugins", "list"), "plugins", {}, "a role's password"),
    (("plugins", "try", "orders-db"), "attempt", {"endpoint": "orders-db"}, "version 17"),
    (("version",), "status", {}, "daemon 0.1.0"),
]


@pytest.mark.parametrize(("words", "name", "said", "shown"), ASKED)
def test_every_command_asks_and_shows(
    cli: Cli, words: tuple[str, ...], name: str, said: dict[str, Any], shown: str
) -> None:
    done = cli(*words)
    assert done.code == 0, done.err
    assert cli.requests.said(name) == said
    assert shown in done.out
    assert "\033" not in done.out + done.err


@pytest.mark.parametrize("words", [one[0] for one in ASKED])
@pytest.mark.parametrize("output", ["json", "ndjson"])
def test_every_command_gives_a_valid_document(cli: Cli, words: tuple[str, ...], output: str) -> None:
    done = cli(*words, "-o", output)
    assert done.code == 0, done.err
    if output == "json":
        assert isinstance(done.document, dict)
    else:
        assert done.lines[-1]["type"] == "result"
        assert all(one["type"] in {"item", "event"} for one in done.lines[:-1])


def test_a_test_of_a_route_that_is_not_taken_says_so(cli: Cli) -> None:
    item = {
        "channel": "soc", "route": "pages", "state": "waiting", "attempts": 1, "since": "2026-11-24T09:30:00Z",
        "next": "2026-11-24T09:30:10Z", "code": "receiver_refused", "event": "test", "credential": None,
        "message": "m1",
    }  # fmt: skip
    cli.requests.answers["deliveries"] = {"items": [item]}
    done = cli("notify", "test", "pages")
    assert done.code == 13
    assert "receiver refused" in done.out
    cli.requests.answers["deliveries"] = {"items": []}
    done = cli("notify", "test", "pages", "--timeout", "1s")
    assert (done.code, "no deliveries" in done.out) == (13, True)


def test_what_was_laid_aside_is_a_finding(cli: Cli) -> None:
    plain = cli.requests.notify()
    cli.requests.answers["notify"] = {**plain, "channels": [{**plain["channels"][0], "dead": 2}]}
    assert cli("notify", "list").code == 10


def test_status_and_explain_show_what_holds_and_what_was_left(cli: Cli) -> None:
    plain = cli.requests.status()
    freeze = cli.requests.freezes()["items"][0]
    left = {"credential": "old", "owner": "a", "values": 2, "open_run": None, "command": "rotator retire --only id=old"}
    brake = {"since": "x", "due": 70, "per_hour": 20, "released": None, "by": "", "reason": ""}
    cli.requests.answers["status"] = {
        **plain, "braked": True, "brake": brake, "freezes": [freeze], "unmanaged": [left],
        "counts": {**plain["counts"], "unmanaged": 1},
    }  # fmt: skip
    done = cli("status", "--exit-code")
    assert done.code == 10
    for words in ("20 an hour", "rotator brake release", "year-end", "LEFT BEHIND", "rotator retire --only id=old"):
        assert words in done.out
    plain = cli.requests.explain("orders")
    held = {"id": "year-end", "reason": "the year's change freeze", "until": "2027-01-04T23:00:00.000Z"}
    cli.requests.answers["explain"] = {**plain, "freeze": held}
    assert "by year-end: the year's change freeze" in cli("explain", "orders").out


def test_every_command_of_the_table_is_tried_here_or_elsewhere() -> None:
    from rotator.cli.main import COMMANDS

    elsewhere = {"admin", "init", "serve", "help", "completion", "health", "doctor"}
    assert {one[0][0] for one in ASKED} | elsewhere == set(COMMANDS)


def test_the_table_of_commands_says_what_the_commands_say() -> None:
    import click

    from rotator.cli.main import COMMANDS, root

    context = click.Context(root, info_name="rotator")
    for name, (_, line) in COMMANDS.items():
        command = root.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.short_help == line


@pytest.mark.parametrize("output", ["json", "ndjson"])
def test_an_empty_list_is_a_valid_document(cli: Cli, output: str) -> None:
    cli.requests.answers["debts"] = {"items": []}
    done = cli("debts", "-o", output)
    assert done.code == 0
    if output == "json":
        assert done.document["items"] == []
    else:
        assert [one["type"] for one in done.lines] == ["result"]
    assert cli("debts").out == "no debts\n"


def test_global_options_stand_before_or_after_the_command(cli: Cli) -> None:
    assert cli("-o", "json", "status").document["installation"] == "acme-prod"
    assert cli("status", "-ojson").document["installation"] == "acme-prod"
    assert cli("status", ROTATOR_OUTPUT="json").document["installation"] == "acme-prod"
    assert cli("-o", "table", "status", ROTATOR_OUTPUT="json").out.startswith("acme-prod")
    assert cli("status", "-o", "table", ROTATOR_OUTPUT="json").out.startswith("acme-prod")
    assert cli("status", "--socket", str(cli.socket), ROTATOR_SOCKET="/nowhere").code == 0


def test_the_daemon_reads_the_file_not_the_command_line(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "first.key"
    file.write_text("canary-in-a-file")
    file.chmod(0o000)
    done = cli("admin", "set", "orders-db", "--from", str(file), "--replace")
    assert done.code == 0, done.err
    assert done.out == "orders-db: the admin value stands in main/admin/db/password\n"
    assert cli.requests.said("deposit") == {
        "endpoint": "orders-db", "source": str(file), "replace": True, "reason": "",
    }  # fmt: skip
    cli("adopt", "orders", "--from", str(tmp_path / "x" / ".." / "first.key"))
    assert cli.requests.said("adopt")["source"] == str(file)
    (tmp_path / "link").symlink_to(file)
    cli("adopt", "orders", "--from", str(tmp_path / "link"))
    assert cli.requests.said("adopt")["source"] == str(tmp_path / "link")


@pytest.mark.parametrize("given", ["canary-value-in-place-of-a-file", "-", "canary" * 100])
def test_a_value_in_the_place_of_a_file_is_refused_and_not_repeated(cli: Cli, given: str) -> None:
    done = cli("adopt", "orders", "--from", given, "-o", "json")
    assert done.code == 2
    assert "canary" not in done.out + done.err
    assert cli.requests.calls == []


def test_explain_shows_an_open_run_and_what_holds_it(cli: Cli) -> None:
    plain = cli.requests.explain("orders")
    view = run_view(question=QUESTION)
    cli.requests.answers["explain"] = {**plain, "run": view, "held": "window", "held_says": "the window is shut"}
    out = cli("explain", "orders").out
    assert "the window is shut" in out
    assert "3 of 12 hold" in out
    assert QUESTION["answers"][0]["command"] in out


def test_status_puts_what_waits_for_a_person_first(cli: Cli) -> None:
    view = run_view(question=QUESTION)
    plain = cli.requests.status()
    counts = {**plain["counts"], "waiting": 1, "debts": 1, "due": 3, "paused": 1}
    cli.requests.answers["status"] = {
        **plain, "observe": True, "braked": True, "counts": counts, "open": [view], "waiting": [view], "debts": [DEBT],
    }  # fmt: skip
    out = cli("status").out
    assert "observing only" in out
    assert "brake" in out
    assert out.index("WAITING FOR YOU") < out.index("NEXT") < out.index("DEBTS")
    assert QUESTION["answers"][1]["command"] in out
    assert cli("status", "--exit-code").code == 10


def test_exit_code_10_is_only_for_findings(cli: Cli) -> None:
    assert cli("plan", "orders", "--exit-code").code == 10
    assert cli("debts", "--exit-code").code == 10
    assert cli("status", "--exit-code").code == 0
    cli.requests.answers["verify"] = {
        "items": [
            {"credential": "orders", "ok": False, "homes": [{"home": "a@b", "answer": "rejected", "reason": "28P01"}]}
        ]
    }
    done = cli("verify", "orders")
    assert done.code == 10
    assert "NOT WORKING" in done.out
    assert "rejected (28P01)" in done.out
    cli.requests.answers["certificate"] = {**cli.requests.certificate(CAMPAIGN), "complete": False}
    assert cli("certificate", CAMPAIGN).code == 10
    for verdict in ("inconclusive", "fails", "missing"):
        steps = [{"kind": "key", "ability": "list", "ok": False, "verdict": verdict, "says": "403"}]
        cli.requests.answers["attempt"] = {"endpoint": "db", "steps": steps}
        assert cli("plugins", "try", "db").code == 10


def test_a_plan_that_is_refused_says_why(cli: Cli) -> None:
    refused = {"code": "unknown_endpoint", "says": "no endpoint db"}
    cli.requests.answers["plan"] = {
        "items": [{"credential": "orders", "kind": "rotate", "refused": refused, "steps": []}]
    }
    done = cli("plan", "orders")
    assert done.code == 3
    assert "no endpoint db [unknown_endpoint]" in done.out


def test_escape_sequences_of_a_platform_do_not_reach_the_terminal(cli: Cli) -> None:
    cli.requests.answers["debts"] = {"items": [{**DEBT, "home": "a\033[2J\rb@db", "handle": "\x07"}]}
    done = cli.typed(["debts"])
    assert "\033[2J" not in done.out
    assert "a?[2J?b@db" in done.out


def test_what_is_not_adopted_says_so_and_how(cli: Cli) -> None:
    cli.requests.answers["verify"] = {"items": [{"credential": "orders", "ok": False, "homes": []}]}
    done = cli("verify", "orders")
    assert done.code == 10
    assert "rotator adopt orders" in done.out
    cli.requests.answers["explain"] = {**cli.requests.explain("orders"), "adopted": None}
    assert "rotator adopt orders" in cli("explain", "orders").out


def seen(verdict: str, **more: str) -> dict[str, Any]:
    ok = verdict in {"works", "nothing"}
    plain = {"kind": "key", "ability": "preflight", "subject": "", "verdict": verdict, "code": "", "says": "we are adm",
             "do": "", "docs": ""}  # fmt: skip
    return {**plain, "ok": ok, **more}


def test_what_proves_nothing_is_not_ticked_and_says_what_to_do(cli: Cli) -> None:
    unsure = seen(
        "inconclusive", ability="probe of the admin value", subject="adm", code="throttled", says="throttled: Wait.",
        do="wait 7 s, then try again", docs="docs/runbook.md#rot-throttled",
    )  # fmt: skip
    cli.requests.answers["attempt"] = {"endpoint": "db", "steps": [unsure]}
    done = cli("plugins", "try", "db")
    assert done.code == 10
    assert done.out.splitlines() == [
        "? key: probe of the admin value of adm: INCONCLUSIVE: throttled: Wait. [throttled]",
        "    do    wait 7 s, then try again",
        "    more  docs/runbook.md#rot-throttled",
    ]
    assert cli("plugins", "try", "db", "-o", "json").document["steps"] == [unsure]


def test_each_finding_of_a_preflight_has_a_line_with_its_subject(cli: Cli) -> None:
    missing = [
        seen("missing", subject=name, code="may_not_patch", says="may not patch: Give it the right.", do="mend it",
             docs="docs/runbook.md#rot-may-not-patch")
        for name in ("orders", "bills")
    ]  # fmt: skip
    cli.requests.answers["attempt"] = {"endpoint": "db", "steps": [seen("works"), *missing, seen("nothing")]}
    done = cli("plugins", "try", "db")
    assert done.code == 10
    lines = done.out.splitlines()
    assert lines[0] == "✓ key: preflight: we are adm"
    assert [line for line in lines if "MISSING" in line] == [
        "! key: preflight of orders: MISSING: may not patch: Give it the right. [may_not_patch]",
        "! key: preflight of bills: MISSING: may not patch: Give it the right. [may_not_patch]",
    ]
    assert lines[-1] == "· key: preflight: we are adm"


def test_a_verdict_that_this_command_line_does_not_know_is_not_ticked(cli: Cli) -> None:
    cli.requests.answers["attempt"] = {"endpoint": "db", "steps": [{**seen("works"), "ok": False, "verdict": "later"}]}
    done = cli("plugins", "try", "db")
    assert (done.code, done.out[0]) == (10, "?")
