"""Models of who is told of what: channels, routes, and when a condition is worth a message.

Read by the loader; `routes_of` gives the engine's plain data, channels are opened by `effects` from the daemon's
hands. Must never hold a value: signing keys and passwords are references.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from rotator.engine import delivery, selectors
from rotator.engine.notices import EVENTS

from .connections import ValueRef, check_encrypted
from .freezes import Selector
from .values import FilePath, Model, Names, PositiveDuration, Text, Url, as_tuple, is_loopback, refuse

ALL = "all"
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def _address(value: Any) -> str:
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
        raise refuse("CFG-WRONG-TYPE", "write a mail address as oncall@x.example, without a name")
    return value


def _host(value: Any) -> str:
    if not isinstance(value, str) or not _HOST.fullmatch(value):
        raise refuse("CFG-WRONG-TYPE", "write the name of the server, without a port")
    return value


def _event(value: Any) -> str:
    if not isinstance(value, str) or (value != ALL and value not in EVENTS):
        raise refuse("CFG-BAD-ENUM", f"an event is one of {', '.join([ALL, *sorted(EVENTS)])}")
    return value


Address = Annotated[str, BeforeValidator(_address)]
Event = Annotated[str, BeforeValidator(_event)]


class WebhookChannel(Model):
    """Messages as signed HTTPS requests."""

    type: Literal["webhook"]
    url: Url
    """Where they are posted to."""
    secrets: Annotated[tuple[ValueRef, ...], BeforeValidator(as_tuple), Field(min_length=1, max_length=3)]
    """References to the signing keys. While one is changed both stand here: each signs, the receiver accepts any."""
    ca: FilePath | None = None
    """Bundle of the authorities that sign the receiver's certificate; none: the system's."""
    insecure: bool = False
    """Allows plain http to another machine: whoever listens reads the messages."""

    @model_validator(mode="after")
    def _encrypted(self) -> WebhookChannel:
        check_encrypted(self.url, self.insecure)
        return self


class MailLogin(Model):
    """Who the daemon is at the mail server."""

    user: Text
    """Name of the account."""
    value: ValueRef
    """Where its password stands."""


class MailChannel(Model):
    """Messages as mail, over SMTP with TLS."""

    type: Literal["mail"]
    host: Annotated[str, BeforeValidator(_host)]
    """Name of the mail server."""
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    """Its port: 587 with `starttls`, 465 with `tls: yes`."""
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    """`starttls` (it must be offered), `implicit` from the first byte, or `none`: for a server on this machine only."""
    ca: FilePath | None = None
    """Bundle of the authorities that sign the server's certificate; none: the system's."""
    sender: Address = Field(alias="from")
    """Address from which they come."""
    to: Annotated[tuple[Address, ...], BeforeValidator(as_tuple), Field(min_length=1, max_length=50)]
    """Addresses to which they go."""
    login: MailLogin | None = None
    """Account at the mail server; none: without one."""

    @model_validator(mode="after")
    def _private(self) -> MailChannel:
        if self.tls == "none" and not is_loopback(f"http://{self.host}"):
            raise refuse("CFG-CONFLICT", "mail to another machine goes with TLS: `starttls` or `implicit`", at="tls")
        return self


Channel = Annotated[WebhookChannel | MailChannel, Field(discriminator="type")]


class Route(Model):
    """Who is told of what."""

    events: Annotated[tuple[Event, ...], BeforeValidator(as_tuple), Field(min_length=1)]
    """Names of events (docs/notifications.md has them), or `[all]`."""
    only: Selector | None = None
    """Of which credentials; none said: of all, and of what is about none (the brake, a reload)."""
    channels: Annotated[Names, Field(min_length=1)]
    """Which of `notify.channels`."""


class Notify(Model):
    """Who is told of what, and by which way."""

    channels: Mapping[str, Channel] = Field(default_factory=dict)
    """Ways by which messages go out."""
    routes: Mapping[str, Route] = Field(default_factory=dict)
    """Which events of which credentials go by which channels."""
    debt_after: PositiveDuration = 86_400_000
    """A debt is told of when it is this old, and again each time that it has doubled its age."""
    expiry_before: Annotated[tuple[PositiveDuration, ...], BeforeValidator(as_tuple)] = (
        30 * 86_400_000,
        7 * 86_400_000,
        86_400_000,
    )
    """How long before a credential expires somebody is told: once for each of these."""
    give_up_after: PositiveDuration = 3 * 86_400_000
    """A message that could not be delivered for so long is laid aside, where `rotator notify list` shows it."""
    runbook: Url | None = None
    """Where your copy of docs/ is served: messages then link into it. None: they name the file."""

    @model_validator(mode="after")
    def _channels_exist(self) -> Notify:
        for name, route in self.routes.items():
            for number, channel in enumerate(route.channels):
                if channel not in self.channels:
                    at = ("routes", name, "channels", number)
                    raise refuse("CFG-UNKNOWN-REF", "no channel of this name is defined under `notify.channels`", at=at)
        return self


def routes_of(notify: Notify | None) -> tuple[delivery.Route, ...]:
    """The routes as the engine takes them, by name."""
    return tuple(
        delivery.Route(
            name=name,
            events=None if ALL in one.events else frozenset(one.events),
            only=None if one.only is None else selectors.parse(one.only),
            channels=one.channels,
        )
        for name, one in sorted((notify.routes if notify else {}).items())
    )


def references_of(notify: Notify | None) -> list[tuple[tuple[str | int, ...], ValueRef]]:
    """Every reference to a value, with the way to it in the configuration."""
    found: list[tuple[tuple[str | int, ...], ValueRef]] = []
    for name, one in (notify.channels if notify else {}).items():
        here = ("notify", "channels", name)
        if isinstance(one, WebhookChannel):
            found += [((*here, "secrets", number), ref) for number, ref in enumerate(one.secrets)]
        elif one.login is not None:
            found.append(((*here, "login", "value"), one.login.value))
    return found


__all__ = ["MailChannel", "Notify", "Route", "WebhookChannel", "references_of", "routes_of"]
