"""The listing of a whole endpoint for a sweep: implements the engine's `Sweep`. Reads only.

Called by the daemon's rounds and by `rotator strays`. A listing that does not come to its end is no listing: its kind
is *blind*, and nothing is concluded from it. Values that a platform shows in its rows are dropped here, unread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rotator.engine.inventory import Credential
from rotator.engine.strays import Listed, Swept, installation_of
from rotator.machine.ids import Handle, Label
from rotator.plugin_api import Found, Lists, PluginError, Role, Subject

from .inspect import subjects_at
from .platforms import Call, Platform, World

SECONDS = 60.0
"""For one listing: a sweep has time, and a platform may have many pages."""


class LabelSweep:
    """`kinds_of`: the kinds of an endpoint by name; raises a PluginError for one that is not configured."""

    def __init__(self, world: World, kinds_of: Callable[[str], Sequence[str]]) -> None:
        self._world, self._kinds_of = world, kinds_of

    def labelled(self, endpoint: str, about: Sequence[Credential]) -> Swept:
        """See `engine.strays.Sweep`."""
        rows: dict[tuple[str, str], Listed] = {}
        unlabelled: set[tuple[str, str]] = set()
        blind: list[tuple[str, str]] = []
        lists = 0
        try:
            kinds = self._kinds_of(endpoint)
        except PluginError as error:
            return Swept(blind=(("-", error.reason),))
        for name in kinds:
            try:
                platform = self._world.platform(endpoint, name)
                if platform.kind.list is None or platform.kind.traits.role is Role.CONSUMER:
                    continue
                lists += 1
                for found in _whole(platform, subjects_at(endpoint, name, about)):
                    if not found.active:
                        continue
                    if installation_of(found.label or "") is None:
                        unlabelled.add((name, found.handle))
                        continue
                    row = Listed(name, Handle(found.handle), Label(str(found.label)), found.principal)
                    rows[name, found.handle] = row
            except PluginError as error:
                blind.append((name, error.reason))
        shut = {name for name, _ in blind}
        seen = tuple(row for (name, _), row in sorted(rows.items()) if name not in shut)
        return Swept(seen, sum(name not in shut for name, _ in unlabelled), tuple(blind), lists)


def _whole(platform: Platform, subjects: Sequence[Subject]) -> list[Found]:
    """Everything at once, where the platform shows that; else about each whom the ledger names there."""
    call = Call(run="sweep", seconds=SECONDS)
    if platform.kind.traits.lists is Lists.ALL:
        return list(platform.listing(call, None))
    return [row for subject in subjects for row in platform.listing(call, subject)]
