"""Performs one step of a run: one function a step kind. The engine's only way to the world.

Called by the runner with everything that was committed; answers with an outcome, never raises. Values live inside one
call. A step is refused locally (*unsent*) once its deadline has passed: the next owner counts on it (R15).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from rotator.engine.inventory import AuthorityRef
from rotator.engine.ports import Clock, Observed, Performed, Work
from rotator.machine.events import Outcome
from rotator.machine.facts import LegName, RunKind
from rotator.machine.ids import Gen, Handle, Home, Label, Millis
from rotator.machine.ids import Version as MachineVersion
from rotator.machine.steps import Answer, CurrentIs, Listed, Made, OutcomeKind, Row, Staged, StepKind
from rotator.machine.steps import Probed as MachineProbed
from rotator.plugin_api import (
    Alive,
    Failed,
    Found,
    Generation,
    Inconclusive,
    InstallRequest,
    IssueRequest,
    Kind,
    Misconfigured,
    OutcomeUnknown,
    PluginError,
    Probed,
    ProbeRequest,
    Refused,
    Rejected,
    RevokeRequest,
    Secret,
    Subject,
    SweepRequest,
)

from .boundary import bounded, done
from .control import Control, find_control
from .fingerprint import Fingerprints
from .generate import generate
from .platforms import Call, Platform, World
from .stores.contract import Version
from .values import (
    Kept,
    authority_of,
    consumer_of,
    generation_of,
    joined,
    payload,
    references,
    slot_of,
    subject_of,
)


@dataclass(frozen=True, slots=True)
class Site:
    """Everything about one home that a step needs."""

    home: Home
    authority: AuthorityRef
    subject: Subject
    platform: Platform


@dataclass(frozen=True, slots=True)
class Tried:
    """What a probe said, in the machine's words; `not_before`: when the platform wants to be asked again."""

    answer: Answer
    reason: str
    not_before: Millis | None
    seen: Observed


class Performer:
    """The effects of one installation. `world` says what is configured now, the work what was frozen."""

    def __init__(self, world: World, clock: Clock, fingerprints: Fingerprints, installation: str) -> None:
        self._world = world
        self._clock = clock
        self._fingerprints = fingerprints
        self._prefix = f"rot-{installation}-"

    def perform(self, work: Work) -> Performed:
        """Do the step of `work.intent` once. Never raises."""
        step = work.step
        if self._clock.now() >= work.intent.deadline:
            return Performed(Outcome(step, OutcomeKind.UNSENT, reason="deadline_passed"))
        return bounded(step, self._clock.now, lambda: _STEPS[step.kind](self, work))

    # -- the store -------------------------------------------------------------------------------------------------

    def read_current(self, work: Work) -> Performed:
        """Whose value do readers see? Compared with every value of ours that is staged."""
        kept = self._kept(work)
        now = kept.store.current(kept.slot)
        version = MachineVersion(now.version) if now.version else None
        if now.value is None:
            return done(work.step, CurrentIs(None, version))
        for gen in sorted(work.facts.stored, reverse=True):
            staged = kept.staged(gen)
            if staged is not None and staged.matches(now.value):
                return done(work.step, CurrentIs(gen, version), self._seen(work, gen, now.value))
        run = work.facts.run
        if work.plan.kind is RunKind.ADOPT and run is not None and run.old is not None and not work.facts.kept:
            # Adoption: what stands in the store is generation 1 by definition, until it is staged.
            return done(work.step, CurrentIs(run.old, version), self._seen(work, run.old, now.value))
        return done(work.step, CurrentIs(None, version, foreign=True))

    def check_stage(self, work: Work) -> Performed:
        kept = self._kept(work)
        return done(work.step, Staged(kept.staged(_gen(work)) is not None))

    def stage(self, work: Work) -> Performed:
        """Keep a value under its generation. One that is staged already is that value: it was never used elsewhere."""
        kept, gen = self._kept(work), _gen(work)
        if work.step.from_current:
            kept.store.stage_current(kept.slot, int(gen))
            return done(work.step, None, self._seen_stage(work, kept, gen))
        value = kept.staged(gen)
        if value is None:
            homes = [work.step.home] if work.step.home else list(work.facts.homes.get(gen, ()))
            specs = [self._site(work, home).platform.kind.value for home in homes] or [
                self._world.platform(one.endpoint, one.kind).kind.value for one in work.definition.authorities
            ]
            value = generate(joined(specs))
            self._call(work)  # the read above took of the time
            kept.store.stage(kept.slot, int(gen), value)
        return done(work.step, None, self._seen(work, gen, value))

    def promote(self, work: Work) -> Performed:
        kept, gen = self._kept(work), _gen(work)
        fields = references(work, gen, work.definition.store.fields, self._first_kind(work))
        expected = Version(work.intent.expected_version or "")
        promoted = kept.store.promote(kept.slot, int(gen), fields, expected)
        return done(work.step, CurrentIs(gen, MachineVersion(promoted.version)))

    def destroy(self, work: Work) -> Performed:
        """Destroy what is proven dead. Where nothing shall remain, readers get a version without our fields first."""
        kept, gen = self._kept(work), _gen(work)
        run = work.facts.run
        last = run is not None and run.legs[:1] in ((LegName.RETIRE,), (LegName.GIVE_UP,))
        cleared = last and gen in work.facts.current
        if cleared:
            kept.store.clear(kept.slot)
        try:
            kept.store.finalize(kept.slot, int(gen), keep_versions=work.definition.policy.keep_history)
        except Failed as error:
            if cleared and error.unsent:  # this request never left, but the one before it did
                raise Failed(error.reason, status=error.status, retry_after=error.retry_after) from None
            raise
        return done(work.step, None)

    # -- authorities -----------------------------------------------------------------------------------------------

    def install(self, work: Work) -> Performed:
        site, gen = self._here(work), _gen(work)
        value = self._kept(work).value(work, gen)
        of = generation_of(work, gen, site.home, site.subject, site.platform.kind)
        answer = site.platform.install(
            self._call(work),
            InstallRequest(
                into=site.subject, value=value, of=of, label=of.label, scopes=frozenset(site.authority.scopes)
            ),
        )
        handle = answer.handle or (of.label if site.platform.kind.traits.handle_is_label else None)
        return done(work.step, Made(Handle(handle) if handle else None))

    def issue(self, work: Work) -> Performed:
        """Make and stage are one effect: done only when staged (a value that nobody keeps is a debt)."""
        site, gen, kept = self._here(work), _gen(work), self._kept(work)
        issued = site.platform.issue(
            self._call(work),
            IssueRequest(subject=site.subject, label=work.intent.label or "", scopes=frozenset(site.authority.scopes)),
        )
        try:
            kept.store.stage(kept.slot, int(gen), issued.value)
        except PluginError as error:
            raise OutcomeUnknown("issued_not_staged", status=error.status) from None
        handle = Handle(issued.handle) if issued.handle else None
        return done(work.step, Made(handle), self._seen(work, gen, issued.value))

    def verify(self, work: Work) -> Performed:
        site, gen = self._here(work), _gen(work)
        value = self._kept(work).value(work, gen)
        tried = self._probe(work, site, gen, value)
        found = MachineProbed(tried.answer)
        return Performed(Outcome(work.step, OutcomeKind.DONE, found, tried.reason, tried.not_before), tried.seen)

    def prove(self, work: Work) -> Performed:
        """Try a value that should be dead, beside a control. Without a control it is not tried: that costs budget."""
        site, gen, kept = self._here(work), _gen(work), self._kept(work)
        value = kept.value(work, gen)
        control = self._control(work, site, kept)
        if control is None:
            found = MachineProbed(Answer.INCONCLUSIVE)
            return Performed(Outcome(work.step, OutcomeKind.DONE, found, "no_control"))
        tried = self._probe(work, site, gen, value)
        rejected = tried.answer is Answer.REJECTED
        found = MachineProbed(tried.answer, control.grade if rejected else None)
        seen = replace(tried.seen, grade=control.grade, control=control.what) if rejected else tried.seen
        return Performed(Outcome(work.step, OutcomeKind.DONE, found, tried.reason, tried.not_before), seen)

    def revoke(self, work: Work) -> Performed:
        site, gen = self._here(work), _gen(work)
        of = generation_of(work, gen, site.home, site.subject, site.platform.kind)
        by_value = site.platform.kind.revoke_by_value
        if not of.handle and not by_value:
            raise Misconfigured("no_handle")
        value = self._kept(work).value(work, gen) if by_value else None
        site.platform.revoke(self._call(work), RevokeRequest(target=of, value=value))
        return done(work.step, None)

    def sweep(self, work: Work) -> Performed:
        site, gen = self._here(work), _gen(work)
        of = generation_of(work, gen, site.home, site.subject, site.platform.kind)
        swept = site.platform.sweep(self._call(work), SweepRequest(target=of))
        left = None if swept.left_until is None else int(swept.left_until.timestamp() * 1000)
        if left is not None and left > self._clock.now():
            # Some cannot be ended: until they die by themselves, a refusal of the root proves little.
            return Performed(Outcome(work.step, OutcomeKind.FAILED, reason="derived_left", not_before=left))
        return done(work.step, None)

    def listing(self, work: Work) -> Performed:
        site = self._here(work)
        rows = site.platform.listing(self._call(work), site.subject)
        mine = [row for row in rows if row.active and row.principal in (None, site.home.principal)]
        return done(work.step, Listed(frozenset(Row(Handle(row.handle), self._ours(row)) for row in mine)))

    # -- consumers -------------------------------------------------------------------------------------------------

    def push(self, work: Work) -> Performed:
        ref = consumer_of(work.definition, work.step.consumer or "")
        platform, gen = self._world.platform(ref.endpoint, ref.kind), _gen(work)
        value = self._kept(work).value(work, gen)
        homes = work.facts.homes.get(gen, ())
        if not homes:
            raise Refused("not_staged")
        first = self._first_kind(work)
        of = generation_of(work, gen, homes[0], Subject(principal=homes[0].principal), first)
        platform.install(
            self._call(work),
            InstallRequest(
                into=Subject(principal=ref.target, params=dict(ref.params)),
                value=value,
                of=of,
                label=of.label,
                fields=payload(work, gen, ref.fields, value, first),
            ),
        )
        return done(work.step, None)

    def unpush(self, work: Work) -> Performed:
        ref = consumer_of(work.definition, work.step.consumer or "")
        platform = self._world.platform(ref.endpoint, ref.kind)
        into = Subject(principal=ref.target, params=dict(ref.params))
        names = tuple(one.name for one in ref.fields)
        platform.revoke(self._call(work), RevokeRequest(target=Generation(subject=into), fields=names))
        return done(work.step, None)

    # -- parts -----------------------------------------------------------------------------------------------------

    def _kept(self, work: Work) -> Kept:
        return Kept(self._world.store(work.definition.store.store), slot_of(work.definition))

    def _site(self, work: Work, home: Home) -> Site:
        authority = authority_of(work.definition, home)
        platform = self._world.platform(authority.endpoint, authority.kind)
        return Site(home, authority, subject_of(authority, home), platform)

    def _here(self, work: Work) -> Site:
        if work.step.home is None:
            raise Misconfigured("plugin_bug")
        return self._site(work, work.step.home)

    def _first_kind(self, work: Work) -> Kind[Any]:
        first = work.definition.authorities[0]
        return self._world.platform(first.endpoint, first.kind).kind

    def _call(self, work: Work) -> Call:
        """The rest of the deadline, asked directly before sending (R15). Never more than the whole span: the clock may
        have been set back since the intent."""
        until, span = work.intent.deadline, work.intent.deadline - work.intent.at
        left = min(until - self._clock.now(), span) / 1000
        if left <= 0:
            raise Failed("deadline", unsent=True)
        return Call(run=work.run, seconds=left)

    def _probe(self, work: Work, site: Site, gen: Gen, value: Secret) -> Tried:
        of = generation_of(work, gen, site.home, site.subject, site.platform.kind)
        answer = site.platform.probe(self._call(work), ProbeRequest(target=of, value=value))
        word, reason = judged(answer, site)
        wait = answer.retry_after if isinstance(answer, Inconclusive) else None
        seen = Observed(
            gen=gen,
            home=site.home,
            refusal=answer.reason if isinstance(answer, Rejected) else "",
            identity=(answer.principal or "") if isinstance(answer, Alive) else "",
            fingerprint=self._fingerprints.of(work.definition.id, value),
        )
        not_before = None if wait is None else self._clock.now() + int(wait.total_seconds() * 1000)
        return Tried(word, reason, not_before, seen)

    def _control(self, work: Work, site: Site, kept: Kept) -> Control | None:
        def alive(home: Home, gen: Gen, value: Secret) -> bool:
            other = self._site(work, home)
            return self._probe(work, other, gen, value).answer is Answer.ALIVE

        return find_control(
            work,
            site.home,
            value_of=kept.staged,
            alive=alive,
            witness=lambda: isinstance(site.platform.witness(self._call(work)), Alive),
            handles=lambda: self._handles(work, site),
        )

    def _handles(self, work: Work, site: Site) -> frozenset[str] | None:
        if site.platform.kind.list is None:
            return None
        try:
            return frozenset(row.handle for row in site.platform.listing(self._call(work), site.subject) if row.active)
        except PluginError:
            return None  # no healthy listing, no such control

    def _ours(self, row: Found) -> Label | None:
        return Label(row.label) if row.label and row.label.startswith(self._prefix) else None

    def _seen_stage(self, work: Work, kept: Kept, gen: Gen) -> Observed | None:
        """Evidence only: the stage is acknowledged, whatever this read says."""
        try:
            value = kept.staged(gen)
        except PluginError:
            return None
        return None if value is None else self._seen(work, gen, value)

    def _seen(self, work: Work, gen: Gen, value: Secret) -> Observed:
        return Observed(gen=gen, fingerprint=self._fingerprints.of(work.definition.id, value))


def judged(answer: Probed, site: Site) -> tuple[Answer, str]:
    """A probe's answer in the machine's words: alive only as the identity and with the scopes that were meant."""
    match answer:
        case Alive(principal=principal, scopes=scopes):
            if site.platform.kind.traits.identity and principal != site.home.principal:
                return Answer.STRANGER, "wrong_identity"
            if scopes is not None and not frozenset(site.authority.scopes) <= scopes:
                return Answer.STRANGER, "scopes_missing"
            return Answer.ALIVE, ""
        case Rejected(reason=reason):
            return Answer.REJECTED, reason
        case Inconclusive(reason=reason):
            return Answer.INCONCLUSIVE, reason


def _gen(work: Work) -> Gen:
    if work.step.gen is None:
        raise Misconfigured("plugin_bug")
    return work.step.gen


_STEPS: Final[Mapping[StepKind, Callable[[Performer, Work], Performed]]] = {
    StepKind.READ_CURRENT: Performer.read_current,
    StepKind.CHECK_STAGE: Performer.check_stage,
    StepKind.STAGE: Performer.stage,
    StepKind.SNAPSHOT: Performer.listing,
    StepKind.INSTALL: Performer.install,
    StepKind.ISSUE: Performer.issue,
    StepKind.VERIFY: Performer.verify,
    StepKind.PROMOTE: Performer.promote,
    StepKind.PUSH: Performer.push,
    StepKind.FIND: Performer.listing,
    StepKind.REVOKE: Performer.revoke,
    StepKind.NEUTRALISE: Performer.install,
    StepKind.PROVE: Performer.prove,
    StepKind.SWEEP: Performer.sweep,
    StepKind.UNPUSH: Performer.unpush,
    StepKind.LIST: Performer.listing,
    StepKind.DESTROY: Performer.destroy,
}
