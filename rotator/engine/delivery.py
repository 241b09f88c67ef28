"""Who is told of a notice, in which words, and when a delivery is tried again. Pure; and the port of the senders.

Called by the daemon's courier. A message is JSON-able data made of references, reason codes and our own words; no value
and no text of a platform can be in it, for a notice has none. Senders live in `effects`, because they sign and log in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from rotator.machine.ids import Millis

from .inventory import Credential
from .notices import EVENTS, Notice
from .selectors import Selector, matches
from .views import instant

FIRST_PAUSE: Final[Millis] = 10_000
LONGEST_PAUSE: Final[Millis] = 3_600_000


@dataclass(frozen=True, slots=True)
class Route:
    """Events of credentials to channels. `events` None: all. `only` None: of all, and of what is about none."""

    name: str
    events: frozenset[str] | None
    channels: tuple[str, ...]
    only: Selector | None = None

    def takes(self, notice: Notice, one: Credential | None) -> bool:
        """Whether this route tells of it. A test goes by the route that it names."""
        if notice.event == "test":
            return ("route", self.name) in notice.facts
        if self.events is not None and notice.event not in self.events:
            return False
        return self.only is None or (one is not None and matches(self.only, one))


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of one sending. `code` is a slug: empty when it was taken, or what was odd about it. `again`: how long
    the receiver asks us to wait (ms)."""

    ok: bool
    code: str = ""
    again: Millis | None = None


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message on its way: `id` is the same at every try, `about` binds those that belong together."""

    id: str
    about: str
    subject: str
    body: str


class Sender(Protocol):
    """The ways out. Never raises for anything that the world does; bounded in time."""

    def send(self, channel: str, parcel: Parcel) -> Sent: ...


def destinations(routes: Sequence[Route], notice: Notice, one: Credential | None) -> list[tuple[str, str]]:
    """(channel, route) of everybody who is told; a channel once. A channel is not told that it takes nothing."""
    found: dict[str, str] = {}
    for route in routes:
        if route.takes(notice, one):
            for channel in route.channels:
                if not (notice.event == "delivery_dead" and ("channel", channel) in notice.facts):
                    found.setdefault(channel, route.name)
    return list(found.items())


def message(
    notice: Notice, one: Credential | None, question: Mapping[str, Any] | None, *, installation: str, epoch: str,
    runbook: str,
) -> dict[str, Any]:  # fmt: skip
    """A CloudEvents 1.0 document. `question`: the view of the run's open question, with its answers as commands."""
    kind, facts = EVENTS[notice.event], dict(notice.facts)
    named = {"run": notice.run, "credential": notice.credential or "", **facts}
    asks = question if notice.event == "question_asked" else None
    do = [command.format_map(named) for command in kind.do]
    do += [str(answer["command"]) for answer in asks["answers"]] if asks else []
    anchor = f"runbook.md#rot-ask-{facts['topic'].replace('_', '-')}" if asks and "topic" in facts else ""
    data: dict[str, Any] = {
        "event": notice.event, "says": kind.says, "weight": kind.weight.value, "installation": installation,
        "credential": _credential(one), "run": notice.run or None, "facts": facts, "do": do,
        "docs": f"{runbook}{anchor or f'notifications.md#{notice.event}'}",
    }  # fmt: skip
    if asks:
        data["question"] = {name: asks[name] for name in ("topic", "says", "known", "unknown", "answers")}
    return {
        "specversion": "1.0", "id": message_id(installation, epoch, notice.key), "source": f"rotator/{installation}",
        "type": f"rotator.{notice.event}.v1", "time": instant(notice.at), "datacontenttype": "application/json",
        "subject": f"credentials/{notice.credential}" if notice.credential else "installation",
        "about": message_id(installation, epoch, notice.about or notice.key), "data": data,
    }  # fmt: skip


def message_id(installation: str, epoch: str, key: str) -> str:
    """The id of a notice: the same after every restart, another in every installation."""
    return hashlib.sha256(f"{installation}\0{epoch}\0{key}".encode()).hexdigest()[:32]


def subject_of(document: Mapping[str, Any]) -> str:
    """One line for a mail."""
    data = document["data"]
    whose = data["credential"]["id"] if data["credential"] else data["installation"]
    return f"[{data['installation']}] {whose}: {data['says']}"


def pause_after(attempts: int, wish: Millis | None) -> Millis:
    """How long after the n-th failed attempt: ten seconds, doubled each time, an hour at most; longer if the receiver
    asks for it, within the hour."""
    grown: Millis = min(LONGEST_PAUSE, FIRST_PAUSE << min(attempts - 1, 20))
    return max(grown, min(wish or 0, LONGEST_PAUSE))


def _credential(one: Credential | None) -> dict[str, Any] | None:
    if one is None:
        return None
    return {
        "id": one.id, "owner": one.owner, "tier": one.tier.value, "workflows": list(one.workflows),
        "labels": dict(one.labels),
    }  # fmt: skip
