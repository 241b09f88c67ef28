"""Requests about who is told of what: routes and channels with what waits for them, a test, a second try of the dead.

The part of `service` that speaks to the outbox. A test goes the whole way of a real message: through the ledger, the
courier and the channel. Nothing here sends anything itself.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .delivery import Route, message_id
from .notices import Notice
from .outbox import Delivery, DeliveryState, Outbox
from .ports import Clock, Installation
from .requests import Caller, Json, RequestRefused
from .views import instant

NOT_FOUND = 5


@dataclass(frozen=True, slots=True)
class Tellings:
    """`routes` and `channels` (name -> type) of the configuration in force; `new_id` makes each test its own."""

    outbox: Outbox
    clock: Clock
    routes: Callable[[], Sequence[Route]]
    channels: Callable[[], Mapping[str, str]]
    new_id: Callable[[], str]
    installation: Callable[[], Installation]

    def overview(self) -> Json:
        """See `Requests.notify`."""
        figures = {one.channel: one for one in self.outbox.channels()}
        kinds = self.channels()
        channels = []
        for name in sorted({*kinds, *(name for name, one in figures.items() if one.waiting or one.dead)}):
            one = figures.get(name)
            channels.append({
                "channel": name, "type": kinds.get(name), "waiting": one.waiting if one else 0,
                "dead": one.dead if one else 0, "sent": one.sent if one else 0, "failing": one.failing if one else 0,
                "oldest": instant(one.oldest) if one else None,
            })  # fmt: skip
        routes = [
            {
                "route": one.name, "events": ["all"] if one.events is None else sorted(one.events),
                "only": "" if one.only is None else one.only.text, "channels": list(one.channels),
            }
            for one in self.routes()
        ]  # fmt: skip
        return {"routes": routes, "channels": channels, "unrouted": instant(self.outbox.oldest_unrouted())}

    def deliveries(self, channel: str, state: str, limit: int) -> Json:
        """See `Requests.deliveries`."""
        wanted = DeliveryState(state) if state else None
        return {"items": [delivery_view(one) for one in self.outbox.deliveries(wanted, channel, limit)]}

    def test(self, caller: Caller, route: str) -> Json:
        """See `Requests.test_route`."""
        found = next((one for one in self.routes() if one.name == route), None)
        if found is None:
            raise self._missing("route", route, [one.name for one in self.routes()])
        now, key = self.clock.now(), f"test:{self.new_id()}"
        self.outbox.tell([Notice("test", now, key, about=key, facts=(("route", route),))])
        installation = self.installation()
        message = message_id(installation.name, installation.epoch, key)
        return {"route": route, "channels": list(found.channels), "message": message}

    def resend(self, caller: Caller, channel: str) -> Json:
        """See `Requests.resend`."""
        if channel not in self.channels():
            raise self._missing("channel", channel, list(self.channels()))
        return {"channel": channel, "again": self.outbox.resend(channel, self.clock.now())}

    def _missing(self, what: str, name: str, known: Sequence[str]) -> RequestRefused:
        near = difflib.get_close_matches(name, known, 3, 0.5)
        hint = f"did you mean {', '.join(near)}?" if near else "rotator notify list"
        return RequestRefused("ROT-NOT-FOUND", f"no {what} {name} is configured", exit=NOT_FOUND, hint=hint)


def delivery_view(one: Delivery) -> dict[str, Any]:
    """One delivery; the message itself is left out but for its id."""
    return {
        "channel": one.channel, "route": one.route, "state": one.state.value, "attempts": one.attempts,
        "since": instant(one.first_at), "next": instant(one.next_at), "code": one.code, "event": one.event,
        "credential": one.credential, "message": json.loads(one.body)["id"] if one.body else None,
    }  # fmt: skip
