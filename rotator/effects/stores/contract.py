"""The store contract: what every secret store does for one credential. One suite (`tests/contract/stores`) tests all.

Called by `effects.perform` only. A store never decides: it does one thing and says honestly what became of it, by
returning or by raising one of the four errors of the plugin API (`Refused`, `Failed`, `OutcomeUnknown`,
`Misconfigured`; `Failed(unsent=True)` when the request certainly never left). An answer without the fields that it
must have is *unknown*, never *done*.

Words: a credential is a value field plus reference fields in one secret (a path); its neighbours are the other fields.
Staged values live apart from what readers read, one place per generation, and stay readable until `finalize`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NewType, Protocol

from rotator.plugin_api import Secret

Version = NewType("Version", str)
"""The store's own version of a secret, opaque. The empty text: the secret does not exist yet."""

ABSENT = Version("")


@dataclass(frozen=True, slots=True)
class Slot:
    """Where one credential lives: `path` and the name of its value field; `credential` names its stage."""

    credential: str
    path: str
    value: str
    fields: tuple[str, ...] = ()
    """Names of the reference fields that change with the value, in the same promote."""


@dataclass(frozen=True, slots=True)
class Current:
    """What readers see now: the secret's version, our value (None: field or secret absent), our reference fields."""

    version: Version
    value: Secret | None
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Promoted:
    """The version that the promote wrote."""

    version: Version


@dataclass(frozen=True, slots=True)
class Mark:
    """The high-water mark of a ledger, kept in the store: a ledger older than it starts in observe mode. `serials`: no
    label of this installation, of whatever epoch, has a higher serial; 0: written by a release that did not say."""

    epoch: str
    sequence: int
    serials: int = 0

    def over(self, standing: Mark | None) -> Mark:
        """What is to stand after this one was written over `standing`: in an epoch the sequence only grows, and the
        serials never fall, in whatever epoch."""
        if standing is None:
            return self
        sequence = max(self.sequence, standing.sequence) if self.epoch == standing.epoch else self.sequence
        return Mark(self.epoch, sequence, max(self.serials, standing.serials))


class ForeignError(Exception):
    """Promote found our own fields changed by somebody else: nothing was written, a person is asked."""


class Store(Protocol):
    """One configured store. Thread-safe; every call has a deadline.

    A lower layer repeats no write, except the same compare-and-set or destroy after a lost answer, once, to find out.
    """

    def check(self, slot: Slot) -> tuple[str, ...]:
        """Findings (slugs of `reasons.REASONS`) that make the store unfit for this slot; it only reads."""
        ...

    def current(self, slot: Slot) -> Current:
        """A consistent read of what readers see."""
        ...

    def read(self, slot: Slot, generation: int) -> Secret | None:
        """The staged value of a generation; None: surely nothing is staged there (or it was destroyed)."""
        ...

    def stage(self, slot: Slot, generation: int, value: Secret) -> None:
        """Keep `value` under `generation`, invisible to readers of current. The same value again is done.

        Raises Refused("stage_conflict") if another value is staged there, Refused("stage_closed") after finalize.
        """
        ...

    def stage_current(self, slot: Slot, generation: int) -> None:
        """Keep what current holds now under `generation`; again is done. Refused("not_found"): no current value."""
        ...

    def promote(self, slot: Slot, generation: int, fields: Mapping[str, str], expected: Version) -> Promoted:
        """Make the staged value of `generation` what readers see: compare-and-set against `expected`, always writes.

        Value field and `fields` change in one write, neighbours stay as readers saw them. A refused version is no
        second writer: the store reads consistently, and if only neighbours changed since `expected` it tries again
        with the new version (bounded). Raises ForeignError if our own fields were changed by somebody else,
        Failed("stale_version") if they were changed by ourselves meanwhile, or were written again unchanged (a fence):
        nothing was written, read current and decide anew; Refused("not_staged") if nothing is staged.
        """
        ...

    def finalize(self, slot: Slot, generation: int, *, keep_versions: bool = False) -> None:
        """Destroy the staged value and every non-current version of the secret that holds it; done again is done.

        A store that cannot destroy a version (AWS) takes every label away that leads readers to it, and removes it in
        its own time.

        `keep_versions`: the staged value only. Versions that were kept so are kept for good: once the stage is gone
        nobody knows which of them hold the value. A late `stage` of this generation is refused afterwards. Never
        destroys what current holds.
        """
        ...

    def clear(self, slot: Slot) -> None:
        """Retirement: write a version without our fields (neighbours stay), so that readers find none of our values.

        Call it before `finalize`: ForeignError if the value that stands is not staged by us. Again is done.
        """
        ...

    def forget(self, slot: Slot, generation: int) -> None:
        """Remove the tombstone that `finalize` left; called after the quiet period only. Again is done.

        Raises Refused("not_finalized") while a value is staged there.
        """
        ...

    def fetch(self, path: str, name: str) -> Secret | None:
        """One field of any secret that the daemon may read (admin credentials); None: absent."""
        ...

    def deposit(self, path: str, name: str, value: Secret, fields: Mapping[str, str], *, replace: bool) -> Version:
        """Take a first or admin value into the store beside its neighbours. Refused("occupied") if the field has
        another value and `replace` is false; the same value again is done."""
        ...

    def mark(self, mark: Mark) -> None:
        """Write the high-water mark over the one that stands (`Mark.over`: nothing of it ever gets lower)."""
        ...

    def read_mark(self) -> Mark | None:
        """The mark that stands, or None."""
        ...

    def close(self) -> None:
        """Release connections; a token that this store created by login may be revoked."""
        ...
