"""The ways out for notices: implements the engine's `Sender`. Made with each configuration, called by the courier.

It sits in this room because a webhook is signed and a mail server logged in to with values. A message goes out as it
was given; nothing is added to it but signature and headers. Whatever happens becomes a slug of `CODES`: never a text of
the receiver, whose answer is not even read beyond its status.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

import structlog

from rotator.engine.delivery import Parcel, Sent
from rotator.engine.ports import Clock
from rotator.plugin_api import PluginError, Secret

_LOG = structlog.get_logger()
SECONDS: Final = 15.0
"""The longest that one message may take."""

Read = Callable[[], Secret]
"""Reads a value from where it stands, at each message anew: a rotated key is used at once. Raises PluginError."""

CODES: Final[Mapping[str, str]] = {
    "address_refused": "the name stands for an address that is never called (link-local, metadata)",
    "bug": "a bug of ours: the daemon's log has its type",
    "connection_lost": "the connection broke; it may have arrived",
    "deadline": "it took too long; it may have arrived",
    "key_unreadable": "a signing key or password could not be read from where it stands",
    "login_refused": "the mail server refused the account",
    "mail_refused": "the mail server refused the message or its addresses",
    "no_starttls": "the mail server offers no STARTTLS, and nothing is sent in clear",
    "plain_http": "plain http to another machine needs `insecure: true`",
    "receiver_failed": "the receiver answered that it cannot now",
    "receiver_gone": "the receiver answered that it wants no more",
    "receiver_refused": "the receiver refused the message (wrong key, wrong path?)",
    "recipients_refused": "taken, but some of the addresses were refused",
    "redirect": "the receiver answered with a redirect, which is not followed",
    "signing_key_short": "a signing key has less than 16 bytes",
    "tls": "the server's certificate was not accepted",
    "unknown_channel": "no channel of this name is configured any more",
    "unreachable": "no connection could be made; nothing left",
}
"""Everything that a delivery may meet, in words."""


class Channel(Protocol):
    """One way out. May raise PluginError for a value that cannot be read."""

    def send(self, parcel: Parcel) -> Sent: ...


class Senders:
    """The channels of one configuration, by name."""

    def __init__(self, channels: Mapping[str, Channel], clock: Clock) -> None:
        self._channels, self._clock = channels, clock

    def send(self, channel: str, parcel: Parcel) -> Sent:
        """See `Sender`."""
        way = self._channels.get(channel)
        if way is None:
            return Sent(False, "unknown_channel")
        try:
            return way.send(parcel)
        except PluginError:
            return Sent(False, "key_unreadable")
        except Exception as error:  # the boundary: nothing may pass, and no text either
            _LOG.error("effects.notice.bug", channel=channel, error=type(error).__name__)
            return Sent(False, "bug")
