"""The conformance checks for a kind whose value is ours and whose old values live until they are revoked.

Each takes a Bench and asserts. A platform's tests call those that apply; the names are those of the plugin manual.
"""

from __future__ import annotations

import contextlib
import time
from datetime import timedelta

import pytest

from rotator.plugin_api import (
    Alive,
    Failed,
    Generation,
    Inconclusive,
    Misconfigured,
    OutcomeUnknown,
    PluginError,
    PreflightRequest,
    Refused,
    Rejected,
    Subject,
)
from tests.conformance.bench import Bench, Credential
from tests.lab.proxy import Answer, Fault, Proxy

HTML = b"<html><body>Please log in. Your account is locked out.</body></html>"
FOREIGN = {
    "401 of a gateway": Answer.json(401, {"error": "access denied by policy"}),
    "401 without a body": Answer(401),
    "403 by policy": Answer.json(403, {"message": "Forbidden"}),
    "404": Answer.json(404, {"message": "not found"}),
    "429": Answer.too_many(7),
    "200 with HTML": Answer(200, {"Content-Type": "text/html"}, HTML),
    "200 with nothing": Answer(200),
    "200 with an error in it": Answer.json(200, {"status": "error", "message": "no"}),
    "200 for anybody": Answer.json(200, {"status": "ok"}),
    "302 to a login": Answer.redirect("/login", 302),
    "500": Answer(500),
    "503": Answer(503, {}, HTML),
}


def lost_after_write(bench: Bench) -> None:
    """The server acted and nobody heard it: unknown, never failed or refused; then the look finds it, once."""
    credential = bench.fresh()
    rule = bench.proxy.rule(Fault.ANSWER_LOST, method="POST", path=bench.write, times=1)
    with pytest.raises(OutcomeUnknown):
        bench.install(credential)
    assert rule.struck == 1
    found = bench.probe(credential)
    assert isinstance(found, Alive)
    assert found.handle is not None
    assert list(bench.stored()).count(found.handle) == 1


def lands_late(bench: Bench) -> None:
    """The lost write is applied after the look: the listing finds it by its label, and it can be removed."""
    credential = bench.fresh()
    rule = bench.proxy.rule(Fault.REQUEST_LATE, method="POST", path=bench.write, times=1)
    with pytest.raises(OutcomeUnknown):
        bench.install(credential, seconds=1.0)
    assert bench.probe(credential) == Rejected(reason=bench.refusal)
    rule.release()
    bench.proxy.wait_idle()
    rows = bench.platform().listing(bench.call(), bench.subject)
    (row,) = [row for row in rows if row.label == credential.target.label]
    late = Credential(credential.value, Generation(subject=bench.subject, handle=row.handle))
    assert isinstance(bench.probe(late), Alive)
    assert not bench.revoke(late).already
    assert bench.probe(late) == Rejected(reason=bench.refusal)


def half_an_answer(bench: Bench) -> None:
    """A cut answer to a write says nothing."""
    credential = bench.fresh()
    bench.proxy.rule(Fault.HALF_ANSWER, method="POST", path=bench.write, times=1)
    with pytest.raises(OutcomeUnknown):
        bench.install(credential)
    assert isinstance(bench.probe(credential), Alive)


def lost_before_write(bench: Bench) -> None:
    """No connection: failed, marked as never sent, and the server is unchanged."""
    credential = bench.fresh()
    with bench.proxy.refusing(), pytest.raises(Failed) as caught:
        bench.install(credential)
    assert caught.value.unsent
    assert not bench.accepts(credential.value)
    assert bench.probe(credential) == Rejected(reason=bench.refusal)


def sent_once(bench: Bench) -> None:
    """A server that is overloaded is told once, not again and again."""
    for answer in (Answer(503), Answer.too_many(1)):
        bench.proxy.clear()
        bench.proxy.rule(Fault.MADE_UP, method="POST", path=bench.write, answer=answer)
        before = bench.proxy.count(method="POST", path=bench.write)
        with pytest.raises(PluginError):
            bench.install(bench.fresh())
        assert bench.proxy.count(method="POST", path=bench.write) == before + 1


def label_taken(bench: Bench) -> None:
    """The label exists already with another value: no second record, the first is untouched, and no success."""
    first, second = bench.installed(), bench.fresh()
    second = Credential(second.value, first.target)
    with pytest.raises((OutcomeUnknown, Refused)):
        bench.install(second)
    assert list(bench.stored()).count(first.target.handle or "") == 1
    assert bench.accepts(first.value)
    assert bench.probe(second) == Rejected(reason=bench.refusal)


def dead_is_rejected(bench: Bench) -> None:
    """A revoked value is rejected with a declared slug; it was alive before."""
    credential = bench.installed()
    assert isinstance(bench.probe(credential), Alive)
    bench.revoke(credential)
    assert bench.probe(credential) == Rejected(reason=bench.refusal)
    assert bench.refusal in bench.plugin.reasons


def refusal_is_not_death(bench: Bench, credential: Credential, answer: Answer) -> None:
    """An answer that is not the platform's own refusal of this value proves nothing."""
    bench.proxy.rule(Fault.MADE_UP, path=bench.probe_path, answer=answer)
    assert isinstance(bench.probe(credential), Inconclusive)


def silence_is_not_death(bench: Bench, credential: Credential) -> None:
    """No answer, half of one, a reset, a refused connection: inconclusive, within the deadline."""
    for fault in (Fault.ANSWER_LOST, Fault.HALF_ANSWER, Fault.RESET, Fault.HANG):
        bench.proxy.clear()
        bench.proxy.rule(fault, path=bench.probe_path)
        began = time.monotonic()
        assert isinstance(bench.probe(credential, seconds=1.5), Inconclusive), fault
        assert time.monotonic() - began < 2.5
    bench.proxy.clear()
    with bench.proxy.refusing():
        assert isinstance(bench.probe(credential), Inconclusive)


def throttled(bench: Bench, credential: Credential) -> None:
    """429: what the platform asks is passed on, nonsense is nothing, and nobody sleeps."""
    for header, wait in (("7", timedelta(seconds=7)), ("soon", None), ("-3", None)):
        bench.proxy.clear()
        bench.proxy.rule(Fault.MADE_UP, answer=Answer(429, {"Retry-After": header}))
        began = time.monotonic()
        assert bench.probe(credential) == Inconclusive(reason="throttled", retry_after=wait)
        with pytest.raises(Failed) as caught:
            bench.revoke(credential)
        assert (caught.value.reason, caught.value.retry_after) == ("throttled", wait)
        assert time.monotonic() - began < 2


def alive_names_the_owner(bench: Bench, other: Subject) -> None:
    """A value of somebody else is alive as somebody else, whoever it is asked about."""
    theirs = bench.installed(other)
    asked = Credential(theirs.value, Generation(subject=bench.subject, handle=theirs.target.handle))
    found = bench.probe(asked)
    assert isinstance(found, Alive)
    assert found.principal == other.principal


def revoke_gone(bench: Bench) -> None:
    """Gone is gone: the second revoke says so and succeeds, also after a lost answer."""
    credential = bench.installed()
    bench.proxy.rule(Fault.ANSWER_LOST, method="DELETE", times=1)
    with pytest.raises(OutcomeUnknown):
        bench.revoke(credential)
    assert bench.revoke(credential).already
    assert not bench.accepts(credential.value)


def revoke_only_mine(bench: Bench, neighbours: list[Credential]) -> None:
    """Neighbours with similar handles stay alive."""
    mine = bench.installed()
    assert not bench.revoke(mine).already
    assert all(bench.accepts(one.value) for one in neighbours)


def hostile_handle(bench: Bench, handle: str) -> None:
    """A handle with signs of its own is encoded or refused: no other path is called, and nothing else is deleted."""
    before = set(bench.stored())
    target = Generation(subject=bench.subject, handle=handle)
    seen = len(bench.proxy.log)
    with contextlib.suppress(Refused, Failed, Misconfigured):
        assert bench.revoke(Credential("unused", target)).already
    paths = [event.path for event in bench.proxy.log[seen:]]
    depth = {path.count("/") for path in paths}
    assert len(paths) <= 1
    assert not any("?" in path or "\n" in path or ".." in path.split("/") for path in paths)
    assert depth <= {2}
    assert set(bench.stored()) == before


def redirect(bench: Bench, credential: Credential, elsewhere: Proxy) -> None:
    """A redirect is not followed, and the acting credential goes nowhere else."""
    for status in (302, 307, 308):
        bench.proxy.clear()
        bench.proxy.rule(Fault.MADE_UP, answer=Answer.redirect(f"{elsewhere.url}/keys", status))
        with pytest.raises(Misconfigured) as caught:
            bench.revoke(credential)
        assert caught.value.reason == "redirect"
        with pytest.raises(Misconfigured):
            bench.platform().preflight(bench.call(), PreflightRequest(subject=bench.subject))
        assert isinstance(bench.probe(credential), Inconclusive)
    assert elsewhere.log == []


def success_that_did_nothing(bench: Bench, lie: Answer) -> None:
    """A success that changed nothing is found out by the next probe."""
    credential = bench.fresh()
    bench.proxy.rule(Fault.MADE_UP, method="POST", path=bench.write, answer=lie, times=1)
    bench.install(credential)
    assert bench.probe(credential) == Rejected(reason=bench.refusal)


def acting_refused(bench: Bench, credential: Credential) -> None:
    """A dead admin credential is a matter for a person, never a verdict about the value."""
    platform = bench.platform(admin_value=bench.fresh().value)
    for work in (
        lambda: platform.preflight(bench.call(), PreflightRequest(subject=bench.subject)),
        lambda: platform.listing(bench.call(), bench.subject),
        lambda: bench.revoke(credential, platform),
        lambda: bench.install(bench.fresh(), platform),
    ):
        with pytest.raises(Misconfigured) as caught:
            work()
        assert caught.value.reason == "acting_refused"
    assert isinstance(bench.probe(credential, platform), Alive)


def listing_that_broke(bench: Bench, path: str) -> None:
    """Page two fails: an error, not a short list."""
    bench.proxy.rule(Fault.MADE_UP, method="GET", path=path, answer=Answer(503))
    with pytest.raises(Failed):
        bench.platform().listing(bench.call(), None)
