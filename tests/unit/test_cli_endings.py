"""Waiting and ending: exit codes, what an uncertain end prints, interruption, a daemon that comes and goes."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rotator.cli import exits
from rotator.daemon.api import ApiServer
from rotator.daemon.clock import SystemClock
from rotator.engine.requests import RequestRefused
from tests.unit.cli_process import Cli, cli_over
from tests.unit.requests_double import CAMPAIGN, DEBT, QUESTION, RUN, event, run_view

ROTATE = ("rotate", "orders", "--reason", "drill")


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    with cli_over(tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("ending", "code", "says"),
    [
        ("succeeded", 0, "succeeded"),
        ("rolled_back", 11, "FAILED SAFE: the old value works"),
        ("abandoned", 12, "UNCERTAIN"),
        ("contained", 14, "CONTAINED: the old value is proven dead"),
        ("owed", 15, "SUCCEEDED OWING: the new value serves"),
    ],
)
def test_a_command_ends_as_its_run_does(cli: Cli, ending: str, code: int, says: str) -> None:
    cli.requests.ends[RUN] = (ending, code)
    cli.requests.views[RUN] = run_view(debts=[DEBT] if ending == "owed" else [])
    done = cli(*ROTATE)
    assert done.code == code
    assert says in done.out
    assert ("OWED" in done.out) == (ending == "owed")
    document = cli(*ROTATE, "-o", "json").document
    assert document["exit"] == code
    assert document["runs"][0]["ending"] == ending


def test_uncertain_prints_known_unknown_and_the_commands(cli: Cli) -> None:
    cli.requests.ends[RUN] = (None, 12)
    cli.requests.views[RUN] = run_view(question=QUESTION, display="waiting for you: not verified")
    done = cli(*ROTATE)
    assert done.code == 12
    for text in (
        QUESTION["says"], QUESTION["known"][0], QUESTION["unknown"][0], *(a["command"] for a in QUESTION["answers"]),
        "[ROT-ASK-NOT-VERIFIED]", "docs/runbook.md#rot-ask-not-verified",
    ):  # fmt: skip
        assert text in done.err
    assert cli("runs", "watch", RUN, "-o", "json").document["runs"][0]["question"] == QUESTION


def test_several_runs_that_end_differently_are_9(cli: Cli) -> None:
    runs = [cli.requests.views[RUN], cli.requests.add_run(2, "mail", "rolled_back", 11)]
    cli.requests.answers["rotate"] = {"campaign": CAMPAIGN, "runs": runs, "refused": []}
    done = cli("rotate", "--all", "--yes", "--reason", "x", "-o", "json")
    assert done.code == 9
    assert [one["exit"] for one in done.document["runs"]] == [0, 11]


def test_several_runs_that_end_alike_end_so(cli: Cli) -> None:
    runs = [cli.requests.add_run(2, "a", "rolled_back", 11), cli.requests.add_run(3, "b", "rolled_back", 11)]
    cli.requests.answers["rotate"] = {"campaign": CAMPAIGN, "runs": runs, "refused": []}
    assert cli("rotate", "a", "b", "--reason", "x").code == 11


def test_a_credential_that_was_refused_is_listed_and_makes_9(cli: Cli) -> None:
    refused = [{"credential": "mail", "code": "ROT-RUN-OPEN", "says": "a run is open already", "run": RUN}]
    cli.requests.answers["rotate"] = {"campaign": CAMPAIGN, "runs": [cli.requests.views[RUN]], "refused": refused}
    done = cli("rotate", "orders", "mail", "--reason", "x")
    assert done.code == 9
    assert "REFUSED: a run is open already [ROT-RUN-OPEN]" in done.out
    assert cli("rotate", "orders", "mail", "--reason", "x", "--no-wait").code == 9


def test_no_wait_prints_the_run_and_ends(cli: Cli) -> None:
    cli.requests.ends[RUN] = (None, -1)
    done = cli(*ROTATE, "--no-wait")
    assert done.code == 0
    assert RUN in done.out
    assert "events" not in [name for name, _, _ in cli.requests.calls]


def test_a_timeout_is_8_and_says_that_the_run_goes_on(cli: Cli) -> None:
    cli.requests.ends[RUN] = (None, -1)
    began = time.monotonic()
    done = cli(*ROTATE, "--timeout", "1s")
    assert done.code == 8
    assert 0.9 < time.monotonic() - began < 6
    assert f"rotator runs watch {RUN}" in done.err
    assert cli(*ROTATE, "--timeout", "1s", "-o", "json").document["exit"] == 8


def test_ctrl_c_is_130_and_the_run_goes_on(cli: Cli) -> None:
    cli.requests.ends[RUN] = (None, -1)
    process = cli.start(*ROTATE, "-o", "json")
    assert cli.requests.entered.wait(20)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert f"rotator runs watch {RUN}" in err
    assert "ROT-INTERRUPTED" in out
    assert cli.requests.acts() == ["rotate"]


def test_ndjson_is_one_event_a_line_and_a_result(cli: Cli) -> None:
    lines = cli(*ROTATE, "-o", "ndjson").lines
    assert [one["type"] for one in lines] == ["event"] * 4 + ["result"]
    assert [one["sequence"] for one in lines[:-1]] == [1, 2, 3, 4]
    assert lines[-1]["exit"] == 0


def test_progress_is_on_standard_error_and_quiet_is_silent(cli: Cli) -> None:
    done = cli(*ROTATE)
    assert "install g3 at orders_b@orders-db: done" in done.err
    assert "install g3" not in done.out
    assert cli(*ROTATE, "-q").err == ""
    assert cli(*ROTATE, "-o", "json").err == ""


def test_events_that_come_in_pieces_are_told_once(cli: Cli) -> None:
    rows = list(cli.requests.journal[RUN])
    cli.requests.journal[RUN], cli.requests.ends[RUN] = [], (None, -1)

    def feed() -> None:
        cli.requests.entered.wait(20)
        for row in rows:
            time.sleep(0.15)
            cli.requests.journal[RUN].append(row)
        cli.requests.ends[RUN] = ("succeeded", 0)

    feeding = threading.Thread(target=feed)
    feeding.start()
    lines = cli(*ROTATE, "-o", "ndjson").lines
    feeding.join()
    assert [one["sequence"] for one in lines if one["type"] == "event"] == [1, 2, 3, 4]


def test_a_wait_outlives_a_restart_of_the_daemon(cli: Cli) -> None:
    cli.requests.ends[RUN] = (None, -1)
    process = cli.start(*ROTATE)
    assert cli.requests.entered.wait(20)
    cli.requests.hold.set()
    cli.server.stop(5)
    time.sleep(1.5)
    cli.requests.ends[RUN] = ("succeeded", 0)
    again = ApiServer(cli.socket, cli.requests, SystemClock())
    again.start()
    _, err = process.communicate(timeout=30)
    again.stop(1)
    assert process.returncode == 0
    assert "the daemon does not answer" in err


def test_a_terminal_is_repainted_and_ends_clean(cli: Cli) -> None:
    done = cli.typed(ROTATE)
    assert done.code == 0
    assert "\033[2A\033[J" in done.out
    assert done.out.count("\033[32m✓\033[0m install g3 at orders_b@orders-db: done") == 1
    assert "succeeded" in done.out.splitlines()[-1]


@pytest.mark.parametrize("variable", ["ROTATOR_ACCESSIBLE", "ACCESSIBLE"])
def test_accessible_is_never_repainted(cli: Cli, variable: str) -> None:
    done = cli.typed(ROTATE, **{variable: "1"})
    assert "\033[J" not in done.out
    assert "\033[1A" not in done.out
    assert "install g3 at orders_b@orders-db: done" in done.out


@pytest.mark.parametrize("extra", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"ROTATOR_COLOR": "never"}])
def test_colours_can_be_switched_off(cli: Cli, extra: dict[str, str]) -> None:
    assert "\033[" not in cli.typed(["status"], **extra).out
    assert "\033[1m" in cli.typed(["status"]).out
    assert "\033[1m" in cli("status", "--color", "always").out


# ---- asking --------------------------------------------------------------------------------------------------------

ASKS: list[tuple[tuple[str, ...], str, str]] = [
    (("rotate", "--all", "--reason", "x"), "--yes", "y"),
    (("rotate", "-l", "a=b", "--reason", "x"), "--yes", "y"),
    (("emergency", "orders", "--mode", "contain", "--reason", "x"), "--yes", "yes"),
    (("emergency", "orders", "--mode", "overlap", "--reason", "x"), "--yes", "y"),
    (("runs", "answer", RUN, "give_up", "--reason", "x"), "--yes", "y"),
    (("runs", "answer", RUN, "abandon", "--reason", "x"), "--yes", "y"),
    (("pause", "--all", "--reason", "x"), "--yes", "y"),
    (("retire", "w", "--apply", "--reason", "x"), "--confirm w", "w"),
]


@pytest.mark.parametrize(("words", "flag", "typed"), ASKS)
def test_without_a_terminal_a_dangerous_act_names_its_flag(
    cli: Cli, words: tuple[str, ...], flag: str, typed: str
) -> None:
    done = cli(*words)
    assert done.code == 2
    assert flag in done.err
    assert _acted(cli) == []
    assert cli.typed([*words, "--no-input"]).code == 2
    assert _acted(cli) == []


@pytest.mark.parametrize(("words", "flag", "typed"), ASKS)
def test_on_a_terminal_a_dangerous_act_asks(cli: Cli, words: tuple[str, ...], flag: str, typed: str) -> None:
    shown = "to go on: " if "--confirm" in flag else "[y/N] "
    assert cli.typed(words, "n\n", shown).code == 2
    assert _acted(cli) == []
    assert cli.typed(words, f"{typed}\n", shown).code == 0
    assert len(_acted(cli)) == 1


def _acted(cli: Cli) -> list[str]:
    """Acts that change something: the plan of a retirement is none."""
    return [name for name, caller, said in cli.requests.calls if caller is not None and said.get("apply") is not False]


def test_yes_does_not_stand_for_a_name(cli: Cli) -> None:
    assert cli("retire", "w", "--apply", "--confirm", "other", "--reason", "x").code == 2
    assert cli("retire", "w", "--apply", "--yes", "--reason", "x").code == 2
    assert _acted(cli) == []


@pytest.mark.parametrize(
    "words",
    [
        ("rotate", "orders"), ("emergency", "orders", "--mode", "contain", "--yes"), ("runs", "back", RUN),
        ("retire", "w", "--apply", "--confirm", "w"), ("runs", "answer", RUN, "retry"), ("pause", "orders"),
    ],
)  # fmt: skip
def test_an_act_without_a_reason_is_refused_here(cli: Cli, words: tuple[str, ...]) -> None:
    done = cli(*words)
    assert done.code == 2
    assert "--reason" in done.err
    assert _acted(cli) == []


# ---- failures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [code for code in exits.MEANINGS if 0 < code < 100])
def test_a_refusal_keeps_its_exit_code_in_every_format(cli: Cli, code: int) -> None:
    refused: Any = RequestRefused("ROT-SOME-CODE", "it was refused", exit=code, hint="look there", run=RUN)
    cli.requests.answers["rotate"] = refused
    done = cli(*ROTATE)
    assert (done.code, done.out) == (code, "")
    for text in ("it was refused", "[ROT-SOME-CODE]", "look there", RUN, "docs/runbook.md#rot-some-code"):
        assert text in done.err
    done = cli(*ROTATE, "-o", "json")
    assert done.code == code
    assert done.document["error"]["code"] == "ROT-SOME-CODE"
    done = cli(*ROTATE, "-o", "ndjson")
    assert done.lines[-1]["error"]["exit"] == code


def test_a_bug_of_the_daemon_is_1_with_its_report(cli: Cli) -> None:
    cli.requests.answers["status"] = ValueError("canary-in-a-bug")
    done = cli("status", "-o", "json")
    assert done.code == 1
    assert "report" in done.document["error"]["message"]
    assert "canary" not in done.out + done.err


def test_an_event_that_never_ends_does_not_spin(cli: Cli) -> None:
    cli.requests.ends[RUN] = (None, -1)
    cli.requests.journal[RUN] = [event(1, "opened", "rotate opened")]
    cli(*ROTATE, "--timeout", "3s")
    asked = [said for name, _, said in cli.requests.calls if name == "events"]
    assert len(asked) < 12
