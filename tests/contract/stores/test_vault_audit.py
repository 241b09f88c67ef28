"""What the server's own audit log says of us: only paths of the shipped policy, no value in clear, our name on it all.

The whole store suite's traffic is made once more against a server with a file audit device, and each login's beside it.
"""

from __future__ import annotations

import inspect
import itertools
import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rotator.effects.stores.contract import ABSENT, Mark, Store
from rotator.effects.stores.opening import AppRole, Auth, Deliveries, Jwt, TokenFile, open_store
from rotator.plugin_api import Secret
from tests.contract.stores import test_contract, test_contract_writers
from tests.contract.stores.drivers import POLICY, VaultDriver, private
from tests.lab.openbao import OpenBaoRaft
from tests.lab.openbao_logins import Issuer, Logins

AGENT = "rotator/9.9 (store)"
LINE = re.compile(r'^path "(?P<path>[^"]+)"\s*\{ capabilities = \[(?P<capabilities>.*)\] \}$', re.MULTILINE)
WITHOUT_TOKEN = {"sys/wrapping/lookup"}
BY_ITS_OWN_TOKEN = {"sys/wrapping/unwrap"}
FREE = {"sys/internal/ui/mounts/secret"}
"""What every token may ask without a line of its own."""


@pytest.fixture(scope="module")
def audited() -> Iterator[OpenBaoRaft]:
    with OpenBaoRaft(audit=True) as server:
        server.admin.ask("POST", "sys/config/auditing/request-headers/user-agent", {"hmac": False})
        yield server


class Trail:
    """The part of the audit log that was written after `Trail` was made."""

    def __init__(self, server: OpenBaoRaft) -> None:
        assert server.audit_log is not None
        self._path, self._from = server.audit_log, server.audit_log.stat().st_size

    def text(self) -> str:
        """As it stands in the file."""
        return self._path.read_bytes()[self._from :].decode()

    def entries(self) -> list[dict[str, Any]]:
        """Every line."""
        return [json.loads(line) for line in self.text().splitlines()]

    def ours(self, role: str, mount: str = "approle") -> list[dict[str, Any]]:
        """Entries of the store: made with a token of its role, or its login. Known without the name that it gives."""
        return [
            one
            for one in self.entries()
            if role in one.get("auth", {}).get("policies", []) or one["request"]["path"] == f"auth/{mount}/login"
        ]


def agents(entries: list[dict[str, Any]]) -> set[str]:
    """What the requests called themselves."""
    return {",".join(one["request"].get("headers", {}).get("user-agent", ["(nothing)"])) for one in entries}


def lines(driver: VaultDriver) -> list[tuple[re.Pattern[str], set[str]]]:
    """The shipped policy with the driver's names, as patterns with their capabilities."""
    words = {"MOUNT": "secret", "INSTALLATION": driver.installation, "ADMIN": f"{driver.app}-admin", "APP": driver.app}
    found = []
    for match in LINE.finditer(POLICY.read_text()):
        path = re.sub("|".join(words), lambda word: words[word[0]], match["path"])
        pattern = re.escape(path.removesuffix("*")) + (".*" if path.endswith("*") else "")
        found.append((re.compile(pattern), set(re.findall(r'"(\w+)"', match["capabilities"]))))
    return found


def outside(driver: VaultDriver, entries: list[dict[str, Any]], mount: str = "approle") -> list[tuple[str, str]]:
    """(operation, path) of what the shipped policy has no line for. A list is asked at the folder, with its slash."""
    allowed = lines(driver)
    free = FREE | WITHOUT_TOKEN | BY_ITS_OWN_TOKEN | {f"auth/{mount}/login"}
    asked = {(one["request"]["operation"], one["request"]["path"]) for one in entries}
    return sorted(
        (operation, path)
        for operation, path in asked
        if path not in free
        and not any(pattern.fullmatch(path) and operation in capabilities for pattern, capabilities in allowed)
    )


def unhashed(entries: list[dict[str, Any]]) -> list[str]:
    """Texts under the data of secrets, and tokens, that are not digests."""
    found = []
    for entry in entries:
        token = entry["request"].get("client_token", "hmac-sha256:")
        found += [] if token.startswith("hmac-sha256:") else ["a token"]
        for part in (entry["request"], entry.get("response", {})):
            data = part.get("data") or {}
            if entry["request"]["path"].startswith("secret/data/") and isinstance(data, dict):
                found += [f"{entry['request']['path']}" for text in texts(data.get("data")) if text[:5] != "hmac-"]
    return found


def texts(value: Any) -> Iterator[str]:
    """Every text inside."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)


# ---- the suite -------------------------------------------------------------------------------------------------------


def cases(module: ModuleType) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Each test of a module with each of its parameters."""
    for name, function in vars(module).items():
        if not name.startswith("test_"):
            continue
        sets: list[list[dict[str, Any]]] = []
        for mark in getattr(function, "pytestmark", []):
            if mark.name != "parametrize" or mark.kwargs.get("indirect"):
                continue
            names = [one.strip() for one in mark.args[0].split(",")] if isinstance(mark.args[0], str) else mark.args[0]
            sets.append(
                [dict(zip(names, value if len(names) > 1 else (value,), strict=True)) for value in mark.args[1]]
            )
        for chosen in itertools.product(*sets):
            yield name, function, {key: value for one in chosen for key, value in one.items()}


@pytest.mark.parametrize("module", [test_contract, test_contract_writers], ids=["contract", "writers"])
def test_whole_suite_stays_inside_the_shipped_policy_and_shows_no_value(
    audited: OpenBaoRaft, tmp_path: Path, module: ModuleType
) -> None:
    ran = 0
    for name, function, chosen in cases(module):
        wanted = set(inspect.signature(function).parameters) - set(chosen)
        assert wanted <= {"driver", "store"}, f"{name} wants more than this test can give: {wanted}"
        folder = tmp_path / str(ran)
        folder.mkdir()
        trail, driver = Trail(audited), Named(audited, folder)
        store = driver.open()
        function(**chosen, **{key: value for key, value in {"driver": driver, "store": store}.items() if key in wanted})
        store.close()
        ours = trail.ours(driver.role)
        assert (ours == []) == (name in SILENT), name
        assert outside(driver, ours) == [], name
        assert unhashed(ours) == [], name
        assert agents(ours) <= {AGENT}, name
        ran += 1
    assert ran >= (30 if module is test_contract else 5)


SILENT = {
    "test_unnormalised_paths_are_refused_before_anything_is_sent",
    "test_our_own_folder_is_no_place_for_a_secret",
}
"""Tests in which nothing is sent."""


class Named(VaultDriver):
    """A driver whose stores carry the name that the daemon gives them."""

    def open(self, **changes: Any) -> Store:
        return super().open(**{"user_agent": AGENT, **changes})


# ---- logins ----------------------------------------------------------------------------------------------------------


class Life:
    """One life of a store with values that can be searched for."""

    def __init__(self, driver: VaultDriver, auth: Auth) -> None:
        config = driver.config(auth=auth, user_agent=AGENT, name="main", notes=driver.folder / "notes")
        self.store = open_store(config, driver.clock, Deliveries())
        self.driver, self.values = driver, [f"canary-{secrets.token_urlsafe(24)}" for _ in range(3)]

    def live(self) -> None:
        """Everything that a store is asked for, with three values."""
        store, slot, (first, second, admin) = self.store, self.driver.slot(), self.values
        store.check(slot)
        store.deposit(slot.path, "password", Secret(first), {"username": "svc"}, replace=False)
        store.deposit(f"{self.driver.app}-admin/x", "key", Secret(admin), {}, replace=True)
        assert store.fetch(f"{self.driver.app}-admin/x", "key") is not None
        store.mark(Mark("epoch", 7))
        assert store.read_mark() == Mark("epoch", 7)
        store.stage_current(slot, 1)
        store.stage(slot, 2, Secret(second))
        version = store.current(slot).version
        store.promote(slot, 2, {"username": "svc-2"}, version)
        self.driver.clock.ahead += 2500  # a renewal
        store.finalize(slot, 1)
        store.clear(slot)
        store.finalize(slot, 2)
        store.forget(slot, 1)
        assert store.current(slot).value is None
        assert store.current(slot).version != ABSENT
        store.close()


def test_jwt_life(audited: OpenBaoRaft, tmp_path: Path) -> None:
    driver, issuer = VaultDriver(audited, tmp_path), Issuer()
    Logins(audited.admin).jwt("jwt-audit", issuer, "rotator", "svc", [driver.role])
    jwt = issuer.jwt("svc")
    judge(audited, driver, Jwt("rotator", private(tmp_path / "jwt", jwt), "jwt-audit"), "jwt-audit", [jwt])


def test_wrapped_life(audited: OpenBaoRaft, tmp_path: Path) -> None:
    driver, logins = VaultDriver(audited, tmp_path), Logins(audited.admin)
    role_id = logins.approle("wrapped-audit", "rotator", [driver.role])
    token = logins.wrapped("auth/wrapped-audit/role/rotator/secret-id")
    auth = AppRole(role_id, private(tmp_path / "w", token), "wrapped-audit", wrapped=True)
    found = judge(audited, driver, auth, "wrapped-audit", [token])
    paths = [one["request"]["path"] for one in found.entries() if one["type"] == "request"]
    assert (paths.count("sys/wrapping/lookup"), paths.count("sys/wrapping/unwrap")) == (1, 1)


def test_token_life(audited: OpenBaoRaft, tmp_path: Path) -> None:
    driver = VaultDriver(audited, tmp_path)
    token = audited.admin.make_token([driver.role], period="1h")
    judge(audited, driver, TokenFile(private(tmp_path / "t", token)), "", [token])


def judge(server: OpenBaoRaft, driver: VaultDriver, auth: Auth, mount: str, credentials: list[str]) -> Trail:
    """Live, then read the trail: nothing outside, nothing in clear, our name on every request."""
    trail, life = Trail(server), Life(driver, auth)
    life.live()
    ours = trail.ours(driver.role, mount)
    mine = [one for one in trail.entries() if "root" not in one.get("auth", {}).get("policies", [])]
    assert len(ours) > 40
    assert outside(driver, mine, mount) == []
    assert unhashed(mine) == []
    assert agents(mine) == {AGENT}
    text = trail.text()
    assert [value for value in (*life.values, *credentials) if value in text] == []
    return trail


def test_the_judges_see_what_they_look_for(audited: OpenBaoRaft, tmp_path: Path) -> None:
    """A request outside, another name, a value in a path: each is found."""
    driver = VaultDriver(audited, tmp_path)
    trail = Trail(audited)
    store = driver.open(user_agent="somebody")
    with pytest.raises(Exception, match="store_permission"):
        store.fetch("elsewhere/canary-in-a-path", "y")
    store.close()
    ours = trail.ours(driver.role)
    assert outside(driver, ours) == [("read", "secret/data/elsewhere/canary-in-a-path")]
    assert agents(ours) == {"somebody"}
    assert "canary-in-a-path" in trail.text()
