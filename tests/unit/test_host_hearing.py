"""What calls tell of the endpoint as a whole: by real answers of a server, through the real gateway and governor."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rotator.daemon.clock import SystemClock
from rotator.effects.host import Gateway, HostedPlatform
from rotator.effects.platforms import Call
from rotator.effects.stores.attended import Attended
from rotator.engine.governor import Ask, Governor
from rotator.engine.ports import RunId
from rotator.engine.protection import Heard, Rules, Target, endpoint, store
from rotator.ledger import open_ledger
from rotator.machine.holds import Limits
from rotator.plugin_api import (
    Failed,
    Inconclusive,
    Misconfigured,
    OutcomeUnknown,
    PluginError,
    Refused,
    Rejected,
    Secret,
)
from tests.unit.test_host_gateway import (
    CALL,
    Clock,
    install_request,
    platform,
    probe_request,
    raiser,
    send_install,
    send_probe,
)

from .hostile_server import Say, answer, hostile, raw

API = endpoint("sample")
Told = tuple[Heard, int, int | None]


class Ears:
    """Keeps what was heard."""

    def __init__(self, longest: int = 600_000) -> None:
        self.said: list[Told] = []
        self.most = longest

    def heard(self, target: Target, what: Heard, calls: int = 1, wait: int | None = None) -> None:
        assert target in (API, store("main"))
        self.said.append((what, calls, wait))

    def longest(self, target: Target) -> int:
        return self.most


def attended(ears: Any, url: str = "http://127.0.0.1:1", **slots: Any) -> HostedPlatform:
    made = platform(url, **slots)
    return Gateway(Clock(), "0.1", ears).platform(made.connection, "key", made.admin_value)


def installed(say: Say, *, seconds: float = 3.0) -> tuple[Told, PluginError | None]:
    ears = Ears()
    with hostile(say) as server:
        try:
            attended(ears, server.url, install=send_install).install(Call("run-7", seconds), install_request())
        except PluginError as error:
            [told] = ears.said
            return told, error
    [told] = ears.said
    return told, None


def hang(connection: socket.socket, request: bytes) -> None:
    time.sleep(1.0)


@pytest.mark.parametrize(
    ("say", "heard"),
    [
        (answer(201), Heard.ADMITTED),
        (answer(422), Heard.WELL),
        (answer(404), Heard.WELL),
        (answer(401), Heard.REFUSED),
        (answer(403), Heard.REFUSED),
        (answer(429), Heard.THROTTLED),
        (answer(500), Heard.FAILING),
        (answer(503), Heard.FAILING),
        (answer(201, b"<html>sorry</html>", kind="text/html"), Heard.FAILING),
        (raw(b""), Heard.FAILING),
        (raw(b"HTTP/1.1 201 X\r\nContent-Length: 99\r\n\r\n{"), Heard.FAILING),
        (answer(302, b"", "Location: /x"), Heard.NOTHING),
    ],
)
def test_each_answer_to_a_write_says_something_of_the_endpoint(say: Say, heard: Heard) -> None:
    told, _ = installed(say)
    assert told[:2] == (heard, 1)


def test_an_endpoint_that_hangs_or_is_not_there_fails() -> None:
    told, error = installed(hang, seconds=0.3)
    assert isinstance(error, OutcomeUnknown)
    assert told[0] is Heard.FAILING
    ears = Ears()
    with pytest.raises(Failed):
        attended(ears, install=send_install).install(CALL, install_request())
    assert [one[0] for one in ears.said] == [Heard.FAILING]


def test_what_is_our_own_fault_is_not_the_endpoints() -> None:
    for error in (ValueError("canary"), Misconfigured("tls"), Failed("deadline", unsent=True)):
        ears = Ears()
        with pytest.raises(PluginError):
            attended(ears, install=raiser(error)).install(CALL, install_request())
        assert [one[0] for one in ears.said] == [Heard.NOTHING], error


def test_a_refused_value_is_an_answer_and_says_nothing_of_the_acting_account() -> None:
    ears = Ears()
    made = attended(ears, probe=lambda at, request: Rejected(reason="told"))
    assert made.probe(CALL, probe_request()) == Rejected(reason="told")
    assert [one[0] for one in ears.said] == [Heard.WELL]


def test_the_witness_says_whether_the_acting_account_is_let_in() -> None:
    ears = Ears()
    attended(ears, probe=lambda at, request: Rejected(reason="told")).witness(CALL)
    assert [one[:2] for one in ears.said] == [(Heard.WELL, 1), (Heard.REFUSED, 0)]


def test_a_probe_that_meets_a_broken_endpoint_is_inconclusive_and_heard() -> None:
    ears = Ears()
    with hostile(answer(503, b"", "Retry-After: 9")) as server:
        found = attended(ears, server.url, probe=send_probe).probe(CALL, probe_request())
    assert isinstance(found, Inconclusive)
    assert ears.said == [(Heard.FAILING, 1, 9_000)]


# ---- Retry-After ---------------------------------------------------------------------------------------------------


def date(seconds: int) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%a, %d %b %Y %H:%M:%S GMT")


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("7", 7_000, 7_000),
        ("0", 0, 0),
        ("in a minute", 40_000, 60_000),
        ("86400", 600_000, 600_000),
        ("99999999999", 600_000, 600_000),
        ("in days", 600_000, 600_000),
    ],
)
def test_what_is_asked_is_heard_and_never_beyond_the_longest(text: str, least: int, most: int) -> None:
    ahead = {"in a minute": 60, "in days": 900_000}.get(text)  # a date is made when the test runs, not when it is found
    told, error = installed(answer(429, b"", f"Retry-After: {text if ahead is None else date(ahead)}"))
    assert told[2] is not None
    assert least <= told[2] <= most
    assert error is not None
    assert error.retry_after == timedelta(milliseconds=told[2])  # the run's own wait is bounded too


@pytest.mark.parametrize("text", ["soon", "-1", "", "7 s", "1e9", date(-60), "Wed, 99 Foo 2026 00:00:00 GMT"])
def test_nonsense_is_no_wait_but_throttled_all_the_same(text: str) -> None:
    told, error = installed(answer(429, b"", f"Retry-After: {text}"))
    assert told == (Heard.THROTTLED, 1, None)
    assert error is not None
    assert error.retry_after is None


def test_a_wait_that_a_plugin_invents_is_bounded_too() -> None:
    ears = Ears(longest=5_000)
    slot = lambda at, request: Inconclusive(reason="throttled", retry_after=timedelta(days=9))  # noqa: E731
    found = attended(ears, probe=slot).probe(CALL, probe_request())
    assert isinstance(found, Inconclusive)
    assert found.retry_after == timedelta(seconds=5)


# ---- with the governor ---------------------------------------------------------------------------------------------


@pytest.fixture
def governor(tmp_path: Path) -> Iterator[Governor]:
    ledger = open_ledger(tmp_path / "ledger.db")
    yield Governor(ledger.budgets(), SystemClock(), lambda target: Rules(failures=3, refusals=3))
    ledger.close()


def entered(governor: Governor) -> Limits:
    entry = governor.enter(Ask(RunId("r"), API), Clock().now())
    entry.leave()
    return entry.limits


def test_an_account_that_is_refused_is_not_hammered(governor: Governor) -> None:
    with hostile(answer(403)) as server:
        made = attended(governor, server.url, install=send_install)
        for _ in range(20):
            if entered(governor) != Limits():
                break
            with pytest.raises(Misconfigured):
                made.install(CALL, install_request())
    assert server.connections == 3
    assert entered(governor).breaker_until is not None
    with hostile(answer(201)) as server:  # mended, and tried by hand
        attended(governor, server.url, install=send_install).install(CALL, install_request())
    assert entered(governor) == Limits()


def test_a_platform_that_asks_to_wait_is_waited_for(governor: Governor) -> None:
    with hostile(answer(429, b"", "Retry-After: 30")) as server:
        made = attended(governor, server.url, install=send_install)
        with pytest.raises(Failed):
            made.install(CALL, install_request())
    held = entered(governor).rate_until
    assert held is not None
    assert 29_000 <= held - Clock().now() <= 31_000


# ---- stores --------------------------------------------------------------------------------------------------------


class Failing:
    """A store whose every read ends in one way."""

    def __init__(self, error: PluginError | None) -> None:
        self.error = error

    def fetch(self, path: str, name: str) -> Secret | None:
        if self.error is not None:
            raise self.error
        return None


@pytest.mark.parametrize(
    ("error", "heard"),
    [
        (None, Heard.WELL),
        (Failed("store_sealed"), Heard.FAILING),
        (Failed("unreachable", unsent=True), Heard.FAILING),
        (OutcomeUnknown("connection_lost"), Heard.FAILING),
        (Failed("deadline"), Heard.FAILING),
        (Failed("deadline", unsent=True), Heard.NOTHING),
        (Failed("stale_version"), Heard.NOTHING),
        (Failed("throttled", retry_after=timedelta(seconds=3)), Heard.THROTTLED),
        (Refused("occupied"), Heard.NOTHING),
        (Misconfigured("store_login_refused"), Heard.NOTHING),
    ],
)
def test_a_store_is_heard_and_nothing_is_changed(error: PluginError | None, heard: Heard) -> None:
    ears = Ears()
    made = Attended(Failing(error), store("main"), ears)  # type: ignore[arg-type]
    if error is None:
        assert made.fetch("p", "f") is None
    else:
        with pytest.raises(type(error)) as caught:
            made.fetch("p", "f")
        assert caught.value is error
    assert [one[0] for one in ears.said] == [heard]
