"""The ledger's contract: whose it is, definitions, due times, pauses, documents, serials, fingerprints."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from rotator.engine.inventory import CredentialId, Pause
from rotator.engine.ports import Installation, Ledger, LedgerError
from rotator.machine.facts import Facts, RunKind
from rotator.machine.ids import Gen

from .drivers import Driver
from .samples import T0, definition, end, start

ALPHA, BETA, GAMMA = CredentialId("alpha"), CredentialId("beta"), CredentialId("gamma")


def refused(code: str) -> pytest.RaisesExc[LedgerError]:
    return pytest.RaisesExc(LedgerError, check=lambda error: error.code == code)


def adopted(ledger: Ledger, *names: str) -> None:
    ledger.accept([definition(name) for name in names], {}, T0)
    for name in names:
        claim, facts = start(ledger, f"adopt-{name}", name, RunKind.ADOPT)
        end(ledger, claim, facts)


def test_a_new_ledger_belongs_to_nobody_and_is_empty(ledger: Ledger) -> None:
    assert ledger.installation() is None
    assert (ledger.credentials(), ledger.runs(), ledger.debts()) == ([], [], [])
    assert (ledger.sequence(), ledger.count_due(T0), ledger.due(T0, 10)) == (0, 0, [])


def test_a_restored_ledger_gets_another_epoch_and_is_still_ours(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="not_founded"):
        ledger.renew("e2")
    ledger.found(Installation("acme", "e1", "check"))
    ledger.renew("e2")
    assert ledger.installation() == Installation("acme", "e2", "check")


def test_it_is_founded_once_and_the_fingerprint_check_is_set_once(ledger: Ledger) -> None:
    ledger.found(Installation("acme", "e1"))
    ledger.found(Installation("acme", "e1", "check"))
    ledger.found(Installation("acme", "e1", "check"))
    assert ledger.installation() == Installation("acme", "e1", "check")
    for other, code in (
        (Installation("other", "e1", "check"), "other_installation"),
        (Installation("acme", "e2", "check"), "other_epoch"),
        (Installation("acme", "e1", "wrong"), "other_fingerprint_key"),
        (Installation("acme", "e1", ""), "other_fingerprint_key"),
    ):
        with refused(code):
            ledger.found(other)
    assert ledger.installation() == Installation("acme", "e1", "check")


def test_definitions_come_back_whole_after_a_restart(ledger: Ledger, driver: Driver) -> None:
    ledger.accept([definition("beta"), definition("alpha")], {"a.yaml": "d1"}, T0)
    ledger.close()
    again = driver()
    assert [row.definition for row in again.credentials()] == [definition("alpha"), definition("beta")]
    assert again.digests() == {"a.yaml": "d1"}
    row = again.credential(ALPHA)
    assert row is not None
    assert (row.facts, row.managed, row.adopted_at, row.last_success_at) == (Facts(), True, None, None)
    assert (row.next_due_at, row.pause, row.open_run, row.facts_sequence) == (None, None, None, 0)
    again.close()


def test_accept_replaces_as_a_whole_and_never_deletes_a_row(ledger: Ledger) -> None:
    ledger.accept([definition("alpha"), definition("beta")], {"a": "1", "b": "2"}, T0)
    ledger.accept([definition("beta", owner="new@x.example"), definition("gamma")], {"b": "3"}, T0 + 1)
    rows = {row.definition.id: row for row in ledger.credentials()}
    assert {name: row.managed for name, row in rows.items()} == {ALPHA: False, BETA: True, GAMMA: True}
    assert rows[BETA].definition.owner == "new@x.example"
    assert ledger.digests() == {"b": "3"}
    ledger.accept([definition("alpha")], {}, T0 + 2)
    assert {row.definition.id: row.managed for row in ledger.credentials()} == {ALPHA: True, BETA: False, GAMMA: False}
    assert ledger.digests() == {}


def test_accept_leaves_facts_due_times_and_open_runs_alone(ledger: Ledger) -> None:
    ledger.accept([definition()], {}, T0)
    _, facts = start(ledger)
    ledger.set_due([(ALPHA, T0 + 5, "policy")])
    ledger.accept([definition(owner="new@x.example")], {}, T0 + 1)
    row = ledger.credential(ALPHA)
    assert row is not None
    assert (row.facts, row.next_due_at, row.due_why, row.open_run) == (facts, T0 + 5, "policy", "r1")
    run = ledger.run(row.open_run)  # type: ignore[arg-type]
    assert run is not None
    assert run.definition == definition()


def test_the_same_credential_twice_is_refused_and_nothing_is_accepted(ledger: Ledger) -> None:
    with refused("duplicate_credential"):
        ledger.accept([definition(), replace(definition(), owner="b")], {"f": "d"}, T0)
    assert (ledger.credentials(), ledger.digests()) == ([], {})


def test_due_asks_for_managed_adopted_credentials_without_an_open_run(ledger: Ledger) -> None:
    adopted(ledger, "alpha", "beta", "gamma")
    ledger.accept([definition(name) for name in ("alpha", "beta", "gamma", "fresh")], {}, T0)
    ledger.set_due([(GAMMA, 10, "policy"), (ALPHA, 20, "policy"), (BETA, 15, "policy")])
    ledger.set_due([(CredentialId("fresh"), 1, "policy")])
    assert ledger.due(20, 10) == [GAMMA, BETA, ALPHA]
    assert (ledger.due(20, 2), ledger.count_due(20)) == ([GAMMA, BETA], 3)
    assert (ledger.due(19, 10), ledger.due(9, 10), ledger.count_due(9)) == ([GAMMA, BETA], [], 0)
    ledger.accept([definition("alpha"), definition("beta")], {}, T0)
    assert ledger.due(20, 10) == [BETA, ALPHA]
    row = ledger.credential(BETA)
    assert row is not None
    claim, facts = start(ledger, "r-b", "beta", before=row.facts)
    assert (ledger.due(20, 10), ledger.count_due(20)) == ([ALPHA], 1)
    end(ledger, claim, facts)
    assert ledger.due(20, 10) == [BETA, ALPHA]


def test_no_due_time_never_means_due(ledger: Ledger) -> None:
    adopted(ledger, "alpha")
    assert (ledger.due(2**62, 10), ledger.count_due(2**62)) == ([], 0)
    ledger.set_due([(ALPHA, 5, "policy")])
    ledger.set_due([(ALPHA, None, "retired")])
    assert ledger.due(2**62, 10) == []
    row = ledger.credential(ALPHA)
    assert row is not None
    assert (row.next_due_at, row.due_why) == (None, "retired")


def test_due_times_of_an_unknown_credential_are_refused_whole(ledger: Ledger) -> None:
    adopted(ledger, "alpha")
    with refused("unknown_credential"):
        ledger.set_due([(ALPHA, 7, "policy"), (CredentialId("nobody"), 7, "policy")])
    assert ledger.count_due(2**62) == 0
    ledger.set_due([])
    ledger.set_due([(ALPHA, 7, "policy"), (ALPHA, 8, "policy")])
    assert (ledger.due(7, 1), ledger.due(8, 1)) == ([], [ALPHA])


def test_a_pause_is_kept_and_taken_away(ledger: Ledger, driver: Driver) -> None:
    ledger.accept([definition()], {}, T0)
    stop = Pause("ann", "change freeze", T0 + 9)
    ledger.pause(ALPHA, stop)
    other = driver()
    assert [row.pause for row in other.credentials()] == [stop]
    other.close()
    ledger.pause(ALPHA, None)
    assert [row.pause for row in ledger.credentials()] == [None]
    with refused("unknown_credential"):
        ledger.pause(BETA, stop)


def test_documents_are_replaced_by_name(ledger: Ledger) -> None:
    assert ledger.document("effective") is None
    ledger.keep_document("effective", '{"ü":1}')
    ledger.keep_document("other", "x")
    ledger.keep_document("effective", "{}")
    assert (ledger.document("effective"), ledger.document("other")) == ("{}", "x")


def test_serials_are_never_given_twice(ledger: Ledger, driver: Driver) -> None:
    assert (ledger.serials(1), ledger.serials(3), ledger.serials(1)) == (1, 2, 5)
    other = driver()
    given: list[int] = []
    threads = [
        threading.Thread(target=lambda by=by: given.extend(by.serials(1) for _ in range(20))) for by in (ledger, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(given) == list(range(6, 46))
    other.close()
    with pytest.raises(ValueError, match="at least one"):
        ledger.serials(0)


def test_a_fingerprint_is_written_once(ledger: Ledger) -> None:
    ledger.accept([definition()], {}, T0)
    ledger.fingerprint(ALPHA, Gen(2), "k1:bb")
    ledger.fingerprint(ALPHA, Gen(1), "k1:aa")
    ledger.fingerprint(ALPHA, Gen(1), "k1:aa")
    with refused("other_fingerprint"):
        ledger.fingerprint(ALPHA, Gen(1), "k1:cc")
    with refused("unknown_credential"):
        ledger.fingerprint(BETA, Gen(1), "k1:cc")
    assert ledger.fingerprints(ALPHA) == {1: "k1:aa", 2: "k1:bb"}
    assert ledger.fingerprints(BETA) == {}


def test_a_closed_ledger_refuses_and_may_be_closed_again(ledger: Ledger) -> None:
    ledger.close()
    ledger.close()
    with refused("closed"):
        ledger.serials(1)
    with refused("closed"):
        ledger.credentials()


def test_unknown_names_are_none(ledger: Ledger) -> None:
    assert ledger.credential(CredentialId("nobody")) is None
