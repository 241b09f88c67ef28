"""The embedded store: one directory of sealed files, for a machine without a vault.

Called by the daemon's bootstrap through `opening.open_store`. The key stands in a file of its own, outside the
directory, and is made only by `create_key`: a store that finds no key never makes one, or its values would be lost.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rotator.plugin_api import Misconfigured, Refused

from .content import Content
from .contract import Slot
from .keyvalue import KeyValueStore
from .local_files import KEY_BYTES, Document, Entropy, Files, Seal
from .paths import OURS, normal
from .versioned import Clock, Entry


@dataclass(frozen=True, slots=True)
class LocalConfig:
    """`root`: the directory of the store; `key`: the key's file, outside of it, 0600, owned by the daemon's user.

    `keep`: versions kept of a secret; `max_bytes` of one version's fields; `call_s` bounds one call, in seconds.
    """

    root: Path
    key: Path
    installation: str
    keep: int = 10
    max_bytes: int = 1024 * 1024
    call_s: float = 30.0


class LocalStore(KeyValueStore):
    """The contract `Store` on a directory."""

    def __init__(self, room: LocalRoom, config: LocalConfig) -> None:
        super().__init__(room, config.installation)
        self._config = config

    def check(self, slot: Slot) -> tuple[str, ...]:
        """See the contract."""
        if not normal(slot.path) or not normal(slot.credential):
            return ("store_path_unnormalised",)
        if slot.path.split("/", 1)[0] == OURS:
            return ("store_path_reserved",)
        return ("store_max_versions",) if self._config.keep < 2 else ()


def create_key(key: Path, root: Path, entropy: Entropy = os.urandom) -> None:
    """Make the key's file: 32 random bytes, 0600, durable. Misconfigured("store_key") if it exists or is in `root`."""
    if _inside(key, root):
        raise Misconfigured("store_key")
    try:
        handle = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:
        handle = -1
    if handle < 0:
        raise Misconfigured("store_key")
    with os.fdopen(handle, "wb") as out:
        out.write(entropy(KEY_BYTES))
        out.flush()
        os.fsync(out.fileno())


def create_local(config: LocalConfig, clock: Clock) -> None:
    """Make an empty store for an existing key. Misconfigured("store_not_empty") if the directory holds anything."""
    Files(config.root, Seal(_read_key(config)), clock).create()


def open_local(config: LocalConfig, clock: Clock) -> LocalStore:
    """Open a store. Misconfigured: store_key (no proper key file), store_missing (never created, or its volume is not
    there), store_damaged (another key, or its header was changed), store_installation."""
    files = Files(config.root, Seal(_read_key(config)), clock)
    files.require()
    return LocalStore(LocalRoom(files, config, clock), config)


def _inside(key: Path, root: Path) -> bool:
    return key.resolve().is_relative_to(root.resolve())


def _read_key(config: LocalConfig) -> bytes:
    """The key; Misconfigured("store_key") unless the file is ours alone, of the right size and outside the store."""
    key = b""
    if not _inside(config.key, config.root):
        try:
            with config.key.open("rb") as file:
                status = os.fstat(file.fileno())
                private = stat.S_ISREG(status.st_mode) and not status.st_mode & 0o077
                if private and status.st_uid in {0, os.geteuid()}:
                    key = file.read(KEY_BYTES + 1)
        except OSError:
            key = b""
    if len(key) != KEY_BYTES:
        raise Misconfigured("store_key")
    return key


class LocalRoom:
    """See `versioned.Room`."""

    def __init__(self, files: Files, config: LocalConfig, clock: Clock) -> None:
        self._files, self._config, self._clock = files, config, clock
        self._seal = files.seal

    def shelf(self) -> LocalShelf:
        """See `versioned.Room`."""
        return LocalShelf(self._files, self._seal, self._config, self._clock.monotonic() + self._config.call_s)

    def close(self) -> None:
        """Nothing is held between calls."""


class LocalShelf:
    """See `versioned.Shelf`. Reads are consistent by themselves; every change is made under the store's lock."""

    def __init__(self, files: Files, seal: Seal, config: LocalConfig, deadline: float) -> None:
        self._files, self._seal, self._config, self._deadline = files, seal, config, deadline

    def sync(self) -> None:
        """See `versioned.Shelf`: nothing to do."""

    def read(self, path: str, version: int = 0) -> Entry | None:
        """See `versioned.Shelf`."""
        document = self._files.load(path)
        if document is None:
            return None
        number = version or document.newest
        if number not in document.versions:
            return None
        fields = document.versions[number]
        return Entry(number, None if fields is None else self._seal.open_fields(fields, path, number))

    def write(self, path: str, content: Content, cas: int) -> int | None:
        """See `versioned.Shelf`. Refused("too_large") over the configured size."""
        with self._files.locked(self._deadline):
            document = self._files.load(path) or Document(path, 0, {})
            if document.newest != cas:
                return None
            number = document.newest + 1
            sealed = self._seal.close_fields(content, path, number)
            if sum(len(name.encode()) + len(one.value) for name, one in sealed.items()) > self._config.max_bytes:
                raise Refused("too_large")
            versions = {**document.versions, number: sealed}
            kept = sorted(versions)[-self._config.keep :]
            self._files.save(Document(path, number, {one: versions[one] for one in kept}))
            return number

    def kept(self, path: str) -> tuple[int, ...]:
        """See `versioned.Shelf`."""
        document = self._files.load(path)
        versions = {} if document is None else document.versions
        return tuple(sorted(number for number, fields in versions.items() if fields is not None))

    def destroy(self, path: str, versions: Sequence[int]) -> None:
        """See `versioned.Shelf`. The former file is replaced; what the disk keeps of it is sealed."""
        with self._files.locked(self._deadline):
            document = self._files.load(path)
            if document is None:
                return
            left = {number: None if number in versions else fields for number, fields in document.versions.items()}
            self._files.save(Document(path, document.newest, left))

    def drop(self, path: str) -> None:
        """See `versioned.Shelf`."""
        with self._files.locked(self._deadline):
            self._files.remove(path)

    def names(self, folder: str) -> tuple[str, ...]:
        """See `versioned.Shelf`."""
        start = f"{folder}/"
        below = (path.removeprefix(start).partition("/") for path in self._files.paths() if path.startswith(start))
        return tuple(sorted({name + slash for name, slash, _ in below}))
