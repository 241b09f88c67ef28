"""The versions of a KV v2 engine, through hvac: `versioned.Shelf` for Vault and OpenBao.

Made by `vault`, called by `keyvalue`. A write is done only when the answer is an object with `data.version`. A refused
version is confirmed by a consistent read, since a standby refuses correct writes; a lost answer is resolved by sending
the same compare-and-set again: accepted, it had not landed; refused, the next version shows whether it was ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import requests
from hvac.api.secrets_engines import KvV2

from rotator.effects.transport_retry import read_patiently
from rotator.plugin_api import Failed, Misconfigured, OutcomeUnknown, PluginError, Secret

from .content import Content
from .vault_auth import Tokens
from .vault_client import Call, Exchange, Wire
from .vault_errors import CasRefused, Denied, Missing, broken
from .versioned import Entry

_ROUNDS: Final = 6
_FALSE_REFUSAL_WAIT_S: Final = 0.05


class Authorised(Exchange):
    """An exchange with the store's token. A 403 for a dead token was surely not carried out: once more with another."""

    def __init__(self, session: requests.Session, wire: Wire, call: Call, tokens: Tokens, *, writing: bool) -> None:
        super().__init__(session, wire, call, "", writing=writing)
        self._tokens = tokens

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, raise_exception: bool = True, **more: Any
    ) -> dict[str, Any] | None:
        """As `Exchange`; Misconfigured("store_permission") instead of Denied."""
        for _ in range(2):
            token: Secret = self._tokens.use(self.call)
            self.token = token.reveal()
            try:
                return super().request(method, url, headers=headers, raise_exception=raise_exception, **more)
            except Denied:
                pass
            if not self._tokens.replaced(self.call, token):
                break
        raise Misconfigured("store_permission", status="403")


class VaultRoom:
    """Where shelves of one KV v2 mount come from; shared by threads."""

    def __init__(
        self, session: requests.Session, wire: Wire, tokens: Tokens, *, mount: str, sync_path: str, call_s: float
    ) -> None:
        self.session, self.wire, self.tokens = session, wire, tokens
        self.mount, self.sync_path, self.call_s = mount, sync_path, call_s
        self.indexed: bool | None = None  # whether the server's answers carry an index: None until it was asked

    def shelf(self) -> VaultShelf:
        """See `versioned.Room`."""
        return VaultShelf(self, Call(self.wire.clock.monotonic() + self.call_s))

    def pick_up(self) -> None:
        """See `Tokens.pick_up`."""
        self.tokens.pick_up(Call(self.wire.clock.monotonic() + self.call_s))

    def close(self) -> None:
        """See `versioned.Room`."""
        self.tokens.close()
        self.session.close()


class VaultShelf:
    """See `versioned.Shelf`."""

    def __init__(self, room: VaultRoom, call: Call) -> None:
        self._room = room
        self.call = call
        self.reads = Authorised(room.session, room.wire, call, room.tokens, writing=False)
        self._reader = KvV2(self.reads)
        self._writer = KvV2(Authorised(room.session, room.wire, call, room.tokens, writing=True))

    def patiently(self, read: Callable[[], Any]) -> Any:
        """A read, repeated within the call when it failed in passing."""
        return read_patiently(read, self._room.wire.clock, self.call.deadline)

    def sync(self) -> None:
        """See `versioned.Shelf`: writes metadata of a path of ours, since the answer to a write has the newest index.

        A server without an index has no stale readers; it is asked once."""
        if self._room.indexed is False:
            return
        note = {"purpose": "written to read consistently"}
        self.patiently(
            lambda: self._reader.update_metadata(
                self._room.sync_path, custom_metadata=note, mount_point=self._room.mount
            )
        )
        self._room.indexed = self.call.index != ""

    def read(self, path: str, version: int = 0) -> Entry | None:
        """See `versioned.Shelf`."""
        try:
            answer = self.patiently(
                lambda: self._reader.read_secret_version(
                    path, version=version or None, mount_point=self._room.mount, raise_on_deleted_version=False
                )
            )
        except Missing as missing:
            return Entry(missing.version, None) if missing.version else None
        data = _part(answer, "data")
        number, fields = _part(data, "metadata").get("version"), data.get("data")
        if type(number) is not int or not isinstance(fields, dict):
            raise Failed("incomplete_answer")
        return Entry(number, Content(fields))

    def write(self, path: str, content: Content, cas: int) -> int | None:
        """See `versioned.Shelf`."""
        lost: OutcomeUnknown | None = None
        for attempt in range(_ROUNDS):
            try:
                return self._put(path, content, cas)
            except CasRefused:
                pass
            except OutcomeUnknown as error:
                if lost is not None:
                    raise
                lost = error
                continue
            except PluginError as error:
                if lost is None:
                    raise
                lost = OutcomeUnknown(error.reason, status=error.status)
                break
            refused = self._refusal(path, content, cas, lost)
            if refused is not None:
                return refused or None
            self._room.wire.clock.sleep(_FALSE_REFUSAL_WAIT_S * (attempt + 1))
        if lost is not None:
            raise OutcomeUnknown(lost.reason, status=lost.status)
        raise Failed("store_behind")

    def _put(self, path: str, content: Content, cas: int) -> int:
        answer = self._writer.create_or_update_secret(path, content.raw(), cas=cas, mount_point=self._room.mount)
        data = answer.get("data") if isinstance(answer, dict) else None
        version = data.get("version") if isinstance(data, dict) else None
        if type(version) is not int:
            raise broken("incomplete_answer", writing=True)
        return version

    def _refusal(self, path: str, content: Content, cas: int, lost: OutcomeUnknown | None) -> int | None:
        """What is behind a refused version: None: it was untrue; 0: true; else the version that our lost write made."""
        try:
            self.sync()
            after = self.read(path, cas + 1)
            newest = after if after is not None else self.read(path)
        except PluginError as error:
            if lost is None:
                raise
            raise OutcomeUnknown(error.reason, status=error.status) from None
        standing = 0 if newest is None else newest.version
        if standing == cas:
            return None
        if lost is None:
            return 0
        if after is None:  # kept no more: whose version it was cannot be seen
            raise OutcomeUnknown(lost.reason, status=lost.status)
        ours = after.content is not None and after.content.equals(content)
        return after.version if ours else 0

    def kept(self, path: str) -> tuple[int, ...]:
        """See `versioned.Shelf`."""
        try:
            answer = self.patiently(lambda: self._reader.read_secret_metadata(path, mount_point=self._room.mount))
        except Missing:
            return ()
        versions = _part(_part(answer, "data"), "versions")
        return tuple(sorted(int(number) for number, one in versions.items() if not one.get("destroyed", False)))

    def destroy(self, path: str, versions: Sequence[int]) -> None:
        """See `versioned.Shelf`. The server says 204 to everything: only the metadata are a proof."""
        self._twice(lambda: self._writer.destroy_secret_versions(path, list(versions), mount_point=self._room.mount))
        if set(self.kept(path)) & set(versions):
            raise Failed("store_behind")

    def drop(self, path: str) -> None:
        """See `versioned.Shelf`."""
        self._twice(lambda: self._writer.delete_metadata_and_all_versions(path, mount_point=self._room.mount))

    def names(self, folder: str) -> tuple[str, ...]:
        """See `versioned.Shelf`."""
        try:
            answer = self.patiently(lambda: self._reader.list_secrets(folder, mount_point=self._room.mount))
        except Missing:
            return ()
        keys = _part(answer, "data").get("keys")
        if not isinstance(keys, list):
            raise Failed("incomplete_answer")
        return tuple(str(key) for key in keys)

    @staticmethod
    def _twice(write: Callable[[], Any]) -> None:
        """A write of which a second one changes nothing more: sent again once when its answer was lost."""
        try:
            write()
        except OutcomeUnknown:
            try:
                write()
            except Failed as error:
                raise OutcomeUnknown(error.reason, status=error.status) from None


def _part(answer: Any, name: str) -> dict[str, Any]:
    """A member that must be an object, of an answer to a read."""
    part = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(part, dict):
        raise Failed("incomplete_answer")
    return part
