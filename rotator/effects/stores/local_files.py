"""Sealed files of the local store: one file a secret, every field encrypted, the whole authenticated, writes durable.

Called by `local` only. A field's value is sealed with AES-256-GCM bound to path, field and version; a second seal over
everything else (names, numbers, which versions are destroyed) binds the file together. It must never write a value in
clear, never replace a file that it could not read, and never make a key.
"""

from __future__ import annotations

import base64
import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from rotator.plugin_api import Failed, Misconfigured, OutcomeUnknown

from .content import Content
from .versioned import Clock

FORMAT: Final = 1
KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_HEADER: Final = "store"
_LOCK: Final = "lock"
_SECRETS: Final = "secrets"
_LOCK_POLL_S: Final = 0.01
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

Entropy = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Sealed:
    """One field of one version, encrypted."""

    nonce: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Document:
    """One secret: its newest number, and the versions that are kept; None stands for a destroyed version."""

    path: str
    newest: int
    versions: Mapping[int, Mapping[str, Sealed] | None]


class Seal:
    """The key, and what is done with it."""

    def __init__(self, key: bytes, entropy: Entropy = os.urandom) -> None:
        if len(key) != KEY_BYTES:
            raise Misconfigured("store_key")
        self._cipher = AESGCM(key)
        self._entropy = entropy

    def close_fields(self, content: Content, path: str, version: int) -> dict[str, Sealed]:
        """Every field of a version, sealed."""
        return {
            name: self._close(json.dumps(value).encode(), _bound(path, name, version))
            for name, value in content.raw().items()
        }

    def open_fields(self, fields: Mapping[str, Sealed], path: str, version: int) -> Content:
        """The fields of a version; Misconfigured("store_damaged") if one is not what was sealed there."""
        return Content({name: json.loads(self._open(one, _bound(path, name, version))) for name, one in fields.items()})

    def encode(self, document: Document) -> bytes:
        """The file of a document."""
        body = _plain(document)
        whole = self._close(b"", _canonical(body))
        return json.dumps({**body, "seal": _text(whole)}, indent=1).encode()

    def decode(self, data: bytes, path: str) -> Document:
        """The document of a file that must be `path`'s; Misconfigured("store_damaged") for anything else."""
        document = None
        with suppress(ValueError, KeyError, TypeError, AttributeError):
            body = json.loads(data)
            whole = _sealed(body.pop("seal"))
            if body["format"] == FORMAT and body["path"] == path:
                self._open(whole, _canonical(body))
                document = _document(body)
        if document is None:
            raise Misconfigured("store_damaged")
        return document

    def _close(self, plain: bytes, bound: bytes) -> Sealed:
        nonce = self._entropy(_NONCE_BYTES)
        return Sealed(nonce, self._cipher.encrypt(nonce, plain, bound))

    def _open(self, sealed: Sealed, bound: bytes) -> bytes:
        try:
            return self._cipher.decrypt(sealed.nonce, sealed.value, bound)
        except InvalidTag:
            pass
        raise Misconfigured("store_damaged")


class Files:
    """The directory of one local store."""

    def __init__(self, root: Path, seal: Seal, clock: Clock) -> None:
        self._root = root
        self.seal = seal
        self._clock = clock

    def create(self) -> None:
        """Make the directory (or take an empty one) and its header. Refuses a directory that holds anything."""
        with _disk():
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            if any(self._root.iterdir()):
                raise Misconfigured("store_not_empty")
            (self._root / _SECRETS).mkdir(mode=0o700)
        self._replace(self._root / _HEADER, self.seal.encode(Document("", 0, {})))

    def require(self) -> None:
        """Misconfigured: "store_missing" without a header (a volume not mounted), "store_damaged" with another key."""
        data = _contents(self._root / _HEADER)
        if data is None:
            raise Misconfigured("store_missing")
        self.seal.decode(data, "")

    def load(self, path: str) -> Document | None:
        """The document of a path, None if there is none. Sees whole files only: they are replaced, never changed."""
        data = _contents(self._file(path))
        if data is None:
            self.require()
            return None
        return self.seal.decode(data, path)

    def save(self, document: Document) -> None:
        """Put the document in the place of the former one, durably. Call it under `locked`."""
        self._replace(self._file(document.path), self.seal.encode(document))

    def remove(self, path: str) -> None:
        """Remove a path's file, durably. Call it under `locked`."""
        with _disk():
            self._file(path).unlink(missing_ok=True)
        _settle(self._root / _SECRETS)

    def paths(self) -> tuple[str, ...]:
        """The paths of all documents; every one is opened, since the names of files tell nothing."""
        found = []
        with _disk():
            names = sorted(one for one in (self._root / _SECRETS).iterdir() if one.suffix == ".json")
        for file in names:
            data = _contents(file)
            if data is not None:
                found.append(self.seal.decode(data, _claimed(data)).path)
        return tuple(found)

    @contextmanager
    def locked(self, deadline: float) -> Iterator[None]:
        """Alone among all threads and processes; Failed("store_busy") when the deadline comes first."""
        with _disk():
            handle = os.open(self._root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while not _take(handle):
                if self._clock.monotonic() + _LOCK_POLL_S >= deadline:
                    raise Failed("store_busy", unsent=True)
                self._clock.sleep(_LOCK_POLL_S)
            if self._clock.monotonic() >= deadline:
                raise Failed("deadline", unsent=True)
            yield
        finally:
            os.close(handle)

    def _file(self, path: str) -> Path:
        return self._root / _SECRETS / f"{hashlib.sha256(path.encode()).hexdigest()}.json"

    def _replace(self, target: Path, data: bytes) -> None:
        """Write beside, flush, rename, flush the folder. Until the rename the former file stands untouched."""
        beside = target.with_name(f".{target.name}.new")
        try:
            with _disk():
                handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
                with os.fdopen(handle, "wb") as out:
                    out.write(data)
                    out.flush()
                    os.fsync(out.fileno())
                beside.rename(target)
        except Failed:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            raise
        _settle(target.parent)


@contextmanager
def _disk() -> Iterator[None]:
    """Turns an error of the disk into Failed: what stood before still stands."""
    reason = ""
    try:
        yield
    except OSError as error:
        reason = "store_full" if error.errno in _FULL else "store_read_only" if _denied(error) else "store_disk"
    if reason:
        raise Failed(reason)


def _denied(error: OSError) -> bool:
    return error.errno in {errno.EROFS, errno.EACCES, errno.EPERM}


def _settle(folder: Path) -> None:
    """Flush a folder after a rename: until then a power cut may bring the former file back."""
    broken = False
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError:
        broken = True
    if broken:
        raise OutcomeUnknown("store_disk")


def _take(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _contents(file: Path) -> bytes | None:
    with _disk():
        try:
            return file.read_bytes()
        except FileNotFoundError:
            return None
    raise AssertionError("unreachable")


def _bound(path: str, field: str, version: int) -> bytes:
    return json.dumps(["rotator local store", FORMAT, path, field, version]).encode()


def _canonical(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def _plain(document: Document) -> dict[str, Any]:
    versions = {
        str(number): None if fields is None else {name: _text(one) for name, one in fields.items()}
        for number, fields in document.versions.items()
    }
    return {"format": FORMAT, "path": document.path, "newest": document.newest, "versions": versions}


def _document(body: Mapping[str, Any]) -> Document:
    versions = {
        int(number): None if fields is None else {name: _sealed(one) for name, one in fields.items()}
        for number, fields in body["versions"].items()
    }
    return Document(body["path"], int(body["newest"]), versions)


def _text(sealed: Sealed) -> list[str]:
    return [base64.b64encode(part).decode("ascii") for part in (sealed.nonce, sealed.value)]


def _sealed(parts: Any) -> Sealed:
    nonce, value = (base64.b64decode(part, validate=True) for part in parts)
    return Sealed(nonce, value)


def _claimed(data: bytes) -> str:
    """The path that a file says it is; `decode` proves it."""
    with suppress(ValueError, KeyError, TypeError):
        return str(json.loads(data)["path"])
    return ""
