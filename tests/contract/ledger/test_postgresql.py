"""What only PostgreSQL has to show: its own clock counts, a lost COMMIT is found out, replicas start at once, one that
hangs is cut off, a server that goes and comes is ridden out, a password is read anew and never told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rotator.daemon.clock import SystemClock
from rotator.engine.ports import LeaseLost, RunId
from rotator.ledger import postgres_session
from rotator.ledger.migrations import SCHEMA_VERSION
from rotator.ledger.postgres import PostgresLedger, open_postgres, schema_version
from rotator.ledger.postgres_place import Place, place_of
from rotator.ledger.tables import SCHEMA
from rotator.machine.evolve import evolve
from tests.lab.postgres import Postgres
from tests.lab.proxy import Fault, Proxy

from .drivers import place_in
from .samples import definition, end, opened, plan, read_done, reading, start
from .test_inventory import ALPHA, refused

COMMIT = rb"COMMIT(?!TED)"
"""The statement, not the isolation level that a BEGIN names."""


class Wrong(SystemClock):
    """A replica's clock that is off."""

    def __init__(self, off: int) -> None:
        self.off = off

    def now(self) -> int:
        return super().now() + self.off


@pytest.fixture
def place(postgres: Postgres, tmp_path: Path) -> Place:
    return place_in(postgres, tmp_path)


@pytest.fixture
def ledger(place: Place) -> Iterator[PostgresLedger]:
    made = open_postgres(place, SystemClock())
    made.accept([definition("alpha"), definition("beta")], {}, made.now())
    yield made
    made.close()


@pytest.fixture
def behind(postgres: Postgres, place: Place) -> Iterator[tuple[PostgresLedger, Proxy]]:
    """The same database through a proxy."""
    with Proxy(postgres.port, protocol="raw") as proxy:
        made = open_postgres(replace(place, port=proxy.port), SystemClock())
        made.accept([definition("alpha"), definition("beta")], {}, made.now())
        yield made, proxy
        made.close()


# ---- time ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("off", [-3_600_000, 3_600_000])
def test_a_replica_whose_clock_is_wrong_takes_no_live_lease(ledger: PostgresLedger, place: Place, off: int) -> None:
    start(ledger, at=ledger.now(), lease=60_000)
    wrong = Wrong(off)
    other = open_postgres(place, wrong)
    assert other.claim_next(wrong.now(), "w2", wrong.now() + 60_000) is None
    assert other.claim(RunId("r1"), wrong.now(), "w2", wrong.now() + 60_000) is None
    other.close()


@pytest.mark.parametrize("off", [-3_600_000, 3_600_000])
def test_a_lease_is_as_long_as_was_asked_whatever_the_clock_says(
    ledger: PostgresLedger, place: Place, off: int
) -> None:
    wrong = Wrong(off)
    other = open_postgres(place, wrong)
    claim, facts = start(other, at=wrong.now(), lease=60_000)
    assert abs(claim.lease_until - ledger.now() - 60_000) < 5_000
    other.append(claim, [reading()], evolve(plan(), facts, reading(), wrong.now()), wrong.now(),
                 lease_until=wrong.now() + 1)  # fmt: skip
    time.sleep(0.1)
    again = ledger.claim(claim.run, ledger.now(), "w2", ledger.now() + 1000)
    assert again is not None, "the append made it end a millisecond later"
    assert again.fence == claim.fence + 1
    with pytest.raises(LeaseLost):
        other.append(claim, [read_done()], facts, wrong.now())
    other.close()


# ---- the answer to a COMMIT ----------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the server said of transactions whose fate was not known."""
    answers: list[str] = []
    plain = postgres_session._fate

    def listening(*arguments: Any) -> str:
        answers.append(plain(*arguments))
        return answers[-1]

    monkeypatch.setattr(postgres_session, "_fate", listening)
    return answers


def test_a_commit_whose_answer_is_lost_is_found_out_and_not_repeated(
    behind: tuple[PostgresLedger, Proxy], asked: list[str]
) -> None:
    ledger, proxy = behind
    claim, facts = start(ledger, at=ledger.now(), lease=60_000)
    before = ledger.sequence()
    proxy.rule(Fault.ANSWER_LOST, content=COMMIT, times=1)
    ledger.append(claim, [reading()], evolve(plan(), facts, reading(), ledger.now()), ledger.now())
    assert proxy.count(Fault.ANSWER_LOST) == 1
    assert asked == ["committed"]
    assert [type(entry.event).__name__ for entry in ledger.journal(claim.run)] == ["Opened", "Intended"]
    assert ledger.sequence() == before + 1


def test_a_commit_that_never_came_is_done_again_once(behind: tuple[PostgresLedger, Proxy], asked: list[str]) -> None:
    ledger, proxy = behind
    claim, facts = start(ledger, at=ledger.now(), lease=60_000)
    proxy.rule(Fault.REQUEST_LOST, content=COMMIT, times=1)
    ledger.append(claim, [reading()], evolve(plan(), facts, reading(), ledger.now()), ledger.now())
    assert proxy.count(Fault.REQUEST_LOST) == 1
    assert asked[-1] == "aborted"
    assert [type(entry.event).__name__ for entry in ledger.journal(claim.run)] == ["Opened", "Intended"]


def test_serials_are_not_given_twice_when_answers_are_lost(behind: tuple[PostgresLedger, Proxy]) -> None:
    ledger, proxy = behind
    proxy.rule(Fault.ANSWER_LOST, content=COMMIT, chance=0.5)
    given = [ledger.serials(1) for _ in range(8)]
    proxy.clear()
    assert len(set(given)) == len(given)
    assert ledger.serials(1) == max(given) + 1


def test_whoever_cannot_find_out_says_so(behind: tuple[PostgresLedger, Proxy], monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, proxy = behind
    ledger.serials(1)
    monkeypatch.setattr("rotator.ledger.postgres_session.WRITE_PATIENCE_S", 1.0)
    monkeypatch.setattr("rotator.ledger.postgres_session.READ_PATIENCE_S", 0.2)
    proxy.rule(Fault.ANSWER_LOST, content=COMMIT, times=1, hook=lambda _: proxy.refuse(drop_open=False))
    with refused("outcome_unknown"):
        ledger.serials(1)
    proxy.accept()
    assert ledger.serials(1) == 3, "it had been given"


# ---- the server ----------------------------------------------------------------------------------------------------


def test_writes_and_reads_ride_out_a_restart(start_postgres: Callable[..., Postgres], tmp_path: Path) -> None:
    server = start_postgres()
    ledger = open_postgres(place_in(server, tmp_path), SystemClock())
    ledger.accept([definition("alpha")], {}, ledger.now())
    claim, facts = start(ledger, at=ledger.now(), lease=60_000)
    server.stop("immediate")
    later = threading.Timer(1.5, server.start)
    later.start()
    ledger.append(claim, [reading()], evolve(plan(), facts, reading(), ledger.now()), ledger.now())
    later.join()
    assert len(ledger.journal(claim.run)) == 2
    ledger.close()


def test_one_that_hangs_in_mid_transaction_holds_the_others_for_seconds_only(
    ledger: PostgresLedger, place: Place
) -> None:
    other = open_postgres(place, SystemClock())
    held, gone = threading.Event(), threading.Event()
    failed: list[BaseException] = []

    def hang() -> None:
        def work(connection: object) -> None:
            connection.exec_driver_sql("UPDATE counters SET value = value WHERE name = 'serial'")  # type: ignore[attr-defined]
            if not held.is_set():
                held.set()
                gone.wait(20)

        try:
            other._write(work)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=hang)
    thread.start()
    assert held.wait(10)
    began = time.monotonic()
    assert ledger.serials(1) == 1
    assert time.monotonic() - began < 8
    gone.set()
    thread.join(30)
    assert failed == [], "what was cut off was recorded by nobody, so it is done again"
    other.close()


def test_a_read_only_server_is_said(place: Place, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rotator.ledger.postgres_session.WRITE_PATIENCE_S", 0.5)
    ledger = open_postgres(place, SystemClock())
    postgres.query(f"ALTER ROLE {place.user} SET default_transaction_read_only = on")
    ledger._session.engine.dispose()
    with refused("read_only"):
        ledger.serials(1)
    postgres.query(f"ALTER ROLE {place.user} RESET default_transaction_read_only")
    assert ledger.serials(1) == 1
    ledger.close()


# ---- the schema ----------------------------------------------------------------------------------------------------


def test_replicas_that_start_at_once_on_nothing_make_one_schema(place: Place, postgres: Postgres) -> None:
    opened_ones: list[PostgresLedger] = []
    failed: list[BaseException] = []
    gate = threading.Barrier(4)

    def begin() -> None:
        gate.wait(10)
        try:
            opened_ones.append(open_postgres(place, SystemClock()))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    versions = postgres.query("SELECT version FROM rotator.schema_version", dbname=place.database)
    assert versions == [(SCHEMA_VERSION,)]
    for one in opened_ones:
        one.close()


def test_the_schema_has_the_columns_of_the_tables(ledger: PostgresLedger, place: Place, postgres: Postgres) -> None:
    asked = (
        "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns WHERE table_schema = %s"
    )
    real: dict[str, dict[str, tuple[str, bool]]] = {}
    for table, column, kind, nullable in postgres.query(asked, "rotator", dbname=place.database):
        real.setdefault(table, {})[column] = (kind, nullable == "YES")
    kinds = {"INTEGER": "bigint", "TEXT": "text"}
    wanted = {
        name: {c.name: (kinds[str(c.type)], bool(c.nullable)) for c in table.columns}
        for name, table in SCHEMA.tables.items()
    }
    wanted["schema_version"]["applied_at"] = ("bigint", True)
    assert real.pop("turns").keys() == {"name", "owner", "until"}
    assert real == wanted


def test_a_newer_schema_and_a_strangers_are_refused_untouched(place: Place, postgres: Postgres) -> None:
    open_postgres(place, SystemClock()).close()
    postgres.query("INSERT INTO rotator.schema_version VALUES (99, 0)", dbname=place.database)
    with refused("newer_schema"):
        open_postgres(place, SystemClock())
    postgres.query("DROP SCHEMA rotator CASCADE", dbname=place.database)
    postgres.query("CREATE SCHEMA rotator", dbname=place.database)
    postgres.query("CREATE TABLE rotator.orders (id int)", dbname=place.database)
    with refused("not_a_ledger"):
        open_postgres(place, SystemClock())
    assert postgres.query("SELECT relname FROM pg_class WHERE relname = 'journal'", dbname=place.database) == []


def test_the_doctor_sees_the_version_and_changes_nothing(place: Place) -> None:
    assert schema_version(place, SystemClock()) == 0
    open_postgres(place, SystemClock()).close()
    assert schema_version(place, SystemClock()) == SCHEMA_VERSION


@pytest.mark.parametrize("statement", ["UPDATE journal SET actor = 'x'", "DELETE FROM journal", "TRUNCATE journal"])
def test_the_journal_is_append_only(ledger: PostgresLedger, statement: str) -> None:
    claim, _ = start(ledger, at=ledger.now())
    with refused("constraint"):
        ledger._write(lambda c: c.exec_driver_sql(statement))
    assert len(ledger.journal(claim.run)) == 1


# ---- replicas ------------------------------------------------------------------------------------------------------


def test_a_word_reaches_the_other_replica(ledger: PostgresLedger, place: Place) -> None:
    other, heard = open_postgres(place, SystemClock()), threading.Semaphore(0)
    other.listen(heard.release)
    assert heard.acquire(timeout=10), "once at the beginning"
    claim, _ = start(ledger, at=ledger.now())
    began = time.monotonic()
    ledger.release(claim, ledger.now(), "")
    assert heard.acquire(timeout=10)
    assert time.monotonic() - began < 1.5
    other.close()


def test_a_turn_is_one_replicas_until_it_stops_asking(ledger: PostgresLedger) -> None:
    assert ledger.take_turn("opening", "a", 300)
    assert not ledger.take_turn("opening", "b", 300)
    assert ledger.take_turn("opening", "a", 300)
    assert ledger.take_turn("delivering", "b", 300), "another turn"
    time.sleep(0.4)
    assert ledger.take_turn("opening", "b", 300)
    assert not ledger.take_turn("opening", "a", 300)


def test_the_mark_counts_what_is_there_not_the_highest_number(ledger: PostgresLedger) -> None:
    claim, facts = start(ledger, at=ledger.now())
    ledger._read(lambda c: c.exec_driver_sql("SELECT nextval(pg_get_serial_sequence('journal', 'sequence'))").scalar())
    ledger.append(claim, [reading()], evolve(plan(), facts, reading(), ledger.now()), ledger.now())
    assert [entry.sequence for entry in ledger.journal(claim.run)] == [1, 3]
    assert ledger.sequence() == 2


def test_facts_of_a_run_that_ended_meanwhile_are_stale(ledger: PostgresLedger, place: Place) -> None:
    row = ledger.credential(ALPHA)
    assert row is not None
    claim, facts = start(ledger, at=ledger.now())
    end(ledger, claim, facts)
    other = open_postgres(place, SystemClock())
    from .samples import row as run_row

    with refused("stale_facts"):
        other.open_run(run_row("r2"), [reading()], opened(), claim_by="w", lease_until=1, after=row.facts_sequence)
    other.close()


# ---- the password --------------------------------------------------------------------------------------------------


def test_a_changed_password_is_read_at_the_next_login(ledger: PostgresLedger, place: Place, postgres: Postgres) -> None:
    assert place.password is not None
    postgres.query(f"ALTER ROLE {place.user} PASSWORD 'canary-changed'")
    place.password.write_text("canary-changed\n")
    ledger._session.engine.dispose()
    assert ledger.serials(1) == 1


def test_a_password_that_is_wrong_missing_or_open_to_others_is_said_and_not_shown(place: Place) -> None:
    assert place.password is not None
    right = place.password.read_text().strip()
    assert right not in repr(place)
    place.password.write_text("canary-wrong")
    with refused("password_refused") as wrong:
        open_postgres(place, SystemClock())
    assert "canary" not in str(wrong.value)
    place.password.chmod(0o644)
    with refused("password_mode"):
        open_postgres(place, SystemClock())
    place.password.unlink()
    with refused("password_missing"):
        open_postgres(place, SystemClock())


def test_the_environment_lends_no_password(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert place.password is not None
    monkeypatch.setenv("PGPASSWORD", place.password.read_text().strip())
    with refused("password_refused"):
        open_postgres(replace(place, password=None), SystemClock())


@pytest.mark.parametrize(
    "address",
    ["postgresql://u:pw@h/db", "postgresql://u@h/db?sslmode=disable", "postgres://u@h/db", "postgresql://h/db", "x"],
)
def test_an_address_that_says_more_or_less_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(ValueError, match="not the address") as error:
        place_of(address)
    assert address not in str(error.value)


def test_another_machine_is_spoken_to_with_tls_only() -> None:
    far = place_of("postgresql://u@db.example:6432/rot")
    assert (far.port, far._encryption()["sslmode"], far._encryption()["sslrootcert"]) == (6432, "verify-full", "system")
    assert place_of("postgresql://u@127.0.0.1/rot")._encryption()["sslmode"] == "prefer"
    assert place_of("postgresql://u@db/rot", insecure=True)._encryption()["sslmode"] == "prefer"
