"""The outbox: told once, with the event or not at all; routed once; a delivery is waiting, sent or dead."""

from __future__ import annotations

from rotator.engine.inventory import CredentialId
from rotator.engine.notices import Notice
from rotator.engine.outbox import Delivery, DeliveryState, Outbox, Tried
from rotator.engine.ports import Ledger

from .drivers import Driver
from .samples import T0, definition, start
from .test_inventory import refused

ALPHA = CredentialId("alpha")


def outbox_of(ledger: Ledger) -> Outbox:
    """The same ledger by its other port."""
    assert hasattr(ledger, "unrouted")
    return ledger  # type: ignore[return-value]


def notice(key: str, event: str = "run_owed", at: int = T0) -> Notice:
    return Notice(event, at, key, ALPHA, "r1", f"about:{key}", (("debts", "2"), ("kind", "rotate")))


def routed(outbox: Outbox, key: str, to: list[tuple[str, str]], at: int = T0) -> list[Delivery]:
    outbox.tell([notice(key)])
    (waiting,) = outbox.unrouted(10)
    outbox.route(waiting.sequence, f'{{"id": "{key}"}}', to, at)
    return [one for one in outbox.deliveries(None, "", 100) if key in one.body]


def test_a_notice_comes_back_as_it_was_told_and_only_once(driver: Driver) -> None:
    first = driver()
    assert first.tell([notice("a"), notice("a"), notice("b")]) == 2
    assert first.tell([notice("a", "run_succeeded")]) == 0, "the key is its own for ever"
    first.close()
    second = driver()
    assert [one.notice for one in outbox_of(second).unrouted(10)] == [notice("a"), notice("b")]
    second.close()


def test_documents_and_notices_are_one_transaction(ledger: Ledger) -> None:
    assert ledger.tell([notice("a")], documents={"brake": "on"}) == 1
    assert ledger.document("brake") == "on"
    assert ledger.tell([], documents={"brake": ""}) == 0
    assert ledger.document("brake") == ""


def test_what_is_routed_is_routed_once_and_a_channel_gets_it_once(ledger: Ledger) -> None:
    outbox = outbox_of(ledger)
    outbox.tell([notice("a")])
    (waiting,) = outbox.unrouted(10)
    assert outbox.oldest_unrouted() == T0
    outbox.route(waiting.sequence, "{}", [("ops", "r1"), ("mail", "r1"), ("ops", "r2")], T0 + 1)
    outbox.route(waiting.sequence, "other", [("late", "r1")], T0 + 2)
    assert (outbox.oldest_unrouted(), list(outbox.unrouted(10))) == (None, [])
    found = [(one.channel, one.route, one.body) for one in outbox.deliveries(None, "", 10)]
    assert found == [("mail", "r1", "{}"), ("ops", "r2", "{}")]


def test_what_is_told_again_after_its_routing_is_not_told(ledger: Ledger) -> None:
    outbox = outbox_of(ledger)
    routed(outbox, "a", [])
    assert outbox.tell([notice("a")]) == 0
    assert list(outbox.unrouted(10)) == []


def test_a_delivery_is_due_when_its_time_has_come_and_not_after_it_was_sent(ledger: Ledger) -> None:
    outbox = outbox_of(ledger)
    (one,) = routed(outbox, "a", [("ops", "r")])
    assert list(outbox.deliverable(T0 - 1, "ops", 10)) == []
    assert list(outbox.deliverable(T0, "mail", 10)) == []
    assert list(outbox.deliverable(T0, "ops", 10)) == [one]
    assert (list(outbox.waiting(T0 - 1)), list(outbox.waiting(T0))) == ([], ["ops"])
    outbox.tried(Tried(one.id, DeliveryState.WAITING, T0 + 5, "unreachable", T0 + 100))
    assert list(outbox.deliverable(T0 + 99, "ops", 10)) == []
    (again,) = outbox.deliverable(T0 + 100, "ops", 10)
    assert (again.attempts, again.code, again.first_at) == (1, "unreachable", T0)
    outbox.tried(Tried(one.id, DeliveryState.SENT, T0 + 101))
    assert list(outbox.deliverable(T0 + 10**9, "ops", 10)) == []
    assert list(outbox.waiting(T0 + 10**9)) == []
    outbox.tried(Tried(one.id, DeliveryState.DEAD, T0 + 102, "late"))
    (sent,) = outbox.deliveries(DeliveryState.SENT, "ops", 10)
    assert (sent.attempts, sent.code) == (2, ""), "what came late changes nothing"


def test_the_dead_are_counted_and_wait_again_when_asked(ledger: Ledger) -> None:
    outbox = outbox_of(ledger)
    (one,) = routed(outbox, "a", [("ops", "r")])
    routed(outbox, "b", [("ops", "r")], T0 + 7)
    outbox.tried(Tried(one.id, DeliveryState.DEAD, T0 + 5, "unreachable"))
    (figures,) = outbox.channels()
    assert (figures.channel, figures.waiting, figures.dead, figures.sent, figures.failing, figures.oldest) == (
        "ops", 1, 1, 0, 0, T0 + 7,
    )  # fmt: skip
    assert outbox.resend("mail", T0 + 50) == 0
    assert outbox.resend("ops", T0 + 50) == 1
    assert [(d.attempts, d.first_at, d.code) for d in outbox.deliverable(T0 + 50, "ops", 1)] == [(0, T0 + 50, "")]


def test_what_is_old_is_forgotten_unless_something_waits(ledger: Ledger) -> None:
    outbox = outbox_of(ledger)
    (one,) = routed(outbox, "a", [("ops", "r")])
    routed(outbox, "b", [])
    outbox.tell([notice("c", at=T0 - 10)])
    assert outbox.forget(T0) == 0
    assert outbox.forget(T0 + 1) == 1, "nobody waits for b; a waits, and c was not routed"
    outbox.tried(Tried(one.id, DeliveryState.SENT, T0 + 5))
    assert outbox.forget(T0 + 1) == 1
    assert list(outbox.deliveries(None, "", 10)) == []
    assert outbox.tell([notice("a")]) == 1, "it is new again"


def test_runs_of_an_actor_are_counted_from_a_moment_on(ledger: Ledger) -> None:
    ledger.accept([definition("alpha")], {}, T0)
    claim, _ = start(ledger, "r1")
    row = ledger.run(claim.run)
    assert row is not None
    assert ledger.count_opened(row.actor, row.opened_at) == 1
    assert ledger.count_opened(row.actor, row.opened_at + 1) == 0
    assert ledger.count_opened("somebody else", 0) == 0


def test_a_refused_write_tells_nothing(ledger: Ledger) -> None:
    with refused("duplicate_credential"):
        ledger.accept([definition("alpha"), definition("alpha")], {}, T0)
    assert list(outbox_of(ledger).unrouted(10)) == []
