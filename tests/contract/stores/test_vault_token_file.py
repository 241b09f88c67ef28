"""A token in a file that somebody else keeps: read anew when the file changes, and never the command line's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.effects.stores.contract import Store
from rotator.effects.stores.opening import TokenFile
from rotator.plugin_api import Misconfigured, Secret
from tests.contract.stores.drivers import VaultDriver, private
from tests.contract.stores.recording import RecordingProxy
from tests.lab.openbao import OpenBaoDev


class Stand:
    """A store whose token stands in `file`, as a token helper keeps it."""

    def __init__(self, server: OpenBaoDev, folder: Path, proxy: RecordingProxy) -> None:
        self.driver, self.proxy = VaultDriver(server, folder, url=proxy.url), proxy
        self.file = folder / "helper-token"

    def token(self, **more: object) -> str:
        """A new token under the shipped policy."""
        return self.driver.admin.make_token([self.driver.role], **more)  # type: ignore[arg-type]

    def put(self, token: str) -> str:
        """Replace the file as an agent does: a new one is renamed over it."""
        private(self.file.with_suffix(".new"), token + "\n").replace(self.file)
        return token

    def open(self) -> Store:
        return self.driver.open(auth=TokenFile(self.file))

    def sent(self) -> list[str]:
        """The tokens of the requests so far, each once, in order."""
        return list(dict.fromkeys(one.headers["X-Vault-Token"] for one in self.proxy.seen))


@pytest.fixture
def stand(store_server: OpenBaoDev, tmp_path: Path) -> Iterator[Stand]:
    with RecordingProxy(store_server.url) as proxy:
        yield Stand(store_server, tmp_path, proxy)


def test_changed_file_is_read_before_the_next_request_though_the_old_token_lives(stand: Stand) -> None:
    first = stand.put(stand.token())
    store = stand.open()
    store.current(stand.driver.slot())
    second = stand.put(stand.token())
    stand.proxy.seen.clear()
    store.stage(stand.driver.slot(), 1, Secret("canary-value"))
    assert stand.sent() == [second]
    assert first != second
    store.close()
    assert sum(one.path.endswith("/revoke-self") for one in stand.proxy.seen) == 0


def test_file_written_in_place_is_noticed_too(stand: Stand) -> None:
    stand.put(stand.token())
    store = stand.open()
    store.current(stand.driver.slot())
    second = stand.token()
    private(stand.file, second)
    store.current(stand.driver.slot())
    assert stand.sent()[-1] == second
    store.close()


def test_unchanged_file_is_not_read_again(stand: Stand) -> None:
    stand.put(stand.token())
    store = stand.open()
    for _ in range(5):
        store.current(stand.driver.slot())
    assert sum(one.path.endswith("/lookup-self") for one in stand.proxy.seen) == 1
    store.close()


@pytest.mark.parametrize("content", ["", "canary-no-such-token", "canary\nof two lines", "canary-ключ", "\0"])
def test_while_the_new_content_is_no_good_the_token_before_it_serves(stand: Stand, content: str) -> None:
    first = stand.put(stand.token())
    store = stand.open()
    store.current(stand.driver.slot())
    private(stand.file, content)
    for _ in range(4):
        store.current(stand.driver.slot())
    tried = [one for one in stand.proxy.seen if one.headers["X-Vault-Token"] != first]
    assert len(tried) <= 1  # the bad one is tried once, not at every request
    second = stand.put(stand.token())
    store.current(stand.driver.slot())
    assert stand.sent()[-1] == second
    store.close()


def test_file_that_becomes_open_to_others_is_not_read(stand: Stand) -> None:
    stand.put(stand.token())
    store = stand.open()
    store.current(stand.driver.slot())
    private(stand.file, stand.token())
    stand.file.chmod(0o644)
    store.current(stand.driver.slot())
    assert len(stand.sent()) == 1
    store.close()
    with pytest.raises(Misconfigured, match="store_auth_file_mode"):
        stand.open().current(stand.driver.slot())


def test_file_that_is_gone_does_not_stop_what_works(stand: Stand) -> None:
    stand.put(stand.token())
    store = stand.open()
    store.current(stand.driver.slot())
    stand.file.unlink()
    store.current(stand.driver.slot())
    store.close()
    with pytest.raises(Misconfigured, match="store_auth_file"):
        stand.open().current(stand.driver.slot())


def test_token_that_expired_is_replaced_by_what_the_file_has_then(stand: Stand) -> None:
    stand.put(stand.token(period=None, ttl="1h", renewable=False))
    store = stand.open()
    store.current(stand.driver.slot())
    second = stand.token()
    # The same size and time of change: only the end of the lease tells that something is new.
    before = stand.file.stat()
    private(stand.file, second + "\n")
    os.utime(stand.file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert stand.file.stat().st_ino == before.st_ino
    store.current(stand.driver.slot())
    assert second not in stand.sent()
    stand.driver.clock.ahead += 3700
    store.current(stand.driver.slot())
    assert stand.sent()[-1] == second
    store.close()


def test_token_helper_file_of_a_person_is_never_read_by_itself(
    stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root's token lies in ~/.vault-token and in the variable: a store without its file says so and asks nobody."""
    home = tmp_path / "home"
    home.mkdir()
    private(home / ".vault-token", stand.driver.server.token)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("VAULT_TOKEN", stand.driver.server.token)
    monkeypatch.setenv("BAO_TOKEN", stand.driver.server.token)
    with pytest.raises(Misconfigured, match="store_auth_file"):
        stand.open().current(stand.driver.slot())
    assert stand.proxy.seen == []
