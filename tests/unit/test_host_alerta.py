"""The host over a real alerta behind the fault proxy: what a call says, and what the server then really holds."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from rotator.effects.host import Connection, Gateway, HostedPlatform
from rotator.effects.platforms import Call
from rotator.plugin_api import (
    Failed,
    Found,
    Generation,
    HttpRequest,
    Installed,
    InstallRequest,
    Json,
    Kind,
    ListRequest,
    Lists,
    Lost,
    Origin,
    OutcomeUnknown,
    Page,
    Plugin,
    Revokes,
    Role,
    Secret,
    Subject,
    Traits,
)
from tests.lab.alerta import ADMIN, Alerta
from tests.lab.proxy import Proxy


class Clock:
    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    url: str


def acting(at: Any) -> dict[str, Secret]:
    return {"Authorization": at.actor.value.wrap("Key {}")}


def install(at: Any, request: InstallRequest) -> Installed:
    record: Json = {"key": request.value, "user": request.into.principal, "scopes": ["read"], "text": request.label}
    at.send(HttpRequest(method="POST", route="/key", headers=acting(at), json=record)).ok(201).text("/status")
    return Installed()


def listing(at: Any, request: ListRequest) -> Page:
    number = request.cursor or "1"
    query = {"page": number, "page-size": "2", "sort-by": "key"}
    body = at.send(HttpRequest(method="GET", route="/keys", headers=acting(at), query=query)).ok(200)
    rows = tuple(Found(handle=row.text("/text"), same=row.secret("/key")) for row in body.items("/keys"))
    return Page(items=rows, next=str(int(number) + 1) if body.find("/more") == "true" else None)


def platform(url: str, admin: str) -> HostedPlatform:
    traits = Traits(role=Role.AUTHORITY, origin=Origin.GENERATED, lost=Lost.NONE, lists=Lists.ALL, revokes=Revokes.ONE)
    kind: Kind[Config] = Kind(name="key", title="A key", traits=traits, install=install, list=listing)
    plugin = Plugin(name="sample", version="1", config=Config, kinds=(kind,), routes=("POST /key", "GET /keys"))
    connection = Connection(name="a", plugin=plugin, config={"url": url}, admin=ADMIN)
    return Gateway(Clock(), "0.1").platform(connection, "key", lambda: Secret(admin))


def request_for(text: str, value: str) -> InstallRequest:
    subject = Subject(principal=ADMIN)
    return InstallRequest(into=subject, value=Secret(value), of=Generation(subject=subject, label=text), label=text)


@pytest.mark.parametrize(
    ("fault", "error", "made"),
    [
        ("answer_lost", OutcomeUnknown, True),
        ("half_answer", OutcomeUnknown, True),
        ("request_lost", OutcomeUnknown, False),
        ("reset", OutcomeUnknown, False),
        ("hang", OutcomeUnknown, False),
    ],
)
def test_a_disturbed_install_is_unknown_whatever_the_server_did(
    alerta: Alerta, start_proxy: Callable[..., Proxy], fault: str, error: type[Exception], made: bool
) -> None:
    proxy = start_proxy(alerta.port)
    proxy.rule(fault, method="POST", path="^/key$")
    text, value = f"rot-{secrets.token_hex(4)}-1", secrets.token_urlsafe(30)
    with pytest.raises(error):
        platform(proxy.url, alerta.admin_key).install(Call("r", 2.0), request_for(text, value))
    assert alerta.accepts(value) is made
    assert proxy.count(fault, method="POST") == 1  # sent once


def test_a_refused_connection_is_unsent(alerta: Alerta, start_proxy: Callable[..., Proxy]) -> None:
    proxy = start_proxy(alerta.port)
    with proxy.refusing(), pytest.raises(Failed) as caught:
        platform(proxy.url, alerta.admin_key).install(Call("r", 2.0), request_for("rot-x-1", secrets.token_urlsafe(30)))
    assert caught.value.unsent


def test_the_same_value_twice_is_unknown_and_the_servers_text_with_the_key_stays_outside(alerta: Alerta) -> None:
    text, value = f"rot-{secrets.token_hex(4)}-1", secrets.token_urlsafe(30)
    hosted = platform(alerta.url, alerta.admin_key)
    hosted.install(Call("r", 5.0), request_for(text, value))
    with pytest.raises(OutcomeUnknown) as caught:
        hosted.install(Call("r", 5.0), request_for(text, value))
    assert (caught.value.reason, caught.value.status) == ("server_error", "500")
    assert value not in repr(caught.value)


def test_a_listing_in_clear_is_paged_to_the_end_and_masked(alerta: Alerta) -> None:
    texts = [f"rot-{secrets.token_hex(4)}-{number}" for number in range(5)]
    hosted = platform(alerta.url, alerta.admin_key)
    values = [secrets.token_urlsafe(30) for _ in texts]
    for text, value in zip(texts, values, strict=True):
        hosted.install(Call("r", 5.0), request_for(text, value))
    rows = hosted.listing(Call("r", 10.0), None)
    assert set(texts) <= {row.handle for row in rows}
    assert not any(value in repr(rows) for value in values)


def test_a_page_that_is_lost_is_an_error_not_a_short_list(alerta: Alerta, start_proxy: Callable[..., Proxy]) -> None:
    hosted = platform(alerta.url, alerta.admin_key)
    for number in range(3):
        hosted.install(Call("r", 5.0), request_for(f"rot-{secrets.token_hex(4)}-{number}", secrets.token_urlsafe(30)))
    proxy = start_proxy(alerta.port)
    proxy.rule("answer_lost", path="page=2")
    with pytest.raises(Failed):
        platform(proxy.url, alerta.admin_key).listing(Call("r", 10.0), None)


def test_alerta_takes_the_id_of_a_key_for_the_key(alerta: Alerta) -> None:
    """A fact about the server, and the reason for ADR 0012: an id that anybody can guess or read gives the key away."""
    id_, key = f"rot-{secrets.token_hex(4)}-1", secrets.token_urlsafe(30)
    record = {"id": id_, "key": key, "user": ADMIN, "scopes": ["read"]}
    assert alerta.ask("POST", "/key", record).status == 201
    assert alerta.accepts(id_)
    alerta.delete_key(id_)
    assert not alerta.accepts(id_)
