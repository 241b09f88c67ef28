"""Freezes and missed windows as the tick and the limits keep them: what is opened, what is held, what passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rotator.daemon.limits import LimitsOf
from rotator.engine.calendar import Schedule, Window
from rotator.engine.freezes import Freeze, Moment
from rotator.engine.inventory import CredentialId
from rotator.engine.requests import Selection
from rotator.engine.selectors import parse
from rotator.machine.facts import Ending, RunKind
from rotator.machine.steps import READS, OutcomeKind, StepKind
from tests.unit.engine_bench import DAY, ME, T0, Bench, credential

HOUR = 3_600_000
Make = Callable[..., Bench]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Bench] = []

    def bench(*definitions: object) -> Bench:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        found = Bench(folder, *(definitions or (credential(),)))  # type: ignore[arg-type]
        found.limits_of = LimitsOf(found.ledger, lambda: found.traits, lambda: found.tick.freezes())
        for one in definitions or (credential(),):
            found.adopted(one.id)  # type: ignore[attr-defined]
        made.append(found)
        return found

    yield bench
    for one in made:
        one.close()


def freeze(bench: Bench, start: int, end: int, only: str = "", passes: tuple[str, ...] = ("emergency",)) -> None:
    one = Freeze(
        "year-end", Moment(start), Moment(end), "UTC", "quiet days", parse(only) if only else None, frozenset(passes)
    )
    bench.tick.freezes = lambda: (one,)


def due_at(bench: Bench, name: str = "alpha") -> int:
    found = bench.row(name).next_due_at
    assert found is not None
    return found


# -- freezes -------------------------------------------------------------------------------------------------------


def test_a_freeze_opens_nothing_and_moves_no_due_time(make: Make) -> None:
    bench = make()
    freeze(bench, T0 + 30 * DAY, T0 + 40 * DAY)
    bench.clock.at = T0 + 31 * DAY
    assert bench.tick.open_due() == 0
    assert (bench.row().due_why, due_at(bench)) == ("frozen", T0 + 40 * DAY)
    found = bench.service.explain("alpha")
    assert (found["verdict"], found["again"]) == ("frozen", "2027-02-24T08:00:00.000Z")
    assert found["freeze"] == {"id": "year-end", "reason": "quiet days", "until": "2027-02-24T08:00:00.000Z"}
    (shown,) = bench.service.status()["freezes"]
    assert (shown["id"], shown["credentials"], shown["until"]) == ("year-end", 1, "2027-02-24T08:00:00.000Z")
    bench.clock.at = T0 + 40 * DAY
    assert bench.tick.open_due() == 1
    assert bench.service.status()["freezes"] == []


def test_only_what_its_selector_means_is_frozen(make: Make) -> None:
    bench = make(credential("alpha"), credential("beta"))
    freeze(bench, 0, T0 + 40 * DAY, only="team=b")
    bench.clock.at = T0 + 31 * DAY
    assert bench.tick.open_due() == 1
    assert bench.row("alpha").open_run is not None


def test_an_open_run_takes_neither_its_first_write_nor_its_first_kill_in_a_freeze(make: Make) -> None:
    bench = make(credential(overlap=2 * HOUR))
    freeze(bench, T0, T0 + DAY)
    run = bench.rotate()
    before = len(bench.world.calls)
    bench.work()
    held = bench.run(run)
    assert (held.held_why, held.wake_at) == ("frozen", T0 + DAY)
    assert all(call.work.step.kind in READS for call in bench.world.calls[before:])
    bench.clock.at = T0 + DAY
    bench.work()  # up to the overlap
    assert bench.run(run).held_why in {"overlap", "ripe"}
    freeze(bench, T0 + DAY, T0 + 2 * DAY)
    bench.clock.at = T0 + DAY + 3 * HOUR
    bench.work()
    held = bench.run(run)
    assert (held.held_why, held.wake_at) == ("frozen", T0 + 2 * DAY)
    assert StepKind.REVOKE not in bench.world.kinds()
    assert bench.finish(run).ending is Ending.SUCCEEDED


def test_a_contain_is_never_held_whatever_the_freeze_says(make: Make) -> None:
    bench = make()
    freeze(bench, 0, T0 + 400 * DAY, passes=())
    done = bench.service.emergency(ME, Selection(ids=("alpha",)), mode="contain", reason="leak", ticket="")
    run = done["runs"][0]["id"]
    opened = bench.clock.at
    assert bench.finish(run).ending is Ending.SUCCEEDED
    assert bench.clock.at < opened + DAY


@pytest.mark.parametrize("passes", [True, False])
def test_an_emergency_with_overlap_passes_where_the_freeze_says_so(make: Make, passes: bool) -> None:
    bench = make()
    freeze(bench, 0, T0 + 40 * DAY, passes=("emergency",) if passes else ())
    done = bench.service.emergency(ME, Selection(ids=("alpha",)), mode="overlap", reason="leak", ticket="")
    run = done["runs"][0]["id"]
    bench.work()
    assert (bench.run(run).held_why == "frozen") is not passes


def test_what_a_person_opens_passes_only_where_the_freeze_says_so(make: Make) -> None:
    bench = make()
    freeze(bench, 0, T0 + 40 * DAY, passes=("manual",))
    assert bench.finish(bench.rotate()).ending is Ending.SUCCEEDED
    bench.clock.at = T0 + 35 * DAY
    assert bench.tick.open_due() == 0


def test_a_freeze_that_begins_while_no_value_is_known_to_work_holds_nothing(make: Make) -> None:
    """K6: stopping in the middle of a lock-out would make it last."""
    bench = make(credential(kind=("db", "password")))
    run = bench.rotate()
    bench.world.script[StepKind.VERIFY] = lambda work: OutcomeKind.FAILED if work.step.gen == 2 else None
    bench.work()
    freeze(bench, 0, T0 + 400 * DAY, passes=())
    bench.world.script.clear()
    for _ in range(20):
        held = bench.run(run)
        if held.ended_at is not None or held.held_why == "frozen":
            break
        bench.clock.move(max(1, (held.wake_at or bench.clock.at) - bench.clock.at))
        bench.work()
    assert bench.world.current["alpha"] == 2, "the new value was put in force before anything was held"


# -- missed windows ------------------------------------------------------------------------------------------------

NIGHT = {"start": 60, "end": 300, "zone": "Europe/Berlin"}
OVER_MIDNIGHT = {"start": 1380, "end": 120, "zone": "Europe/Berlin"}
ALL_WINDOWS = pytest.mark.parametrize("window", [NIGHT, OVER_MIDNIGHT], ids=["night", "over_midnight"])


@ALL_WINDOWS
def test_down_during_the_window_the_next_one_is_taken(make: Make, window: dict[str, object]) -> None:
    bench = make(credential(window=Window(**window, missed="next")))  # type: ignore[arg-type]
    due = due_at(bench)
    bench.clock.at = due + 10 * HOUR
    assert bench.tick.open_due() == 0
    assert bench.row().due_why == "outside_window"
    opens = due_at(bench)
    assert due + 14 * HOUR < opens <= due + DAY + HOUR
    bench.clock.at = opens
    assert bench.tick.open_due() == 1
    assert bench.ledger.runs(limit=1)[0].reason == "due"


@ALL_WINDOWS
def test_down_during_the_window_it_is_made_up_for_at_once_and_not_held_by_the_window(
    make: Make, window: dict[str, object]
) -> None:
    bench = make(credential(window=Window(**window, missed="now")))  # type: ignore[arg-type]
    bench.clock.at = due_at(bench) + 10 * HOUR
    assert bench.service.explain("alpha")["verdict"] == "missed_window"
    assert bench.tick.open_due() == 1
    run = bench.ledger.runs(limit=1)[0]
    assert (run.kind, run.actor, run.reason) == (RunKind.ROTATE, "scheduler", "missed_window")
    at = bench.clock.at
    assert bench.finish(run.id).ending is Ending.SUCCEEDED
    assert bench.clock.at < at + HOUR


@ALL_WINDOWS
def test_down_during_the_window_the_rotation_is_left_out(make: Make, window: dict[str, object]) -> None:
    bench = make(credential(window=Window(**window, missed="skip")))  # type: ignore[arg-type]
    due = due_at(bench)
    bench.clock.at = due + 10 * HOUR
    assert bench.tick.open_due() == 0
    assert bench.row().due_why == "not_due"
    later = due_at(bench)
    assert due + 29 * DAY < later < due + 31 * DAY
    for night in range(1, 29):  # the nights between are open, and are not its own
        bench.clock.at = due + night * DAY
        bench.tick.refresh(CredentialId("alpha"))
        assert bench.tick.open_due() == 0
    bench.clock.at = later
    assert bench.tick.open_due() == 1


@pytest.mark.parametrize("missed", ["next", "now", "skip"])
def test_late_within_its_own_window_it_is_opened_whatever_the_rule(make: Make, missed: str) -> None:
    bench = make(credential(window=Window(60, 300, "Europe/Berlin", missed)))  # type: ignore[arg-type]
    bench.clock.at = due_at(bench) + HOUR
    assert bench.tick.open_due() == 1
    assert bench.ledger.runs(limit=1)[0].reason == "due"


@pytest.mark.parametrize(
    ("missed", "opened"),
    [("next", "2027-03-29T23:00+02:00"), ("now", "2027-03-28T12:00+02:00"), ("skip", "2027-04-03T23:30+02:00")],
)
def test_the_window_of_the_night_in_which_the_clock_goes_forward_is_missed(
    make: Make, missed: str, opened: str
) -> None:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    def at(text: str) -> int:
        return int(datetime.fromisoformat(text).timestamp() * 1000)

    window = Window(1380, 120, "Europe/Berlin", missed)  # type: ignore[arg-type]
    weekly = Schedule(cron="30 23 * * 6", zone="Europe/Berlin", window=window)
    bench = make(credential(schedule=weekly))
    row = bench.row()
    bench.clock.at = at("2027-03-22T12:00+01:00")
    from dataclasses import replace

    from rotator.engine.scheduling import due_time

    due = due_time(replace(row, last_success_at=bench.clock.at), None).at
    assert due == at("2027-03-27T23:30+01:00")
    bench.ledger.set_due([(CredentialId("alpha"), due, "policy")])
    bench.tick._rotation = lambda row, last: due_time(  # type: ignore[method-assign]
        replace(row, last_success_at=at("2027-03-22T12:00+01:00")), None
    )
    bench.clock.at = at("2027-03-28T12:00+02:00")
    count = bench.tick.open_due()
    if missed == "now":
        assert count == 1
        return
    assert count == 0
    zone = ZoneInfo("Europe/Berlin")
    shown = datetime.fromtimestamp(due_at(bench) / 1000, zone).isoformat(timespec="minutes")
    assert shown == (opened if missed == "skip" else "2027-03-28T23:00+02:00")


def test_a_run_that_failed_is_tried_again_in_the_next_window_not_beside_it(make: Make) -> None:
    bench = make(credential(window=Window(60, 300, "UTC", "now")))
    bench.clock.at = due_at(bench) + 3 * HOUR
    bench.world.script[StepKind.INSTALL] = lambda work: OutcomeKind.REFUSED if work.step.gen == 2 else None
    assert bench.tick.open_due() == 1
    ended = bench.finish(bench.ledger.runs(limit=1)[0].id)
    assert ended.ending is Ending.ROLLED_BACK
    assert ended.ended_at is not None
    from rotator.engine.calendar import in_window

    assert in_window(Window(60, 300, "UTC"), due_at(bench))
    assert due_at(bench) >= ended.ended_at + HOUR
