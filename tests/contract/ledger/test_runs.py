"""The ledger's contract: opening, claiming, fencing, appending, giving back, ending."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from rotator.engine.inventory import CredentialId
from rotator.engine.ports import Claim, Entry, LeaseLost, Ledger, LedgerError, Observed, RunId, RunOpen
from rotator.machine.events import Asked, Finished, Opened
from rotator.machine.evolve import evolve
from rotator.machine.facts import Ending, Question, RunKind, Topic
from rotator.machine.ids import Gen
from rotator.machine.steps import Grade

from .drivers import Driver
from .samples import HOME, T0, definition, end, opened, plan, read_done, reading, row, start
from .test_inventory import ALPHA, BETA, refused

R1 = RunId("r1")


@pytest.fixture
def named(ledger: Ledger) -> Ledger:
    """A ledger that knows alpha and beta."""
    ledger.accept([definition("alpha"), definition("beta")], {}, T0)
    return ledger


def test_a_run_comes_back_as_it_was_opened_and_claimed(named: Ledger, driver: Driver) -> None:
    claim, facts = start(named, by="w1", lease=1000)
    assert claim == Claim(R1, 1, T0 + 1000)
    named.close()
    again = driver()
    assert again.run(R1) == replace(row("r1"), owner="w1", fence=1)
    held = again.credential(ALPHA)
    assert held is not None
    assert (held.facts, held.open_run, held.facts_sequence) == (facts, R1, again.sequence())
    assert again.journal(R1) == [Entry(again.sequence(), R1, T0, 1, "ann", Opened(RunKind.ROTATE))]
    again.close()


def test_a_credential_has_one_open_run(named: Ledger) -> None:
    start(named)
    before = named.credential(ALPHA)
    with pytest.raises(RunOpen) as error:
        start(named, "r2")
    assert (error.value.run, error.value.code) == (R1, "run_open")
    assert (named.run(RunId("r2")), named.credential(ALPHA), named.sequence()) == (None, before, 1)
    start(named, "r3", "beta")


def test_many_openers_at_once_open_one_run(named: Ledger, driver: Driver) -> None:
    other, outcomes = driver(), list[str]()
    gate = threading.Barrier(8)

    def opener(by: Ledger, name: str) -> None:
        gate.wait(10)
        try:
            start(by, name)
            outcomes.append("opened")
        except RunOpen:
            outcomes.append("run_open")

    threads = [threading.Thread(target=opener, args=((named, other)[n % 2], f"r{n}")) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["opened"] + ["run_open"] * 7
    assert (len(named.runs()), named.sequence()) == (1, 1)
    other.close()


def test_opening_is_refused_for_what_is_not_known_or_there_already(named: Ledger) -> None:
    with refused("unknown_credential"):
        start(named, "r9", "nobody")
    with refused("no_events"):
        named.open_run(row("r1"), [], opened(), claim_by="w", lease_until=T0)
    claim, facts = start(named)
    end(named, claim, facts)
    with refused("run_exists"):
        start(named, "r1", "beta")
    with refused("run_exists"):
        start(named, "r1")
    assert named.sequence() == 2


def test_a_run_is_not_opened_over_facts_that_are_no_longer_true(named: Ledger) -> None:
    stale = named.credential(ALPHA)
    assert stale is not None
    claim, facts = start(named)
    end(named, claim, facts)
    with refused("stale_facts"):
        named.open_run(
            row("r2"), [Opened(RunKind.ROTATE)], opened(), claim_by="w", lease_until=T0, after=stale.facts_sequence
        )
    fresh = named.credential(ALPHA)
    assert fresh is not None
    assert (named.run(RunId("r2")), fresh.open_run, fresh.facts_sequence) == (None, None, 2)
    named.open_run(
        row("r2"), [Opened(RunKind.ROTATE)], opened(), claim_by="w", lease_until=T0, after=fresh.facts_sequence
    )


def test_events_and_facts_are_appended_together_and_in_order(named: Ledger) -> None:
    claim, facts = start(named)
    facts = evolve(plan(), facts, reading(), T0 + 1)
    named.append(claim, [reading()], facts, T0 + 1, lease_until=T0 + 5000)
    seen = Observed(Gen(1), HOME, "bad_key", "401", Grade.SUCCESSOR, "successor", "svc", "k1:aa")
    facts = evolve(plan(), facts, read_done(), T0 + 2)
    asked = Asked(Question(Topic.FOREIGN, None, "store"))
    facts = evolve(plan(), facts, asked, T0 + 2)
    named.append(claim, [read_done(), asked], facts, T0 + 2, actor="bob: because", observed=seen)
    entries = named.journal(R1)
    assert [entry.sequence for entry in entries] == [1, 2, 3, 4]
    assert [entry.event for entry in entries] == [Opened(RunKind.ROTATE), reading(), read_done(), asked]
    assert [(entry.at, entry.actor, entry.observed) for entry in entries[1:]] == [
        (T0 + 1, "", None),
        (T0 + 2, "bob: because", None),
        (T0 + 2, "bob: because", seen),
    ]
    assert named.journal(R1, after=3) == entries[3:]
    held = named.credential(ALPHA)
    assert held is not None
    assert (held.facts, held.facts_sequence, named.sequence()) == (facts, 4, 4)
    assert named.fingerprints(ALPHA) == {1: "k1:aa"}
    assert named.claim_next(T0 + 4999, "w2", T0 + 9000) is None


def test_the_first_fingerprint_of_a_generation_stays(named: Ledger) -> None:
    claim, facts = start(named)
    for text in ("k1:aa", "k1:bb"):
        facts = evolve(plan(), facts, reading(), T0)
        named.append(claim, [reading()], facts, T0)
        facts = evolve(plan(), facts, read_done(), T0)
        named.append(claim, [read_done()], facts, T0, observed=Observed(gen=Gen(3), fingerprint=text))
    assert named.fingerprints(ALPHA) == {3: "k1:aa"}
    assert [e.observed.fingerprint for e in named.journal(R1) if e.observed is not None] == ["k1:aa", "k1:bb"]


def test_an_old_fence_writes_nothing(named: Ledger) -> None:
    old, facts = start(named, lease=10)
    new = named.claim_next(T0 + 10, "w2", T0 + 500)
    assert new == Claim(R1, 2, T0 + 500)
    before = (named.run(R1), named.credential(ALPHA), named.journal(R1))
    with pytest.raises(LeaseLost):
        named.append(old, [reading()], evolve(plan(), facts, reading(), T0), T0)
    with pytest.raises(LeaseLost):
        named.append(old, [Finished(Ending.OWED)], evolve(plan(), facts, Finished(Ending.OWED), T0), T0)
    with pytest.raises(LeaseLost):
        named.release(old, T0, "late")
    assert before == (named.run(R1), named.credential(ALPHA), named.journal(R1))
    assert new is not None
    named.append(new, [reading(2)], evolve(plan(), facts, reading(2), T0 + 11), T0 + 11)
    assert [entry.fence for entry in named.journal(R1)] == [1, 2]


def test_a_lease_that_ran_out_unclaimed_still_writes(named: Ledger) -> None:
    claim, facts = start(named, lease=1)
    named.append(claim, [reading()], evolve(plan(), facts, reading(), T0 + 99), T0 + 99)
    assert len(named.journal(R1)) == 2


def test_a_live_lease_keeps_others_away_and_its_owner_may_claim_anew(named: Ledger) -> None:
    start(named, lease=100, by="w1")
    assert named.claim(R1, T0 + 99, "w2", T0 + 999) is None
    assert named.claim_next(T0 + 99, "w1", T0 + 999) is None
    assert named.claim(R1, T0 + 99, "w1", T0 + 200) == Claim(R1, 2, T0 + 200)
    assert named.claim(R1, T0 + 200, "w2", T0 + 999) == Claim(R1, 3, T0 + 999)
    run = named.run(R1)
    assert run is not None
    assert (run.owner, run.fence) == ("w2", 3)


def test_the_run_that_has_been_due_longest_is_claimed_first(named: Ledger) -> None:
    first, _ = start(named, "r1", "alpha")
    second, _ = start(named, "r2", "beta")
    named.release(first, T0 + 50, "overlap")
    named.release(second, T0 + 40, "settle")
    assert named.claim_next(T0 + 39, "w", T0 + 900) is None
    assert named.claim_next(T0 + 60, "w", T0 + 900) == Claim(RunId("r2"), 2, T0 + 900)
    assert named.claim_next(T0 + 60, "w", T0 + 900) == Claim(R1, 2, T0 + 900)
    assert named.claim_next(T0 + 60, "w", T0 + 900) is None


def test_a_run_that_waits_for_a_person_is_not_claimed_by_itself(named: Ledger) -> None:
    claim, _ = start(named)
    named.release(claim, None, "waiting_for_you")
    run = named.run(R1)
    assert run is not None
    assert (run.wake_at, run.held_why, run.owner) == (None, "waiting_for_you", "")
    assert named.claim_next(2**62, "w", 2**62) is None
    assert named.claim(R1, T0, "ann", T0 + 10) is not None


def test_an_answer_wakes_the_run_and_clears_what_held_it(named: Ledger) -> None:
    claim, facts = start(named)
    named.release(claim, None, "waiting_for_you")
    person = named.claim(R1, T0 + 5, "w1/person", T0 + 100)
    assert person is not None
    named.append(person, [reading(2)], evolve(plan(), facts, reading(2), T0 + 5), T0 + 5, actor="ann", wake_at=T0 + 5)
    run = named.run(R1)
    assert run is not None
    assert (run.wake_at, run.held_why) == (T0 + 5, "")
    named.release(person, T0 + 5, "")
    assert named.claim_next(T0 + 5, "w", T0 + 99) is not None


def test_wake_is_heard_when_nobody_has_the_run(named: Ledger) -> None:
    claim, _ = start(named)
    named.release(claim, T0 + 10_000, "paused")
    named.wake(R1, T0 + 7)
    named.wake(R1, T0 + 20_000)
    assert named.claim_next(T0 + 6, "w", T0 + 99) is None
    assert named.claim_next(T0 + 7, "w", T0 + 99) is not None
    with refused("unknown_run"):
        named.wake(RunId("nope"), T0)


@pytest.mark.parametrize("given_back", [None, T0 + 10_000])
def test_a_wake_during_a_passage_is_not_lost_when_the_worker_gives_back(named: Ledger, given_back: int | None) -> None:
    claim, _ = start(named)
    named.wake(R1, T0 + 8)
    named.wake(R1, T0 + 3)
    named.release(claim, given_back, "paused")
    assert named.claim_next(T0 + 2, "w", T0 + 99) is None
    assert named.claim_next(T0 + 3, "w", T0 + 99) is not None


def test_a_wake_that_the_next_worker_has_heard_is_not_minded_again(named: Ledger) -> None:
    start(named, lease=5)
    named.wake(R1, T0 + 3)
    again = named.claim_next(T0 + 5, "w2", T0 + 99)
    assert again is not None
    named.release(again, T0 + 500, "overlap")
    assert named.claim_next(T0 + 499, "w", T0 + 999) is None


def test_a_wake_for_later_survives_a_claim_before_it(named: Ledger) -> None:
    start(named, lease=5)
    named.wake(R1, T0 + 50)
    person = named.claim(R1, T0 + 6, "ann", T0 + 20)
    assert person is not None
    named.release(person, None, "waiting_for_you")
    assert named.claim_next(T0 + 49, "w", T0 + 99) is None
    assert named.claim_next(T0 + 50, "w", T0 + 99) is not None


def test_at_the_start_of_the_one_daemon_the_leases_of_the_dead_end(named: Ledger) -> None:
    dead, facts = start(named, "r1", lease=10_000)
    free, _ = start(named, "r2", "beta")
    named.release(free, None, "waiting_for_you")
    assert (named.end_leases(), named.end_leases()) == (1, 0)
    claim = named.claim_next(T0, "w2", T0 + 99)
    assert claim == Claim(R1, 2, T0 + 99)
    assert named.claim_next(T0, "w2", T0 + 99) is None
    with pytest.raises(LeaseLost):
        named.append(dead, [reading()], evolve(plan(), facts, reading(), T0), T0)


def test_the_end_frees_the_credential_and_closes_the_run(named: Ledger) -> None:
    claim, facts = start(named)
    after = end(named, claim, facts, Ending.ROLLED_BACK)
    run, held = named.run(R1), named.credential(ALPHA)
    assert run is not None
    assert held is not None
    assert (run.ended_at, run.ending, run.wake_at, run.owner) == (T0 + 50, Ending.ROLLED_BACK, None, "")
    assert (held.open_run, held.facts, held.last_success_at) == (None, after, None)
    with refused("run_ended"):
        named.append(claim, [reading()], facts, T0 + 60)
    with refused("run_ended"):
        named.claim(R1, T0 + 60, "w", T0 + 99)
    named.release(claim, T0 + 60, "")
    named.wake(R1, T0 + 60)
    assert (named.run(R1), named.claim_next(2**62, "w", 2**62)) == (run, None)
    start(named, "r2", before=after)


def test_what_an_ending_means_for_the_calendar(named: Ledger) -> None:
    times = []
    before = None
    for number, (kind, ending) in enumerate(
        [
            (RunKind.ADOPT, Ending.ABANDONED),
            (RunKind.ADOPT, Ending.SUCCEEDED),
            (RunKind.ROTATE, Ending.ROLLED_BACK),
            (RunKind.ROTATE, Ending.SUCCEEDED),
            (RunKind.RECONCILE, Ending.SUCCEEDED),
            (RunKind.OVERLAP, Ending.OWED),
            (RunKind.CONTAIN, Ending.CONTAINED),
            (RunKind.RETIRE, Ending.SUCCEEDED),
        ]
    ):
        at = T0 + 100 * number
        if kind is RunKind.ADOPT:
            before = None
        claim, facts = start(named, f"r{number}", kind=kind, at=at, before=before)
        before = end(named, claim, facts, ending, at + 1)
        held = named.credential(ALPHA)
        assert held is not None
        times.append((held.adopted_at, held.last_success_at))
    adopted = T0 + 101
    assert times == [
        (None, None),
        (adopted, None),
        (adopted, None),
        (adopted, T0 + 301),
        (adopted, T0 + 301),
        (adopted, T0 + 501),
        (adopted, T0 + 501),
        (adopted, T0 + 501),
    ]
    claim, facts = start(named, "again", kind=RunKind.ADOPT, at=T0 + 900)
    end(named, claim, facts, at=T0 + 901)
    held = named.credential(ALPHA)
    assert held is not None
    assert (held.adopted_at, held.last_success_at) == (T0 + 901, None)


def test_runs_are_listed_newest_first(named: Ledger) -> None:
    claim, facts = start(named, "r1", at=T0)
    before = end(named, claim, facts)
    start(named, "r2", "beta", at=T0 + 60)
    start(named, "r3", "alpha", at=T0 + 70, before=before)
    assert [run.id for run in named.runs()] == ["r3", "r2", "r1"]
    assert [run.id for run in named.runs(credential=ALPHA)] == ["r3", "r1"]
    assert [run.id for run in named.runs(credential=BETA, open_only=True)] == ["r2"]
    assert [run.id for run in named.runs(open_only=True)] == ["r3", "r2"]
    assert [run.id for run in named.runs(limit=1)] == ["r3"]


def test_what_nobody_opened_is_unknown(named: Ledger) -> None:
    ghost = Claim(RunId("ghost"), 1, T0)
    assert (named.run(ghost.run), named.journal(ghost.run)) == (None, [])
    with refused("unknown_run"):
        named.append(ghost, [reading()], opened(), T0)
    with refused("unknown_run"):
        named.release(ghost, T0, "")
    with refused("unknown_run"):
        named.claim(ghost.run, T0, "w", T0)
    with refused("no_events"):
        named.append(ghost, [], opened(), T0)
    assert named.runs(credential=CredentialId("ghost")) == []


def test_a_refusal_says_its_slug_and_nothing_of_a_row(named: Ledger) -> None:
    with pytest.raises(LedgerError) as error:
        start(named, "r9", "nobody")
    assert (str(error.value), error.value.__cause__) == ("unknown_credential", None)
