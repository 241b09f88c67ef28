"""The store contract over numbered versions with compare-and-set: the one place where its rules are kept.

Built by `opening.open_store`, called by `effects.perform` through the contract. It stages apart from what readers read,
promotes by compare-and-set, tells a neighbour's promote from a second writer of our own fields, and never takes a
refused version for a finding before a consistent read has confirmed it.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Final

from rotator.plugin_api import Failed, Refused, Secret

from .content import EMPTY, Content
from .contract import ABSENT, Current, ForeignError, Mark, Promoted, Slot, Version
from .paths import Places, secret_path
from .versioned import Entry, Room, Shelf

STAGED: Final = "value"
"""The field of a stage that holds the value."""

_ROUNDS: Final = 6
_STEPS: Final = 24  # versions between expected and current that promote is willing to walk through


class KeyValueStore:
    """The contract `Store`, without `check`, which each store has its own of."""

    def __init__(self, room: Room, installation: str) -> None:
        self._room = room
        self._places = Places(installation)

    def close(self) -> None:
        """Release connections; a token that was made by login is revoked."""
        self._room.close()

    # ---- reads -------------------------------------------------------------------------------------------------------

    def current(self, slot: Slot) -> Current:
        """See the contract."""
        entry = self._consistent(secret_path(slot.path))[1]
        if entry is None:
            return Current(ABSENT, None, {})
        content = entry.content or EMPTY
        fields = {name: text for name in slot.fields if (text := content.text(name)) is not None}
        return Current(_version(entry), content.secret(slot.value), fields)

    def read(self, slot: Slot, generation: int) -> Secret | None:
        """See the contract."""
        return _staged(self._consistent(self._places.stage(slot, generation))[1])

    def fetch(self, path: str, name: str) -> Secret | None:
        """See the contract."""
        entry = self._consistent(secret_path(path))[1]
        return None if entry is None or entry.content is None else entry.content.secret(name)

    def read_mark(self) -> Mark | None:
        """See the contract."""
        return _mark(self._consistent(self._places.mark)[1])

    def _consistent(self, path: str) -> tuple[Shelf, Entry | None]:
        shelf = self._room.shelf()
        shelf.sync()
        return shelf, shelf.read(path)

    # ---- staging -----------------------------------------------------------------------------------------------------

    def stage(self, slot: Slot, generation: int, value: Secret) -> None:
        """See the contract."""
        self._stage(self._room.shelf(), slot, generation, value)

    def stage_current(self, slot: Slot, generation: int) -> None:
        """See the contract."""
        shelf, entry = self._consistent(secret_path(slot.path))
        value = None if entry is None or entry.content is None else entry.content.secret(slot.value)
        if value is None:
            raise Refused("not_found")
        self._stage(shelf, slot, generation, value)

    def _stage(self, shelf: Shelf, slot: Slot, generation: int, value: Secret) -> None:
        path = self._places.stage(slot, generation)
        if shelf.write(path, EMPTY.with_fields(STAGED, value, {}), 0) is not None:
            return
        entry = shelf.read(path)
        standing = _staged(entry)
        if entry is None:  # dropped by `forget` between the two: an order that the quiet period excludes
            raise Failed("stale_version")
        if standing is None:
            raise Refused("stage_closed")
        if not standing.matches(value):
            raise Refused("stage_conflict")

    # ---- promote -----------------------------------------------------------------------------------------------------

    def promote(self, slot: Slot, generation: int, fields: Mapping[str, str], expected: Version) -> Promoted:
        """See the contract. Failed("stale_version"): another promote of ours landed since `expected`; look again."""
        shelf, entry = self._consistent(self._places.stage(slot, generation))
        value = _staged(entry)
        if value is None:
            raise Refused("not_staged")
        path = secret_path(slot.path)
        names = (slot.value, *slot.fields, *fields)
        for _ in range(_ROUNDS):
            now = shelf.read(path)
            standing = (None if now is None else now.content) or EMPTY
            wanted = standing.with_fields(slot.value, value, fields)
            if not standing.equals(wanted):
                self._require_ours(shelf, slot, names, expected, now)
            version = shelf.write(path, wanted, 0 if now is None else now.version)
            if version is not None:
                return Promoted(Version(str(version)))
        raise Failed("store_contended")

    def _require_ours(
        self, shelf: Shelf, slot: Slot, names: tuple[str, ...], expected: Version, now: Entry | None
    ) -> None:
        """Pass if only neighbours changed since `expected`, version by version.

        A version in which nothing changed is a promote that went back (it writes the same again, as a fence): trying
        again over it would be the stale promote that the fence is there to stop.
        """
        base, newest = _number(expected), 0 if now is None else now.version
        if newest == base:
            return
        if newest < base or newest - base > _STEPS:
            raise Failed("stale_version")
        contents = [EMPTY if base == 0 else _content(shelf.read(slot.path, base))]
        contents += [_content(shelf.read(slot.path, number)) for number in range(base + 1, newest)]
        contents.append(_content(now))
        if contents[0] is None:  # kept no more: nothing to compare with, the next look decides
            raise Failed("stale_version")
        if contents[-1] is None or not contents[0].same(contents[-1], names):
            if contents[-1] is not None and contents[0].same(contents[-1], (slot.value,)):
                raise ForeignError  # reference fields alone: no promote of ours does that
            self._refuse_foreign(shelf, slot, contents[-1] or EMPTY)
        for before, after in pairwise(contents):
            if before is None or after is None or not before.same(after, names) or before.equals(after):
                raise Failed("stale_version")

    def _refuse_foreign(self, shelf: Shelf, slot: Slot, standing: Content) -> None:
        """Raise ForeignError unless the value that stands is one that we staged ourselves."""
        value = standing.secret(slot.value)
        if value is None or not self._staged_by_us(shelf, slot, value):
            raise ForeignError

    def _staged_by_us(self, shelf: Shelf, slot: Slot, value: Secret) -> bool:
        folder = self._places.stages(slot)
        staged = (_staged(shelf.read(f"{folder}/{name}")) for name in shelf.names(folder) if not name.endswith("/"))
        return any(one is not None and one.matches(value) for one in staged)

    # ---- endings -----------------------------------------------------------------------------------------------------

    def finalize(self, slot: Slot, generation: int, *, keep_versions: bool = False) -> None:
        """See the contract. Versions that somebody deleted cannot be read and are left as they are."""
        try:
            self._finalize(slot, generation, keep_versions)
        except Failed as error:
            error.unsent = False  # the last of several writes may be the one that never left
            raise

    def _finalize(self, slot: Slot, generation: int, keep_versions: bool) -> None:
        path = self._places.stage(slot, generation)
        shelf, entry = self._consistent(path)
        for _ in range(_ROUNDS):
            if entry is not None:
                break
            # Never staged: an empty version takes the number that a late `stage` would need.
            shelf.write(path, EMPTY, 0)
            entry = shelf.read(path)
        else:
            raise Failed("store_contended")
        value = _staged(entry)
        if value is not None and not keep_versions:
            self._destroy_history(shelf, slot, value)
        # The stage last: after a crash in between the value is still known, and the next call goes on.
        kept = shelf.kept(path)
        if kept:
            shelf.destroy(path, kept)

    def _destroy_history(self, shelf: Shelf, slot: Slot, value: Secret) -> None:
        path = secret_path(slot.path)
        now = shelf.read(path)
        if now is None:
            return
        holding = []
        for number in shelf.kept(path):
            # Versions only grow: what is not the newest at this moment will never be current again.
            if number < now.version:
                content = _content(shelf.read(path, number))
                held = None if content is None else content.secret(slot.value)
                if held is not None and held.matches(value):
                    holding.append(number)
        if holding:
            shelf.destroy(path, holding)

    def clear(self, slot: Slot) -> None:
        """See the contract. ForeignError: the value that stands is none of ours, it is not removed."""
        path = secret_path(slot.path)
        names = (slot.value, *slot.fields)
        shelf, now = self._consistent(path)
        for _ in range(_ROUNDS):
            if now is None or now.content is None or not any(name in now.content for name in names):
                return
            if slot.value in now.content:
                self._refuse_foreign(shelf, slot, now.content)
            if shelf.write(path, now.content.without(names), now.version) is not None:
                return
            now = shelf.read(path)
        raise Failed("store_contended")

    def forget(self, slot: Slot, generation: int) -> None:
        """See the contract. Refused("not_finalized"): a value is still staged there."""
        path = self._places.stage(slot, generation)
        shelf, entry = self._consistent(path)
        if entry is None:
            return
        if shelf.kept(path):
            raise Refused("not_finalized")
        shelf.drop(path)

    # ---- values and marks that enter ---------------------------------------------------------------------------------

    def deposit(self, path: str, name: str, value: Secret, fields: Mapping[str, str], *, replace: bool) -> Version:
        """See the contract."""
        shelf, now = self._consistent(secret_path(path))
        for _ in range(_ROUNDS):
            standing = (None if now is None else now.content) or EMPTY
            wanted = standing.with_fields(name, value, fields)
            if now is not None and standing.equals(wanted):
                return _version(now)
            taken = (field for field in (name, *fields) if field in standing)
            if not replace and not all(standing.same(wanted, (field,)) for field in taken):
                raise Refused("occupied")
            version = shelf.write(path, wanted, 0 if now is None else now.version)
            if version is not None:
                return Version(str(version))
            now = shelf.read(path)
        raise Failed("store_contended")

    def mark(self, mark: Mark) -> None:
        """See the contract."""
        path = self._places.mark
        shelf, now = self._consistent(path)
        for _ in range(_ROUNDS):
            standing = _mark(now)
            wanted = mark.over(standing)
            if wanted == standing:
                return
            if shelf.write(path, _marked(wanted), 0 if now is None else now.version) is not None:
                return
            now = shelf.read(path)
        raise Failed("store_contended")


def _number(version: Version) -> int:
    return int(version) if version else 0


def _version(entry: Entry) -> Version:
    return Version(str(entry.version))


def _content(entry: Entry | None) -> Content | None:
    return None if entry is None else entry.content


def _staged(entry: Entry | None) -> Secret | None:
    content = _content(entry)
    return None if content is None else content.secret(STAGED)


def _mark(entry: Entry | None) -> Mark | None:
    content = _content(entry)
    if content is None:
        return None
    epoch, sequence = content.text("epoch"), content.text("sequence")
    if epoch is None or sequence is None or not sequence.isdecimal():
        return None
    serials = content.text("serials") or "0"
    return Mark(epoch, int(sequence), int(serials) if serials.isdecimal() else 0)


def _marked(mark: Mark) -> Content:
    return Content({"epoch": mark.epoch, "sequence": str(mark.sequence), "serials": str(mark.serials)})
