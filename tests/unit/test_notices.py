"""Notices: written with what they tell of, routed once, worded without a value, due again when they should be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rotator.daemon.postroom import question_of
from rotator.engine.delivery import (
    LONGEST_PAUSE,
    Route,
    destinations,
    message,
    message_id,
    pause_after,
    subject_of,
)
from rotator.engine.inventory import CredentialId
from rotator.engine.notices import ENDINGS, EVENTS, Notice
from rotator.engine.requests import Selection
from rotator.engine.selectors import parse
from rotator.engine.watch import WatchRules, watching
from rotator.machine.events import Outcome
from rotator.machine.facts import Ending
from rotator.machine.steps import Answer, OutcomeKind, Probed, StepKind
from tests.unit.engine_bench import DAY, ME, T0, Bench, credential

HOUR = 3_600_000
RULES = WatchRules()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, credential())
    made.adopted()
    yield made
    made.close()


def told(bench: Bench, *, but: tuple[str, ...] = ("run_succeeded",)) -> list[Notice]:
    return [one.notice for one in bench.ledger.unrouted(1000) if one.notice.event not in but]


def words(notice: Notice, bench: Bench, question: Any = None) -> dict[str, Any]:
    one = None if notice.credential is None else bench.row(notice.credential).definition
    return message(notice, one, question, installation="acme", epoch="e1", runbook="https://docs.example/")


# -- from the journal ----------------------------------------------------------------------------------------------


def test_every_ending_has_its_event() -> None:
    assert set(ENDINGS) == set(Ending)
    assert set(ENDINGS.values()) <= set(EVENTS)


def test_a_run_that_ends_is_told_in_the_transaction_that_ends_it(bench: Bench) -> None:
    (adopted,) = bench.ledger.unrouted(10)
    assert (adopted.notice.event, adopted.notice.facts) == ("run_succeeded", (("kind", "adopt"),))
    run = bench.rotate()
    bench.finish(run)
    last = list(bench.ledger.unrouted(10))[-1].notice
    assert (last.event, last.run, last.credential) == ("run_succeeded", run, "alpha")
    assert last.key == f"journal:{bench.ledger.journal(run)[-1].sequence}"  # type: ignore[arg-type]


def test_what_is_owed_is_told_with_how_much(bench: Bench) -> None:
    bench.world.script[StepKind.PROVE] = lambda w: Outcome(w.step, OutcomeKind.DONE, Probed(Answer.INCONCLUSIVE), "t_o")
    bench.finish(bench.rotate())
    (owed,) = told(bench)
    assert (owed.event, dict(owed.facts)) == ("run_owed", {"kind": "rotate", "debts": "1"})


def test_a_question_and_its_answer_belong_together(bench: Bench) -> None:
    bench.world.script[StepKind.VERIFY] = lambda work: OutcomeKind.MISCONFIGURED
    run = bench.rotate()
    bench.finish(run)
    bench.world.script.clear()
    (asked,) = told(bench)
    assert (asked.event, dict(asked.facts)["topic"]) == ("question_asked", "misconfigured")
    view = bench.service.run(run)["question"]
    document = words(asked, bench, view)
    assert [one for one in document["data"]["do"] if f"rotator runs answer {run} retry" in one]
    assert document["data"]["question"]["answers"] == view["answers"]
    assert document["data"]["docs"] == "https://docs.example/runbook.md#rot-ask-misconfigured"
    bench.service.answer(ME, run, "retry", about={}, reason="it was the clock: canary-prose")
    answered = told(bench)[-1]
    assert (answered.event, answered.about) == ("question_answered", asked.about)
    assert words(answered, bench)["about"] == document["about"]


def test_an_answered_question_is_not_asked_again_in_the_message(bench: Bench) -> None:
    bench.world.script[StepKind.VERIFY] = lambda work: OutcomeKind.MISCONFIGURED
    run = bench.rotate()
    bench.finish(run)
    bench.world.script.clear()
    asked = told(bench)[0]
    bench.service.answer(ME, run, "retry", about={}, reason="x")
    view = question_of(bench.service.run)
    assert view(run) is None
    assert view("no-such-run") is None
    assert "question" not in words(asked, bench, view(run))["data"]


def test_an_emergency_is_told_when_it_opens(bench: Bench) -> None:
    bench.service.emergency(ME, Selection(ids=("alpha",)), mode="contain", reason="leak", ticket="")
    (opened,) = told(bench)
    assert (opened.event, dict(opened.facts)["kind"]) == ("emergency_opened", "contain")


def test_a_write_that_is_refused_tells_nothing(bench: Bench) -> None:
    """A worker that lost its lease appends nothing, and nobody hears of it."""
    from rotator.engine.ports import Claim, LeaseLost, RunId
    from rotator.machine.events import Finished

    run = RunId(bench.rotate())
    before = len(told(bench, but=()))
    with pytest.raises(LeaseLost):
        bench.ledger.append(Claim(run, 99, T0), [Finished(Ending.ABANDONED)], bench.row().facts, bench.clock.at)
    assert len(told(bench, but=())) == before


def test_no_text_of_a_person_or_a_platform_is_in_any_message(bench: Bench) -> None:
    bench.world.script[StepKind.VERIFY] = lambda w: Outcome(w.step, OutcomeKind.MISCONFIGURED, None, "acting_refused")
    done = bench.service.rotate(
        ME, Selection(ids=("alpha",)), reason="canary-prose of a person", ticket="canary-ticket"
    )
    run = done["runs"][0]["id"]
    bench.finish(run)
    view = bench.service.run(run)["question"]
    for notice in told(bench, but=()):
        assert "canary" not in json.dumps(words(notice, bench, view))


# -- left and returned ---------------------------------------------------------------------------------------------


def test_what_the_configuration_no_longer_names_is_told_once_and_its_return_too(bench: Bench) -> None:
    bench.ledger.accept([], {}, bench.clock.at)
    bench.ledger.accept([], {}, bench.clock.at + 1)
    (left,) = told(bench)
    assert (left.event, left.credential) == ("unmanaged", "alpha")
    assert "rotator retire --only id=alpha" in words(left, bench)["data"]["do"]
    bench.ledger.accept([credential()], {}, bench.clock.at + 2)
    back = told(bench)[-1]
    assert (back.event, back.about) == ("managed_again", left.about)
    bench.ledger.accept([], {}, bench.clock.at + 3)
    assert [one.event for one in told(bench)] == ["unmanaged", "managed_again", "unmanaged"]


def test_what_was_never_alive_or_is_dead_leaves_in_silence(tmp_path: Path) -> None:
    bench = Bench(tmp_path, credential("alpha"), credential("beta"))
    bench.adopted("beta")
    done = bench.service.retire(ME, "flow", apply=True, reason="off", ticket="")
    bench.finish(done["runs"][0]["id"])
    bench.ledger.accept([], {}, bench.clock.at)
    assert told(bench) == []
    assert bench.service.status()["unmanaged"] == []
    bench.close()


# -- conditions ----------------------------------------------------------------------------------------------------


def conditions(bench: Bench, rules: WatchRules = RULES) -> list[Notice]:
    bench.ledger.tell(list(watching(bench.ledger.credentials(), bench.ledger.debts(), rules, bench.clock.at)))
    return [one for one in told(bench) if one.event in {"debt_overdue", "expiry_near", "expired"}]


def test_a_debt_is_told_of_when_it_is_old_and_again_when_it_has_doubled(bench: Bench) -> None:
    bench.world.script[StepKind.PROVE] = lambda w: Outcome(w.step, OutcomeKind.DONE, Probed(Answer.INCONCLUSIVE), "t_o")
    bench.finish(bench.rotate())
    (debt,) = bench.ledger.debts()
    days = []
    for day in range(20):
        bench.clock.at = debt.since + day * DAY
        if len(conditions(bench)) > len(days):
            days.append(day)
    assert days == [1, 2, 4, 8, 16]
    notice = conditions(bench)[0]
    assert dict(notice.facts)["home"] == "svc@api"
    assert len({one.about for one in conditions(bench)}) == 1


def test_an_expiry_is_told_of_once_for_each_span_and_not_all_at_once(bench: Bench) -> None:
    expires = bench.row().definition.expires
    days = []
    for left in (40, 31, 30, 29, 8, 7, 6, 2, 1, 0, -1, -30):
        bench.clock.at = expires - left * DAY
        if len(conditions(bench)) > len(days):
            days.append(left)
    assert days == [30, 7, 1, 0]
    assert [one.event for one in conditions(bench)] == ["expiry_near"] * 3 + ["expired"]


def test_whoever_starts_late_is_told_of_the_nearest_only(bench: Bench) -> None:
    bench.clock.at = bench.row().definition.expires - 2 * DAY
    assert len(conditions(bench)) == 1


def test_a_new_expiry_is_told_of_anew_and_what_is_retired_nags_nobody(bench: Bench) -> None:
    expires = bench.row().definition.expires
    bench.clock.at = expires - DAY
    assert len(conditions(bench)) == 1
    bench.ledger.accept([replace(credential(), expires=expires + DAY)], {}, bench.clock.at)
    assert len(conditions(bench)) == 2
    done = bench.service.retire(ME, "flow", apply=True, reason="off", ticket="")
    bench.finish(done["runs"][0]["id"])
    bench.clock.at = expires + 30 * DAY
    assert len(conditions(bench)) == 2


# -- routes --------------------------------------------------------------------------------------------------------


def test_a_route_takes_events_of_those_that_it_selects() -> None:
    routes = (
        Route("all", None, ("ops",)),
        Route("team-a", frozenset({"run_owed"}), ("mail", "ops"), parse("team=a")),
        Route("team-b", None, ("other",), parse("team=b")),
    )
    owed = Notice("run_owed", 1, "k", CredentialId("alpha"))
    assert destinations(routes, owed, credential("alpha")) == [("ops", "all"), ("mail", "team-a")]
    brake = Notice("brake_on", 1, "k")
    assert destinations(routes, brake, None) == [("ops", "all")], "what is about none goes by routes without a selector"
    dead = Notice("delivery_dead", 1, "k", facts=(("channel", "ops"),))
    assert destinations(routes, dead, None) == [], "a channel is not told that it takes nothing"
    test = Notice("test", 1, "k", facts=(("route", "team-b"),))
    assert destinations(routes, test, None) == [("other", "team-b")]


def test_every_event_has_words_a_page_and_commands_that_can_be_filled(bench: Bench) -> None:
    page = (Path(__file__).parents[2] / "docs/notifications.md").read_text()
    facts = (("channel", "mail"), ("route", "r"), ("topic", "refused"), ("endpoint", "api"))
    for event, kind in EVENTS.items():
        document = words(Notice(event, T0, "k", CredentialId("alpha"), "run-1", facts=facts), bench)
        assert all("{" not in command for command in document["data"]["do"])
        assert f'<a id="{event}"></a>`{event}`' in page, f"{event} is not in docs/notifications.md"
        assert kind.says in page
        assert subject_of(document).startswith("[acme] alpha: ")


def test_the_id_is_the_same_for_ever_and_another_elsewhere() -> None:
    ids = {message_id("acme", "e1", "k"), message_id("acme", "e2", "k"), message_id("other", "e1", "k")}
    assert len(ids) == 3
    assert message_id("acme", "e1", "k") in ids


def test_pauses_grow_and_never_beyond_an_hour() -> None:
    pauses = [pause_after(n, None) for n in range(1, 40)]
    assert pauses[:4] == [10_000, 20_000, 40_000, 80_000]
    assert max(pauses) == pauses[-1] == LONGEST_PAUSE
    assert pause_after(1, 60_000) == 60_000, "as the receiver asks"
    assert pause_after(1, 10**12) == LONGEST_PAUSE
    assert pause_after(3, 1) == 40_000
