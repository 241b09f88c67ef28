"""The courier over a real outbox: at least once, in order, one bad channel delays no other, dead ones are seen."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rotator.daemon.courier import KEEP, Courier, CourierRules, Known
from rotator.engine.delivery import Parcel, Route, Sent
from rotator.engine.inventory import CredentialId
from rotator.engine.notices import Notice
from rotator.engine.outbox import DeliveryState
from rotator.engine.ports import Installation, LedgerError
from rotator.ledger import SqliteLedger, open_ledger
from tests.unit.engine_bench import DAY, T0, HandClock, credential

HOUR = 3_600_000
OPS = Route("all", None, ("ops",))
BOTH = Route("all", None, ("ops", "mail"))


@dataclass
class Ways:
    """Channels as a double: `answers` by channel, every sending kept."""

    answers: dict[str, Sent] = field(default_factory=dict)
    sent: list[tuple[str, Parcel]] = field(default_factory=list)
    hang: threading.Event | None = None

    def send(self, channel: str, parcel: Parcel) -> Sent:
        self.sent.append((channel, parcel))
        if self.hang is not None and channel == "ops":
            assert self.hang.wait(20)
        return self.answers.get(channel, Sent(True))

    def to(self, channel: str) -> list[Parcel]:
        return [parcel for name, parcel in self.sent if name == channel]


class Post:
    """A courier whose turns are taken by hand."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger.db"
        self.clock = HandClock()
        self.ledger: SqliteLedger = open_ledger(self.path)
        self.ledger.accept([credential()], {}, T0)
        self.ways = Ways()
        self.rules = CourierRules((BOTH,), frozenset({"ops", "mail"}))
        self.conditions: list[Notice] = []
        self.courier = self.made()

    def made(self) -> Courier:
        known = Known(lambda name: self.ledger.credential(name), lambda run: None, lambda: list(self.conditions))
        return Courier(
            self.ledger, self.clock, Installation("acme", "e1"), sender=lambda: self.ways,
            rules=lambda: self.rules, known=known, seconds=0.05,
        )  # fmt: skip

    def tell(self, *keys: str, event: str = "run_owed") -> None:
        self.ledger.tell([Notice(event, self.clock.at, key, CredentialId("alpha"), "r1") for key in keys])

    def turn(self) -> None:
        """One turn, its channels worked to the end."""
        self.courier.turn()
        for thread in list(self.courier._busy.values()):
            thread.join(20)
            assert not thread.is_alive()

    def states(self, channel: str = "ops") -> list[str]:
        return [one.state.value for one in reversed(list(self.ledger.deliveries(None, channel, 1000)))]


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    made = Post(tmp_path)
    yield made
    made.courier.stop()
    made.ledger.close()


def test_a_notice_goes_to_every_channel_of_its_routes_once(post: Post) -> None:
    post.tell("a", "a", "b")
    post.turn()
    post.turn()
    assert [json.loads(one.body)["data"]["event"] for one in post.ways.to("ops")] == ["run_owed", "run_owed"]
    assert len(post.ways.to("mail")) == 2
    assert post.states() == ["sent", "sent"]
    assert post.ledger.oldest_unrouted() is None


def test_order_is_kept_within_a_channel(post: Post) -> None:
    post.rules = CourierRules((OPS,), frozenset({"ops"}))
    for n in range(30):
        post.tell(f"k{n:02}")
        post.clock.move(1)
    post.turn()
    times = [json.loads(one.body)["time"] for one in post.ways.to("ops")]
    assert times == sorted(times)
    assert len(times) == 30


def test_what_fails_is_tried_again_later_with_the_same_id_and_text(post: Post) -> None:
    post.ways.answers["ops"] = Sent(False, "receiver_failed")
    post.tell("a", "b")
    post.turn()
    post.turn()
    assert len(post.ways.to("ops")) == 1, "the one behind it waits: the channel is not well"
    assert len(post.ways.to("mail")) == 2
    (first, _) = reversed(list(post.ledger.deliveries(None, "ops", 10)))
    assert (first.attempts, first.code, first.next_at) == (1, "receiver_failed", post.clock.at + 10_000)
    post.clock.move(9_999)
    post.turn()
    assert len(post.ways.to("ops")) == 1
    post.clock.move(1)
    post.ways.answers.clear()
    post.turn()
    bodies = post.ways.to("ops")
    assert len(bodies) == 3
    assert (bodies[0].id, bodies[0].body) == (bodies[1].id, bodies[1].body)
    assert bodies[2].id != bodies[0].id
    assert post.states() == ["sent", "sent"]


def test_pauses_grow_while_it_fails_and_the_receivers_wish_counts(post: Post) -> None:
    post.ways.answers["ops"] = Sent(False, "receiver_failed", 90_000)
    post.tell("a")
    times = []
    for _ in range(600):
        before = len(post.ways.to("ops"))
        post.turn()
        if len(post.ways.to("ops")) > before:
            times.append(post.clock.at)
        post.clock.move(10_000)
    pauses = [(b - a) // 1000 for a, b in itertools.pairwise(times)]
    assert pauses[:6] == [90, 90, 90, 90, 160, 320]


def test_a_channel_that_hangs_delays_no_other_and_no_writer(post: Post) -> None:
    post.ways.hang = threading.Event()
    post.tell("a", "b")
    post.courier.turn()
    for _ in range(3):
        post.courier.turn()
    post.courier._busy["mail"].join(10)
    assert len(post.ways.to("mail")) == 2
    assert len(post.ways.to("ops")) == 1
    post.tell("c")  # whoever writes an event waits for nobody
    assert post.ledger.oldest_unrouted() is not None
    post.courier.stop(0.1)
    post.ways.hang.set()


def test_death_between_the_sending_and_its_record_sends_again(post: Post) -> None:
    """At least once: never lost, perhaps twice, with one id."""
    post.rules = CourierRules((OPS,), frozenset({"ops"}))
    post.tell("a")
    written, post.ledger.tried = post.ledger.tried, _dies  # type: ignore[method-assign, assignment]
    post.turn()
    assert len(post.ways.to("ops")) == 1
    post.ledger.tried = written  # type: ignore[method-assign]
    post.ledger.close()
    post.ledger = open_ledger(post.path)
    post.courier = post.made()
    post.turn()
    first, second = post.ways.to("ops")
    assert (first.id, first.body) == (second.id, second.body)
    assert post.states() == ["sent"]


def _dies(outcome: object) -> None:
    raise LedgerError("closed")


def test_death_between_routing_and_delivery_loses_nothing(post: Post) -> None:
    post.tell("a")
    post.ways.answers = {"ops": Sent(False, "unreachable"), "mail": Sent(False, "unreachable")}
    post.courier.turn()
    post.ledger.close()
    post.ledger = open_ledger(post.path)
    post.ways = Ways()
    post.courier = post.made()
    post.clock.move(HOUR)
    post.turn()
    assert len(post.ways.sent) == 2


def test_what_finds_no_taker_is_laid_aside_and_others_are_told(post: Post) -> None:
    post.ways.answers["ops"] = Sent(False, "unreachable")
    post.tell("a")
    for _ in range(4 * 24 * 2):
        post.turn()
        post.clock.move(HOUR // 2)
    assert post.states()[0] == "dead"
    (figures,) = [one for one in post.ledger.channels() if one.channel == "ops"]
    assert figures.dead == 1
    events = [json.loads(one.body)["data"]["event"] for one in post.ways.to("mail")]
    assert events == ["run_owed", "delivery_dead"]
    tries = len(post.ways.to("ops"))
    post.clock.move(10 * DAY)
    post.turn()
    assert len(post.ways.to("ops")) == tries, "dead is dead"
    post.ways.answers.clear()
    assert post.ledger.resend("ops", post.clock.at) == 1
    post.turn()
    assert post.states()[0] == "sent"


def test_a_daemon_that_was_down_for_a_week_gives_nothing_up_at_its_first_try(post: Post) -> None:
    post.ways.answers["ops"] = Sent(False, "unreachable")
    post.tell("a")
    post.turn()
    post.clock.move(7 * DAY)
    post.turn()
    assert post.states() == ["waiting"]


def test_a_channel_that_is_no_longer_configured_gives_its_messages_up(post: Post) -> None:
    post.ways.answers["ops"] = Sent(False, "unreachable")
    post.tell("a")
    post.turn()
    post.rules = CourierRules((Route("all", None, ("mail",)),), frozenset({"mail"}))
    post.ways.answers["ops"] = Sent(False, "unknown_channel")
    post.clock.move(HOUR)
    post.turn()
    assert post.states() == ["dead"]


def test_without_routes_notices_are_put_away_and_nothing_waits(post: Post) -> None:
    post.rules = CourierRules()
    post.tell("a")
    post.turn()
    assert (post.ways.sent, post.ledger.oldest_unrouted(), list(post.ledger.channels())) == ([], None, [])


def test_what_was_told_is_forgotten_and_what_waits_is_not(post: Post) -> None:
    post.ways.answers["ops"] = Sent(False, "unreachable")
    post.tell("a")
    post.turn()
    post.clock.move(KEEP + HOUR)
    post.tell("b")
    post.turn()
    assert len(post.states()) == 2
    post.ways.answers.clear()
    post.clock.move(HOUR)
    post.turn()
    post.turn()
    post.clock.move(KEEP + HOUR)
    post.turn()
    assert post.states() == []


def test_conditions_are_looked_at_now_and_then_and_told_once(post: Post) -> None:
    post.conditions = [Notice("ledger_behind", T0, "ledger_behind:7")]
    for _ in range(5):
        post.turn()
        post.clock.move(60_000)
    assert len(post.ways.to("ops")) == 1


def test_a_bug_in_a_sender_is_no_end_of_the_courier(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    post.rules = CourierRules((OPS,), frozenset({"ops"}))
    post.tell("a")

    class Broken:
        def send(self, channel: str, parcel: Parcel) -> Sent:
            raise RuntimeError("canary")

    good, post.ways = post.ways, Broken()  # type: ignore[assignment]
    post.turn()
    post.ways = good
    post.turn()
    assert post.states() == ["sent"]


def test_a_notice_that_cannot_be_worded_keeps_no_other_from_its_way(post: Post) -> None:
    post.ledger.tell([Notice("unmanaged", T0, "no credential to name in its command", None, "r1")])
    good = post.courier._known
    post.tell("a")

    def breaks(name: CredentialId) -> None:
        raise RuntimeError("canary")

    post.courier._known = Known(breaks, good.question, good.conditions)
    post.turn()
    assert len(post.ways.to("ops")) == 1, "the one without a credential went, the other met the bug"
    post.courier._known = good
    post.turn()
    assert len(post.ways.to("ops")) == 2


def test_a_clock_that_ran_ahead_and_was_set_back_holds_nothing_for_a_year(post: Post) -> None:
    post.clock.at = T0 + 365 * DAY
    post.ways.answers = {"ops": Sent(False, "unreachable"), "mail": Sent(False, "unreachable")}
    post.tell("a")
    post.turn()
    post.clock.at = T0
    post.ways.answers.clear()
    post.turn()
    assert post.states() == ["sent"]


def test_the_threads_begin_deliver_and_end(post: Post) -> None:
    post.courier.start()
    post.tell("a")
    for _ in range(200):
        if len(post.ways.sent) == 2:
            break
        threading.Event().wait(0.05)
    assert {name for name, _ in post.ways.sent} == {"ops", "mail"}
    post.courier.stop(5)
    assert not post.courier._thread.is_alive()


def test_a_message_that_is_forgotten_while_it_is_under_way_is_no_error(post: Post) -> None:
    from rotator.engine.outbox import DeliveryId, Tried

    post.ledger.tried(Tried(DeliveryId(99), DeliveryState.SENT, T0))
    assert list(post.ledger.deliveries(None, "", 10)) == []
