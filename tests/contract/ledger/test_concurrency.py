"""The ledger's contract with many at once: threads on one opening, two openings of one ledger."""

from __future__ import annotations

import threading
from collections import Counter

from rotator.engine.ports import Claim, LeaseLost, Ledger, RunId
from rotator.machine.evolve import evolve
from rotator.machine.facts import Facts

from .drivers import Driver
from .samples import T0, definition, plan, read_done, reading, start

THREADS, ROUNDS = 16, 20


def together(works: list[threading.Thread]) -> None:
    for thread in works:
        thread.start()
    for thread in works:
        thread.join(60)
    assert not any(thread.is_alive() for thread in works)


def passage(ledger: Ledger, claim: Claim, facts: Facts, failures: list[BaseException]) -> None:
    try:
        for number in range(ROUNDS):
            for event in (reading(), read_done()):
                facts = evolve(plan(), facts, event, T0 + number)
                ledger.append(claim, [event], facts, T0 + number)
    except BaseException as error:
        failures.append(error)


def test_sixteen_threads_lose_nothing_and_keep_the_order_of_each_run(ledger: Ledger) -> None:
    names = [f"c{n:02}" for n in range(THREADS)]
    ledger.accept([definition(name) for name in names], {}, T0)
    begun = [start(ledger, f"r-{name}", name) for name in names]
    failures: list[BaseException] = []
    together([threading.Thread(target=passage, args=(ledger, *one, failures)) for one in begun])
    assert failures == []
    sequences = []
    for name in names:
        entries = ledger.journal(RunId(f"r-{name}"))
        assert [type(entry.event).__name__ for entry in entries] == ["Opened", *["Intended", "Outcome"] * ROUNDS]
        sequences += [entry.sequence for entry in entries]
        row = next(one for one in ledger.credentials() if one.definition.id == name)
        assert row.facts_sequence == entries[-1].sequence
    assert sorted(sequences) == list(range(1, THREADS * (2 * ROUNDS + 1) + 1))
    assert ledger.sequence() == len(sequences)


def test_one_of_many_claimants_gets_each_run(ledger: Ledger, driver: Driver) -> None:
    other = driver()
    names = [f"c{n:02}" for n in range(20)]
    ledger.accept([definition(name) for name in names], {}, T0)
    for name in names:
        claim, _ = start(ledger, f"r-{name}", name)
        ledger.release(claim, T0, "")
    claims: list[Claim] = []

    def claimant(by: Ledger, owner: str) -> None:
        while (claim := by.claim_next(T0, owner, T0 + 1000)) is not None:
            claims.append(claim)

    together(
        [threading.Thread(target=claimant, args=((ledger, other)[n % 2], f"w{n}")) for n in range(6)],
    )
    assert Counter(claim.run for claim in claims) == dict.fromkeys((RunId(f"r-{name}") for name in names), 1)
    assert {claim.fence for claim in claims} == {2}
    other.close()


def test_of_a_stale_and_a_new_owner_only_the_new_one_writes(ledger: Ledger, driver: Driver) -> None:
    ledger.accept([definition()], {}, T0)
    old, facts = start(ledger, lease=5)
    other = driver()
    new = other.claim_next(T0 + 5, "w2", T0 + 1000)
    assert new is not None
    done: list[str] = []

    def appender(by: Ledger, claim: Claim) -> None:
        for _ in range(10):
            try:
                by.append(claim, [reading(claim.fence)], facts, T0 + 6)
                done.append("new" if claim is new else "old")
            except LeaseLost:
                done.append("lost")

    together([threading.Thread(target=appender, args=pair) for pair in ((ledger, old), (other, new))])
    assert Counter(done) == {"new": 10, "lost": 10}
    assert [entry.fence for entry in ledger.journal(old.run)] == [1, *[2] * 10]
    other.close()
