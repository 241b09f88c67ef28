"""The heartbeat: each class of drift, nothing done by itself, no failing try while all is well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from rotator.daemon.rounds import Rounds
from rotator.effects.fingerprint import Fingerprints
from rotator.effects.inspect_pulse import HeartbeatPulse
from rotator.engine.findings import DRIFTS
from rotator.engine.heartbeat import AGAIN, Beat, Diagnosis, Drift, Felt, diagnosed
from rotator.engine.inventory import CredentialId
from rotator.engine.requests import Selection
from rotator.machine.facts import Ending, Facts
from rotator.machine.frozen import FrozenMap
from rotator.machine.ids import Gen, Handle, Home
from rotator.plugin_api import Alive, Failed, Found, Inconclusive, Rejected, Secret
from tests.unit.engine_bench import DAY, ME, Bench, credential

ALPHA = CredentialId("alpha")
HOME = Home("api", "svc")
HOUR = 3_600_000


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    found = Bench(tmp_path, credential())
    found.adopted()
    yield found
    found.close()


def at(answer: str, reason: str = "", older: Gen | None = None) -> Beat:
    return Beat("ours", Gen(1), homes=(Felt("svc@api", answer, reason, older),))


@pytest.mark.parametrize(
    ("beat", "drift", "place"),
    [
        (at("alive"), Drift.WELL, ""),
        (Beat("unreachable", reason="sealed"), Drift.UNREACHABLE, "store"),
        (at("inconclusive", "throttled"), Drift.UNREACHABLE, "svc@api"),
        (Beat("ours", Gen(1)), Drift.UNREACHABLE, ""),
        (Beat("foreign"), Drift.CHANGED_ELSEWHERE, "store"),
        (Beat("absent"), Drift.CHANGED_ELSEWHERE, "store"),
        (Beat("ours", Gen(7)), Drift.RESTORED, "store"),
        (at("rejected", "key_refused"), Drift.NOT_ACCEPTED, "svc@api"),
        (at("rejected", "key_refused", Gen(1)), Drift.RESTORED, "svc@api"),
        (at("stranger"), Drift.OTHER_IDENTITY, "svc@api"),
        (at("lacks"), Drift.PERMISSION_LOST, "svc@api"),
        (
            Beat("ours", Gen(1), homes=(Felt("a@x", "alive"), Felt("b@x", "inconclusive"), Felt("c@x", "rejected"))),
            Drift.NOT_ACCEPTED, "c@x",
        ),
    ],
)  # fmt: skip
def test_each_class_of_drift(beat: Beat, drift: Drift, place: str) -> None:
    found = diagnosed(beat, Gen(1))
    assert (found.drift, found.place) == (drift, place)


def test_every_class_has_its_words_and_its_next_step() -> None:
    known = {one.value for one in Drift} - {"unreachable"} | {"unreachable_now"}
    assert set(DRIFTS) == known
    assert all(means and do for means, do in DRIFTS.values())


@pytest.mark.parametrize("beat", [Beat("foreign"), Beat("ours", Gen(9)), at("rejected"), at("stranger"), at("lacks")])
def test_a_drift_is_recorded_and_told_once_and_nothing_is_done(bench: Bench, beat: Beat) -> None:
    calls = len(bench.world.calls)
    bench.beats["alpha"] = beat
    for _ in range(5):
        assert bench.heart.beat(ALPHA) is not None
        bench.clock.move(DAY)
    assert bench.ledger.runs(open_only=True) == []
    assert len(bench.world.calls) == calls
    (drift,) = bench.service.status()["drifts"]
    assert drift["credential"] == "alpha"
    assert "alpha" in drift["do"] or drift["finding"] == "permission_lost"
    assert bench.service.explain("alpha")["heartbeat"] == drift
    told = [one.notice for one in bench.ledger.unrouted(100) if one.notice.event == "drift_found"]
    assert [dict(one.facts)["finding"] for one in told] == [drift["finding"]]
    assert bench.heart.figures()["drift"] == [(f'{{credential="alpha",finding="{drift["finding"]}"}}', 1.0)]
    bench.beats.clear()
    bench.heart.beat(ALPHA)
    assert bench.service.status()["drifts"] == []
    assert [one.notice.event for one in bench.ledger.unrouted(100)][-1] == "drift_over"


def test_what_cannot_be_felt_changes_no_finding(bench: Bench) -> None:
    bench.beats["alpha"] = at("rejected")
    bench.heart.beat(ALPHA)
    before = bench.ledger.beat_of(ALPHA)
    bench.beats["alpha"] = Beat("unreachable", reason="sealed")
    bench.clock.move(DAY)
    assert bench.heart.beat(ALPHA) == Diagnosis(Drift.UNREACHABLE, "store", "sealed")
    after = bench.ledger.beat_of(ALPHA)
    assert before is not None
    assert after is not None
    assert (after.finding, after.since, after.at) == ("not_accepted", before.since, before.at)
    assert after.next_at == bench.clock.at + AGAIN


def test_a_run_that_opens_meanwhile_makes_it_worthless(bench: Bench) -> None:
    def feel(definition: Any, facts: Facts, known: Mapping[Gen, str]) -> Beat:
        bench.finish(bench.rotate())  # the store shows g2 when it is read, though the facts said g1
        return Beat("ours", Gen(2))

    bench.heart.pulse = type("Racing", (), {"feel": staticmethod(feel)})()
    assert bench.heart.beat(ALPHA) is None
    assert bench.service.status()["drifts"] == []


def test_no_heartbeat_while_a_run_is_open_or_the_endpoint_is_left_alone_or_observing(bench: Bench) -> None:
    bench.beats["alpha"] = at("rejected")
    bench.heart.blocked = lambda endpoint: True
    assert bench.heart.beat(ALPHA) is None
    bench.heart.blocked = lambda endpoint: False
    bench.observe = True
    assert bench.heart.beat(ALPHA) is None
    bench.observe = False
    run = bench.rotate()
    assert bench.heart.beat(ALPHA) is None
    bench.finish(run)
    bench.beats.clear()
    assert bench.heart.beat(ALPHA) == Diagnosis(Drift.WELL)


def test_off_and_retired_and_left_behind_have_none(tmp_path: Path) -> None:
    bench = Bench(tmp_path, credential(heartbeat=0), credential("beta"), credential("gamma"))
    for name in ("alpha", "beta", "gamma"):
        bench.adopted(name)
        bench.beats[name] = at("rejected")
    done = bench.service.retire_selected(ME, Selection(ids=("beta",)), apply=True, reason="off", ticket="")
    assert bench.finish(done["runs"][0]["id"]).ending is Ending.SUCCEEDED
    bench.ledger.accept([bench.row().definition, bench.row("beta").definition], {}, bench.clock.at)
    assert [bench.heart.beat(CredentialId(name)) for name in ("alpha", "beta", "gamma")] == [None] * 3
    assert bench.service.status()["drifts"] == []
    bench.close()


def test_each_is_felt_once_a_day_at_its_own_moment(tmp_path: Path) -> None:
    names = [f"c{n}" for n in range(6)]
    bench = Bench(tmp_path, *(credential(name, heartbeat=DAY) for name in names))
    for name in names:
        bench.adopted(name)
    felt: list[tuple[str, int]] = []
    for _ in range(4 * 24 * 3):
        for endpoint, name in bench.heart.due():
            assert endpoint == "api"
            bench.heart.beat(name)
            felt.append((name, bench.clock.at))
        bench.clock.move(HOUR // 4)
    for name in names:
        times = [when for who, when in felt if who == name]
        assert len(times) in {2, 3}, times
        assert all(abs(b - a - DAY) <= HOUR // 4 for a, b in pairwise(times))
    assert len({when for _, when in felt}) > 2 * 4, "spread over the day"
    bench.close()


def test_the_rounds_do_both(bench: Bench) -> None:
    bench.clock.move(2 * DAY)
    bench.heart.due()
    bench.clock.move(2 * DAY)
    rounds = Rounds(bench.clock, sweeper=bench.sweeper, heart=bench.heart, observing=lambda: bench.observe)
    bench.observe = True
    assert rounds.turn() == []
    bench.observe = False
    assert sorted(rounds.turn()) == ["beats:api", "sweep:api", "sweep:db", "sweep:files"]
    for thread in list(rounds._busy.values()):
        thread.join(10)
    assert rounds.idle()
    assert bench.service.explain("alpha")["heartbeat"]["finding"] == "well"
    assert rounds.turn() == []


# ---- the reads -----------------------------------------------------------------------------------------------------


@dataclass
class Stand:
    """A store with one secret and a platform with one kind, as doubles."""

    shown: Any = None
    answer: Any = None
    rows: tuple[Found, ...] = ()
    staged: dict[int, Secret] = field(default_factory=dict)
    probed: list[Secret] = field(default_factory=list)
    listed: int = 0

    # the world
    def store(self, name: str) -> Any:
        return self

    def platform(self, endpoint: str, kind: str) -> Any:
        return self

    # the store
    def current(self, slot: Any) -> Any:
        if isinstance(self.shown, Exception):
            raise self.shown
        return type("Current", (), {"value": self.shown, "version": "1", "fields": {}})()

    def read(self, slot: Any, gen: int) -> Secret | None:
        return self.staged.get(gen)

    # the platform
    @property
    def kind(self) -> Any:
        traits = type("Traits", (), {"identity": True})()
        return type("Kind", (), {"probe": object(), "list": object(), "traits": traits})()

    def probe(self, call: Any, request: Any) -> Any:
        self.probed.append(request.value)
        return self.answer

    def listing(self, call: Any, subject: Any) -> tuple[Found, ...]:
        self.listed += 1
        return self.rows


PRINTS = Fingerprints(bytes(range(32)))
SERVES, FORMER, OTHER = Secret("canary-serves"), Secret("canary-former"), Secret("canary-other")
KNOWN = {Gen(1): PRINTS.of("alpha", FORMER), Gen(2): PRINTS.of("alpha", SERVES)}
FACTS = Facts(
    top=Gen(2), current=frozenset({Gen(2)}), homes=FrozenMap({Gen(1): (HOME,), Gen(2): (HOME,)}),
    handles=FrozenMap({(Gen(1), HOME): Handle("h1"), (Gen(2), HOME): Handle("h2")}),
)  # fmt: skip


def felt(stand: Stand, facts: Facts = FACTS, known: Mapping[Gen, str] = KNOWN) -> Diagnosis:
    return diagnosed(HeartbeatPulse(stand, PRINTS).feel(credential(), facts, known), Gen(2))


def test_when_all_is_well_one_try_succeeds_and_nothing_is_listed() -> None:
    stand = Stand(SERVES, Alive(principal="svc"))
    assert felt(stand).drift is Drift.WELL
    assert (len(stand.probed), stand.listed) == (1, 0)


@pytest.mark.parametrize("shown", [OTHER, None, FORMER])
def test_what_is_not_the_value_that_should_serve_is_never_tried(shown: Secret | None) -> None:
    stand = Stand(shown, Alive(principal="svc"))
    assert felt(stand).drift is (Drift.RESTORED if shown is FORMER else Drift.CHANGED_ELSEWHERE)
    assert stand.probed == []


@pytest.mark.parametrize(
    ("answer", "drift"),
    [
        (Alive(principal="somebody"), Drift.OTHER_IDENTITY),
        (Alive(principal="svc", scopes=frozenset()), Drift.PERMISSION_LOST),
        (Rejected(reason="key_refused"), Drift.NOT_ACCEPTED),
        (Inconclusive(reason="throttled"), Drift.UNREACHABLE),
    ],
)
def test_what_the_platform_answers(answer: Any, drift: Drift) -> None:
    from dataclasses import replace

    stand = Stand(SERVES, answer)
    one = credential()
    scoped = replace(one, authorities=(replace(one.authorities[0], scopes=("read",)),))
    assert diagnosed(HeartbeatPulse(stand, PRINTS).feel(scoped, FACTS, KNOWN), Gen(2)).drift is drift


def test_an_older_value_that_is_listed_where_the_present_one_is_refused_tells_of_a_backup() -> None:
    refused = Rejected(reason="key_refused")
    assert felt(Stand(SERVES, refused, (Found(handle="h1"),))).drift is Drift.RESTORED
    assert (
        felt(Stand(SERVES, refused, (Found(handle="h1", active=False), Found(handle="x")))).drift is Drift.NOT_ACCEPTED
    )


def test_a_value_that_was_never_fingerprinted_is_known_by_its_stage() -> None:
    facts = FACTS.but(stored=frozenset({Gen(2)}))
    assert felt(Stand(SERVES, Alive(principal="svc"), staged={2: SERVES}), facts, {}).drift is Drift.WELL
    assert felt(Stand(OTHER, Alive(principal="svc"), staged={2: SERVES}), facts, {}).drift is Drift.CHANGED_ELSEWHERE


def test_a_store_that_does_not_answer_is_no_finding() -> None:
    assert felt(Stand(Failed("store_sealed"))) == Diagnosis(Drift.UNREACHABLE, "store", "store_sealed")
