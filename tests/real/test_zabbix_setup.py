"""What docs/pack-zabbix.md tells an administrator to set up: that it is enough, and that each part of it is needed.

A real OpenBao, a real Zabbix, the real daemon.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from rotator.plugin_api import Misconfigured, PreflightRequest
from tests.lab.estate import Estate, Servers, Tempo
from tests.lab.proxy import Proxy
from tests.lab.shapes_zabbix import ZabbixToken
from tests.lab.zabbix import ADMIN, NO_FRONTEND, Zabbix
from tests.real.zabbix_bench import IssuingBench, make_site
from tests.real.zabbix_life import Life, adopted

pytestmark = [pytest.mark.real("zabbix"), pytest.mark.timeout(240)]
METHODS = ("token.create", "token.delete", "token.generate", "token.get", "user.get")
"""What the role of the acting user must allow; user.checkAuthentication is allowed to everybody."""


@pytest.fixture(scope="module")
def site(real_server: Callable[..., Any], servers: Servers) -> tuple[Servers, Zabbix]:
    return servers, real_server("zabbix", servers.postgres)


@pytest.fixture
def begin(tmp_path: Path, site: tuple[Servers, Zabbix]) -> Iterator[Callable[..., Life]]:
    with ExitStack() as stack:

        def one(**options: Any) -> Life:
            life = adopted(tmp_path / "e", site, **options)
            stack.callback(life.estate.close)
            return life

        yield one


def least_admin(zabbix: Zabbix, name: str, methods: tuple[str, ...] = METHODS) -> str:
    """A token of an acting user with the role that the manual describes."""
    rules = {
        "ui.default_access": 0, "actions.default_access": 0, "modules.default_access": 0,
        "actions": [{"name": "manage_api_tokens", "status": 1}], "api.access": 1, "api.mode": 1, "api": list(methods),
    }  # fmt: skip
    userid = zabbix.create_user(name, zabbix.create_role(name, rules, 3), NO_FRONTEND)
    return zabbix.create_token(userid, "rotator")[1]


def test_the_least_role_does_the_whole_life(begin: Callable[..., Life]) -> None:
    def least(estate: Estate, shape: ZabbixToken) -> None:
        name = f"least-{estate.tag}"
        token = least_admin(shape.zabbix, name)
        estate.servers.openbao.admin.put(f"admin-{estate.tag}/zabbix", {"token": token})
        estate.endpoints["zabbix"]["admin"]["principal"] = name

    life = begin(change=least)
    assert life.rotate()["ending"] == "succeeded"
    life.assert_only_current_lives()


@pytest.mark.parametrize("absent", METHODS)
def test_each_method_of_the_role_is_needed(
    site: tuple[Servers, Zabbix], start_proxy: Callable[..., Proxy], absent: str
) -> None:
    zabbix = site[1]
    bench: IssuingBench = make_site(zabbix, start_proxy(zabbix.port)).bench
    name = f"{absent.replace('.', '-')}-{bench.subject.params['userid']}"
    token = least_admin(zabbix, name, tuple(one for one in METHODS if one != absent))
    platform, credential = bench.platform(admin_value=token), bench.installed()
    found: list[str] = []
    for work in (
        lambda: platform.preflight(bench.call(), PreflightRequest(subject=bench.subject)).findings,
        lambda: bench.issue(bench.fresh().target, platform),
        lambda: bench.revoke(credential, platform),
    ):
        try:
            answer = work()
            found += answer if isinstance(answer, tuple) else []
        except Misconfigured as error:
            found.append(error.reason)
    assert set(found) == {"role_forbids"}, absent


def test_a_wrong_userid_is_found_at_the_adoption(begin: Callable[..., Life]) -> None:
    """The token works and its owner is right, but by that number no id of it is found: it could never be revoked."""

    def mistyped(estate: Estate, shape: ZabbixToken) -> None:
        other = shape.zabbix.create_user(f"other-{estate.tag}")
        estate.credentials[shape.name]["authority"]["params"]["userid"] = other

    life = begin(change=mistyped, code=3)
    assert life.shape.accepts(life.estate, *life.shape.watched.values[0])


def test_a_user_who_may_not_manage_tokens_is_adopted_by_the_id_beside_the_value(begin: Callable[..., Life]) -> None:
    def bound(estate: Estate, shape: ZabbixToken) -> None:
        rules = {"actions": [{"name": "manage_api_tokens", "status": 0}]}
        shape.zabbix.give_role(shape.userid, shape.zabbix.create_role(f"bound-{estate.tag}", rules))
        fields = {"token": shape.watched.values[0][1], "url": shape.zabbix.url, "token_id": shape.living(estate)[0]}
        estate.servers.openbao.admin.put(estate.path_of(shape.name), fields)

    life = begin(change=bound)
    assert life.rotate()["ending"] == "succeeded"
    life.assert_only_current_lives()


def test_without_the_right_and_without_the_id_the_adoption_is_refused(begin: Callable[..., Life]) -> None:
    def bound(estate: Estate, shape: ZabbixToken) -> None:
        rules = {"actions": [{"name": "manage_api_tokens", "status": 0}]}
        shape.zabbix.give_role(shape.userid, shape.zabbix.create_role(f"bound-{estate.tag}", rules))

    life = begin(change=bound, code=3)
    assert "by which id it knows this value" in life.said


def test_the_endpoints_own_token_is_rotated_like_any_other(begin: Callable[..., Life]) -> None:
    """It acts until the new one is current; from then on the new one acts, and removes it."""

    def own(estate: Estate, shape: ZabbixToken) -> None:
        (row,) = shape.zabbix.call("user.get", {"filter": {"username": ADMIN}, "output": ["userid"]})
        _, token = shape.zabbix.create_token(row["userid"], f"acting-{estate.tag}")
        shape.user, shape.userid = ADMIN, row["userid"]
        # Where the daemon may destroy old versions: not in the folder of admin values that stay as they are.
        path = estate.path_of("acting")
        estate.servers.openbao.admin.put(path, {"token": token})
        estate.endpoints["zabbix"]["admin"]["value"] = {"store": "main", "path": path, "field": "token"}
        authority = {"endpoint": "zabbix", "kind": "token", "principal": ADMIN, "params": {"userid": row["userid"]}}
        estate.describe(
            shape.name, {"authority": authority, "store": {"in": "main", "path": path, "value": "token"}}, tier="T0"
        )

    # The acting value is read anew once a second: the old one must live that long beside the new.
    life = begin(change=own, tempo=Tempo(overlap="2s"))
    path, zabbix = life.estate.path_of("acting"), life.shape.zabbix

    def acting() -> str:
        version = life.estate.servers.openbao.admin.get(path)
        assert version is not None
        assert version.data is not None
        return str(version.data["token"])

    first = acting()
    for _ in range(2):
        assert life.rotate()["ending"] == "succeeded"
    assert acting() != first
    assert zabbix.accepts(acting())
    assert not zabbix.accepts(first)
