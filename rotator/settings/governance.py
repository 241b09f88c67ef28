"""Models of what is governed: policies and credentials.

Read by the loader; what leaves the room are these frozen models. Each key has a description, from which the reference
is made. Must never hold a value: `value: key` in a credential's store names a field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from rotator.engine import calendar

from .values import (
    Day,
    Duration,
    MinuteOfDay,
    Model,
    Moment,
    Name,
    Names,
    PositiveDuration,
    SpanOrOff,
    StorePath,
    Text,
    as_tuple,
    refuse,
)

Missed = Literal["next", "now", "skip"]


class Window(Model):
    """Hours of the day in which a scheduled run may start."""

    start: MinuteOfDay = Field(alias="from")
    """Time of day at which it opens, "01:00"."""
    end: MinuteOfDay = Field(alias="to")
    """Time of day at which it closes; earlier than `from` reaches over midnight."""
    zone: Text | None = None
    """IANA name of the zone whose clock counts; none: the policy's."""
    missed: Missed | None = None
    """A window that went by while nobody was there: `next` waits for the next one, `now` runs at once, `skip` leaves
    this rotation out."""

    @model_validator(mode="after")
    def _two_times(self) -> Window:
        if self.start == self.end:
            raise refuse("CFG-OUT-OF-RANGE", 'from and to are the same: a whole day is "00:00" to "24:00"', at="to")
        if self.start == 1440:
            raise refuse("CFG-BAD-TIME", 'a window opens at "00:00", not at "24:00"', at="from")
        return self


class Patience(Model):
    """How long a passing failure is tried again before it counts as a refusal: both must be used up."""

    attempts: Annotated[int, Field(ge=1, le=10_000)] = 8
    """Number of attempts."""
    span: Duration = 3_600_000
    """Time since the first of them."""
    values: Annotated[int, Field(ge=1, le=20)] = 3
    """Values that the platform's rules may refuse in one run before it goes back."""


class KillPatience(Model):
    """How long revoking and proving are tried again before the run ends owing: both must be used up."""

    attempts: Annotated[int, Field(ge=1, le=10_000)] = 8
    """Number of attempts."""
    span: Duration = 86_400_000
    """Time since the first of them."""


class Proof(Model):
    """What must be seen before an old value counts as dead."""

    times: Annotated[int, Field(ge=2, le=100)] = 3
    """Refusals, at least two."""
    over: Duration = 120_000
    """Time between the first and the last."""
    grade: Annotated[int, Field(ge=1, le=5)] = 2
    """The weakest control that is good enough: 1 the successor on the same principal, 2 a neutral value on it,
    3 a witness credential, 4 the listing, 5 unseen (for values that were never held)."""
    retired: Annotated[int, Field(ge=1, le=5)] = 3
    """The same at a retirement, where no successor can stand beside the value: the best control of a kind with many
    values is then a witness (3); one with a single slot has a neutral value (2)."""


class Pause(Model):
    """Scheduled runs of this policy wait. Emergencies do not."""

    by: Text
    """Who said so."""
    reason: Text
    """Why."""
    until: Moment
    """Until when; a pause has an end."""


class Policy(Model):
    """When a credential changes, and how carefully."""

    parent: Name | None = None
    """A policy from which everything is taken that is not said here; `null` takes a key away again."""
    every: PositiveDuration | None = None
    """Span between two rotations (`30d`)."""
    cron: Text | None = None
    """Five fields; fires by the wall clock of `zone`, once in a repeated hour, never lost in a missing one."""
    zone: Text = "UTC"
    """IANA name of the zone for `cron` and `window`."""
    window: Window | None = None
    """Hours of the day in which a scheduled run may start."""
    jitter: Duration = 0
    """Credentials are spread over this span, each at a fixed share of it."""
    missed: Missed | None = None
    """For a missed window: `next` (default), `now` or `skip`."""
    min_age: Duration = 0
    """A value younger than this is not changed by cron."""
    overlap: Duration
    """How long old and new are both accepted. `0s`: the old one is revoked (or dies) at once."""
    patience: Patience = Patience()
    """For every step but revoking and proving."""
    kill_patience: KillPatience = KillPatience()
    """For revoking and proving; after it the run ends owing, and the daemon goes on outside the run."""
    fresh: PositiveDuration = 300_000
    """Before a revoke, what serves must have been seen alive this recently."""
    proof: Proof = Proof()
    """What must be seen before an old value counts as dead."""
    history: Literal["destroy", "keep"] = "destroy"
    """Whether versions in the store that hold an old value are destroyed in the end (its neighbours' go with them)."""
    heartbeat: SpanOrOff = 86_400_000
    """How often, between rotations, what serves is tried and the store is read; `off`: never. It changes nothing."""
    pause: Pause | None = None
    """Scheduled runs of this policy wait."""

    @model_validator(mode="after")
    def _one_calendar(self) -> Policy:
        if self.every is not None and self.cron is not None:
            raise refuse("CFG-CONFLICT", "say one of `every` and `cron`, not both", at="cron")
        if self.every is None and self.cron is None:
            raise refuse("CFG-MISSING", "`every` (a span) or `cron` is missing: when does a credential change?")
        return self

    def schedule(self) -> calendar.Schedule:
        """The policy's calendar, as the engine's pure functions take it."""
        window = self.window
        return calendar.Schedule(
            every=self.every,
            cron=self.cron,
            zone=self.zone,
            window=None
            if window is None
            else calendar.Window(window.start, window.end, window.zone or self.zone, window.missed or self.missed),
            jitter=self.jitter,
            missed=self.missed or "next",
            min_age=self.min_age,
        )


class Authority(Model):
    """Where the value is accepted or refused."""

    endpoint: Name
    """Which of `endpoints`."""
    kind: Name
    """Which of the plugin's kinds."""
    principal: Text | None = None
    """Account or client that the credential authenticates."""
    principals: Names | None = None
    """Two accounts that take turns: only the idle one's password changes, so nobody is locked out."""
    scopes: Names = ()
    """What the value may do, where the platform gives each value scopes of its own."""
    params: Mapping[str, str] = Field(default_factory=dict)
    """Further names that the kind asks for."""
    handle: Text | None = None
    """The platform's id of the present value, for an adoption that cannot find it."""

    @model_validator(mode="after")
    def _principal_or_two(self) -> Authority:
        if self.principal is not None and self.principals is not None:
            raise refuse("CFG-CONFLICT", "say one of `principal` and `principals`, not both", at="principals")
        if self.principal is None and self.principals is None:
            raise refuse("CFG-MISSING", "`principal` is missing (or `principals: [a, b]` for two that take turns)")
        if self.principals is not None and (len(self.principals) != 2 or len(set(self.principals)) != 2):
            raise refuse("CFG-OUT-OF-RANGE", "`principals` are two different accounts", at="principals")
        return self

    @property
    def homes(self) -> tuple[str, ...]:
        """The principals: one, or two that take turns."""
        if self.principals is not None:
            return self.principals
        assert self.principal is not None
        return (self.principal,)


class StorePlace(Model):
    """Where the value lives."""

    store: Name = Field(alias="in")
    """Which of `stores`."""
    path: StorePath
    """Path of the secret inside the store's mount."""
    value: Text
    """Name of the field that holds the value."""
    fields: Mapping[str, Literal["principal", "handle"]] = Field(default_factory=dict)
    """Reference fields that change with the value, in the same write."""

    @model_validator(mode="after")
    def _fields_apart(self) -> StorePlace:
        if self.value in self.fields:
            raise refuse("CFG-CONFLICT", "this field already holds the value", at=("fields", self.value))
        return self


class Consumer(Model):
    """Where the value must be installed to be used."""

    endpoint: Name
    """Which of `endpoints`."""
    kind: Name
    """Which of the plugin's kinds."""
    path: Text | None = None
    """Where at the endpoint (a file, a record)."""
    principal: Text | None = None
    """The account at the endpoint, where the consumer is one."""
    params: Mapping[str, str] = Field(default_factory=dict)
    """Further names that the kind asks for."""
    fields: Mapping[str, Literal["principal", "handle", "value"]] = Field(default_factory=dict)
    """What is written there: names of its fields, and what each holds."""

    @model_validator(mode="after")
    def _one_place(self) -> Consumer:
        if (self.path is None) == (self.principal is None):
            raise refuse("CFG-CONFLICT", "say exactly one of `path` and `principal`: where does it go?")
        if self.fields and "value" not in self.fields.values():
            raise refuse("CFG-CONFLICT", "none of the fields holds the `value`", at="fields")
        return self

    @property
    def subject(self) -> str:
        """The path or the principal, whichever is said."""
        return self.path if self.path is not None else str(self.principal)


class Credential(Model):
    """One identity of a machine, over its whole life."""

    owner: Text
    """Who answers for it."""
    purpose: Text
    """What it is for, in a sentence."""
    workflows: Names
    """The workflows that use it; `[]` says that none does. Retiring a workflow retires what it alone uses."""
    expires: Day
    """The day on which somebody must say again that it is needed. Nothing dies by it alone."""
    tier: Literal["T0", "T1", "T2", "T3"]
    """T0 can change identity or access, T3 only reads."""
    policy: Name
    """Which of `policies`."""
    labels: Mapping[str, str] = Field(default_factory=dict)
    """Labels of your own, for selectors (`team: itsm`)."""
    authority: Authority | None = None
    """Where the value is accepted or refused."""
    authorities: Annotated[tuple[Authority, ...], BeforeValidator(as_tuple)] = ()
    """The same, where one value is accepted at several."""
    store: StorePlace
    """Where the value lives."""
    consumers: Annotated[tuple[Consumer, ...], BeforeValidator(as_tuple)] = ()
    """Where the value must be installed to be used."""

    @model_validator(mode="after")
    def _some_authority(self) -> Credential:
        if self.authority is not None and self.authorities:
            raise refuse("CFG-CONFLICT", "say one of `authority` and `authorities`, not both", at="authorities")
        if self.authority is None and not self.authorities:
            raise refuse("CFG-MISSING", "`authority` is missing: who accepts or refuses the value?")
        return self

    @property
    def accepted_at(self) -> tuple[Authority, ...]:
        """All authorities, one or several."""
        return (self.authority,) if self.authority is not None else self.authorities
