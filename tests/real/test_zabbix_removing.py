"""Tokens are removed from a real Zabbix by the pack: only ours, once, and nothing but its own word is success.

Behind the fault proxy, through the real host.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from rotator.plugin_api import Failed, Generation, OutcomeUnknown, PluginError, Refused
from tests.conformance import checks
from tests.conformance.bench import Credential
from tests.lab.postgres import Postgres
from tests.lab.proxy import Answer, Fault, Proxy
from tests.lab.shapes_zabbix import DELETE, rpc_error
from tests.real.zabbix_bench import IssuingBench, Site, make_site

pytestmark = pytest.mark.real("zabbix")


@pytest.fixture
def site(real_server: Callable[..., Any], postgres: Postgres, start_proxy: Callable[..., Proxy]) -> Site:
    zabbix = real_server("zabbix", postgres)
    return make_site(zabbix, start_proxy(zabbix.port))


@pytest.fixture
def bench(site: Site) -> IssuingBench:
    return site.bench


def test_revoke_gone_is_gone_also_after_a_lost_answer(bench: IssuingBench) -> None:
    credential = bench.installed()
    rule = bench.proxy.rule(Fault.ANSWER_LOST, content=DELETE, times=1)
    with pytest.raises(OutcomeUnknown):
        bench.revoke(credential)
    assert rule.struck == 1
    assert bench.revoke(credential).already
    assert not bench.accepts(credential.value)


def test_a_token_that_goes_between_list_and_delete_was_gone(site: Site) -> None:
    credential = site.bench.installed()
    handle = credential.target.handle or ""
    rule = site.proxy.rule(
        Fault.DELAY, content=DELETE, times=1, seconds=0.1, hook=lambda event: site.zabbix.delete_token(handle)
    )
    assert site.bench.revoke(credential).already
    assert rule.struck == 1


def test_the_words_for_gone_and_forbidden_are_looked_into(site: Site) -> None:
    credential = site.bench.installed()
    words = "No permissions to referred object or it does not exist!"
    site.proxy.rule(Fault.MADE_UP, content=DELETE, answer=rpc_error(-32500, words))
    with pytest.raises(Refused):
        site.bench.revoke(credential)
    assert site.bench.accepts(credential.value)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (rpc_error(-32500, "SQL statement execution has failed."), OutcomeUnknown),
        (rpc_error(1, "Error connecting to database."), Failed),
        (rpc_error(-32602, 'Invalid parameter "/1": a number is expected.'), Refused),
        (Answer(200), OutcomeUnknown),
        (Answer.json(200, {"jsonrpc": "2.0", "result": {}, "id": 1}), OutcomeUnknown),
        (Answer(404, {}, b"<html>404</html>"), Refused),
    ],
    ids=["inside", "no database", "parameters", "nothing", "nobody", "proxy"],
)
def test_no_other_answer_to_a_revoke_is_success(site: Site, answer: Answer, error: type[PluginError]) -> None:
    credential = site.bench.installed()
    site.proxy.rule(Fault.MADE_UP, content=DELETE, answer=answer)
    with pytest.raises(error):
        site.bench.revoke(credential)
    assert site.bench.accepts(credential.value)


def test_revoke_only_mine(site: Site) -> None:
    bench = site.bench
    checks.revoke_only_mine(bench, [bench.installed(), bench.installed(), bench.installed(site.user())])


def test_the_id_of_another_users_token_is_not_removed(site: Site) -> None:
    """A handle of ours may be somebody else's token after Zabbix's database was restored."""
    theirs = site.bench.installed(site.user())
    mine = Credential(theirs.value, replace(theirs.target, subject=site.bench.subject))
    assert site.bench.revoke(mine).already
    assert site.bench.accepts(theirs.value)


def test_an_id_that_was_given_again_to_another_token_of_the_same_user_is_not_removed(site: Site) -> None:
    """Ids are counted: what Zabbix makes after a restore gets numbers that were ours before it."""
    other, mine = site.bench.installed(), site.bench.fresh().target
    reused = Credential("unused", replace(mine, handle=other.target.handle))
    with pytest.raises(Refused) as caught:
        site.bench.revoke(reused)
    assert caught.value.reason == "other_label"
    assert site.bench.accepts(other.value)
    adopted = Credential("unused", Generation(subject=site.bench.subject, handle=other.target.handle))
    assert not site.bench.revoke(adopted).already


def test_a_revoke_without_a_handle_is_never_sent(bench: IssuingBench) -> None:
    with pytest.raises(PluginError) as caught:
        bench.revoke(Credential("unused", Generation(subject=bench.subject)))
    assert caught.value.unsent
    assert bench.proxy.log == []


@pytest.mark.parametrize("handle", ["0", "-1", "1e3", "1 OR 1=1", "2]", '2","3', "../2", "a\nb", "ключ", "9" * 40])
def test_hostile_handle(site: Site, handle: str) -> None:
    kept = site.bench.installed()
    before = set(site.bench.stored())
    target = Generation(subject=site.bench.subject, handle=handle)
    assert site.bench.revoke(Credential("unused", target)).already
    assert set(site.bench.stored()) == before
    assert site.bench.accepts(kept.value)
