"""The shipped machine in worlds larger than the enumerated ones: up to three authorities, three consumers, many runs in
a row, and faults without number. What can happen is what `tests/model` says can happen, and its invariants are asked
of every state; at the end of each story the open run must be able to end.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from rotator.machine.events import Answered, AnswerKind
from rotator.machine.evolve import evolve
from rotator.machine.facts import Ending, RunKind
from rotator.machine.plan import Authority, Clocks, Full, Seen
from tests.model import invariants
from tests.model.configurations import (
    NO_TIME,
    Configuration,
    alternating,
    in_place,
    in_place_issued,
    issuing,
    make,
    opening,
    overlap,
)
from tests.model.explorer import SHIPPED, Edge, State, edges_from

FAULTS = 10_000
"""Never used up: how many there are is left to chance."""

FIRST: tuple[Authority, ...] = (
    overlap(),
    overlap(slots=2),
    overlap(slots=2, full=Full.DISPLACES),
    issuing(),
    issuing(2, Seen.SNAPSHOT),
    issuing(3, Seen.SNAPSHOT),
    in_place(),
    in_place(settable=False),
    in_place_issued(),
    in_place_issued(readable=True),
    alternating(),
)
MORE: tuple[tuple[Authority, ...], ...] = (
    (),
    (overlap("b"),),
    (overlap("b", slots=3), overlap("c")),
    (in_place("b"),),
    (overlap("b"), in_place("c")),
    (alternating(endpoint="b"),),
)
CLOCKS: tuple[tuple[Clocks, bool], ...] = (
    (NO_TIME, False),
    (replace(NO_TIME, overlap=2), True),
    (replace(NO_TIME, deadline=1, landing=1), True),
    (replace(NO_TIME, backoff=1, backoff_max=2, patience_span=2, kill_patience_span=2), True),
)
KINDS = tuple(RunKind)
NEXT = tuple(kind for kind in RunKind if kind is not RunKind.ADOPT)
SETTLING = (AnswerKind.ACCEPT, AnswerKind.SKIP, AnswerKind.GIVE_UP, AnswerKind.GO_ON, AnswerKind.CONTAIN_NOW)
"""What a person says who wants the run to end, best first; if nothing of it is legal or helps: abandon."""


def order(first: Authority, more: tuple[Authority, ...]) -> tuple[Authority, ...]:
    """Single slots last, as `strategy.order` puts them; an issued value has one home that others take it from."""
    return tuple(sorted((first, *more), key=lambda one: (not one.issued, one.single)))


class Life(RuleBasedStateMachine):
    """One credential: rules are what may happen next."""

    config: Configuration
    state: State

    @initialize(
        first=st.sampled_from(FIRST),
        more=st.sampled_from(MORE),
        consumers=st.integers(0, 3),
        clocks=st.sampled_from(CLOCKS),
        kind=st.sampled_from(KINDS),
        debt=st.booleans(),
        strict=st.booleans(),
        leaks=st.integers(0, 4),
    )
    def begin(
        self,
        first: Authority,
        more: tuple[Authority, ...],
        consumers: int,
        clocks: tuple[Clocks, bool],
        kind: RunKind,
        debt: bool,
        strict: bool,
        leaks: int,
    ) -> None:
        """A credential of some shape, and its first run."""
        spans, timed = clocks
        more = () if first.single and not first.alternating else more
        shape: dict[str, Any] = {"runs": (kind,), "debt": debt and not first.single and not more, "strict": strict}
        shape |= {"timed": timed, "late": spans.landing > 0, "contain_now": leaks == 0, "said": 10**6, "whim": 0}
        self.config = make("life", *order(first, more), consumers=consumers, clocks=spans, **shape)
        facts, world = opening(self.config)
        self.state = State(facts, world, self.config.runs, FAULTS)

    def edges(self) -> list[Edge]:
        return list(edges_from(self.config, SHIPPED, self.state))

    def open_run(self) -> bool:
        """Whether a run is walked."""
        return hasattr(self, "state") and self.state.facts.run is not None and self.state.facts.ending is None

    def take(self, edge: Edge) -> None:
        """Go there, and see that everything holds."""
        note(edge.name)
        after = edge.after
        self.state = after._replace(faults=FAULTS)
        plan = self.config.plan
        assert (broken := invariants.always(plan, after.facts, after.world)) is None, broken
        if after.facts.ending is not None:
            assert (broken := invariants.at_end(plan, after.facts, after.world)) is None, broken

    def honest(self) -> Edge | None:
        """What happens when nothing goes wrong and nobody says anything."""
        free = [edge for edge in self.edges() if not edge.person and edge.after.faults == self.state.faults]
        work = [edge for edge in free if edge.name != "tick" and not edge.name.startswith(("late", "lands late"))]
        return next(iter(work or free), None)

    @rule(steps=st.integers(1, 12))
    @precondition(open_run)
    def works(self, steps: int) -> None:
        """Some steps go well."""
        for _ in range(steps):
            edge = self.honest()
            if edge is None or self.state.facts.ending is not None:
                return
            self.take(edge)

    @rule(pick=st.integers(0, 10**6))
    @precondition(open_run)
    def happens(self, pick: int) -> None:
        """Anything at all: a fault, a lie, a crash, an answer, an effect that lands late, a tick."""
        edges = [edge for edge in self.edges() if edge.name != "says abandon"]
        if edges:
            self.take(edges[pick % len(edges)])

    @rule(pick=st.integers(0, 10**6))
    @precondition(open_run)
    def goes_wrong(self, pick: int) -> None:
        """A fault, where one is possible."""
        edges = [edge for edge in self.edges() if edge.after.faults < self.state.faults]
        if edges:
            self.take(edges[pick % len(edges)])

    @rule(pick=st.integers(0, 10**6))
    @precondition(open_run)
    def is_told(self, pick: int) -> None:
        """A person speaks, asked or not."""
        edges = [edge for edge in self.edges() if edge.person]
        if edges:
            self.take(edges[pick % len(edges)])

    @rule(kind=st.sampled_from(NEXT))
    @precondition(lambda self: hasattr(self, "state") and not self.open_run())
    def opens(self, kind: RunKind) -> None:
        """The run that was asked for, or another after one that ended. What was retired stays so."""
        run = self.state.facts.run
        retired = run is not None and run.kind is RunKind.RETIRE and self.state.facts.ending is Ending.SUCCEEDED
        contained = self.state.facts.ending is Ending.CONTAINED
        if retired or contained:
            return
        runs = self.state.runs or (kind,)
        self.state = self.state._replace(runs=runs)
        self.take(self.edges()[0])

    def teardown(self) -> None:
        """Whatever happened, from here on nothing goes wrong: the run ends, and what its ending promises is true."""
        if not self.open_run():
            return
        said: set[Answered] = set()
        for _ in range(600):
            if self.state.facts.ending is not None:
                return
            edge = self.honest()
            if edge is not None:
                self.take(edge)
                continue
            self.settles(said)
        raise AssertionError("the run does not end")

    def settles(self, said: set[Answered]) -> None:
        """A person answers so that the run can end; nothing is said twice."""
        plan, facts = self.config.plan, self.state.facts
        legal = [one for one in SHIPPED.legal(plan, facts) if one not in said]
        ranked = sorted((one for one in legal if one.kind in SETTLING), key=lambda one: SETTLING.index(one.kind))
        retry = Answered(AnswerKind.RETRY)
        answer = next(iter(ranked), retry if retry in legal else Answered(AnswerKind.ABANDON))
        said.add(answer)
        self.take(Edge(f"says {answer.kind.value}", self.state._replace(facts=evolve(plan, facts, answer, 0))))


def test_no_life_breaks_an_invariant_and_every_run_can_end() -> None:
    """Derandomised, so that a failure is found again; the seeds of `make soak` are for real servers."""
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=400,
            stateful_step_count=50,
            deadline=None,
            derandomize=True,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )
