"""Response-wrapped secret ids: looked at, unwrapped once, and never asked about again.

Called by `vault_login`; one `Deliveries` lives as long as the daemon, over reloads, since what was unwrapped can be had
only once. A wrapping token that is dead when it arrives, or that was made at another path, was perhaps read by somebody
else: that is an *incident*, which stands until another delivery is unwrapped. So that a restart is not taken for a
thief, a digest of the wrapping token is written to a file before it is unwrapped. Must never write a token or a secret
id anywhere, or try a dead one again.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog
from hvac.api.system_backend.wrapping import Wrapping

from rotator.engine.inspection import Incident
from rotator.plugin_api import Failed, Misconfigured, Refused, Secret

from .reasons import REASONS
from .vault_errors import Denied, Missing
from .vault_files import read_secret

if TYPE_CHECKING:
    from .vault_client import Exchange

TAKEN: Final = "store_secret_id_taken"
PATH: Final = "store_secret_id_path"
SPENT: Final = "store_secret_id_spent"
INCIDENTS: Final = frozenset({TAKEN, PATH})
_OVER: Final = frozenset({TAKEN, PATH, SPENT})
_SECRET_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
"""A secret id as the server makes it. The server would call it a dead wrapping token, and we a theft."""

CONFIRM_S: Final = 0.3
"""A wrapping token that the server does not know is looked up once more after this: a standby may lag behind."""

_LOG = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Unwrapping:
    """Whose deliveries these are: the store's name in the configuration, and the file of digests (None: memory only,
    then a restart with an old delivery is taken for an incident)."""

    deliveries: Deliveries
    store: str = ""
    notes: Path | None = None


class Deliveries:
    """What became of the wrapped secret ids that this daemon was given. Thread-safe.

    `look_only`: for whoever is not the daemon (`rotator doctor`): a delivery is looked at and never used up.
    """

    def __init__(self, *, look_only: bool = False) -> None:
        self._look_only = look_only
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[str, Secret]] = {}
        self._over: dict[str, str] = {}
        self._incidents: dict[str, Incident] = {}

    def incidents(self) -> tuple[Incident, ...]:
        """Those that stand now, by store."""
        return tuple(self._incidents[name] for name in sorted(self._incidents.copy()))

    def only(self, stores: Collection[str]) -> None:
        """After a reload: these are the stores that are given wrapped secret ids now; incidents of others are over."""
        for name in self._incidents.copy():
            if name not in stores:
                self._incidents.pop(name, None)

    def secret_id(self, whose: Unwrapping, exchange: Exchange, path: Path, mount: str, role: str) -> Secret:
        """The secret id behind the wrapping token in `path`; while that is no good, the one that was unwrapped before.

        Without one before, Misconfigured: "store_secret_id_taken" and "store_secret_id_path" (incidents),
        "store_secret_id_spent" (we had it before), "store_secret_id_plain" (it is not wrapped), those of `read_secret`.
        Failed if the server or the file of digests cannot be used now.
        """
        with self._locked(exchange):
            try:
                return self._delivered(whose, exchange, path, _origin(mount, role, exchange.namespace))
            except (Misconfigured, Failed):
                kept = self._kept.get(whose.store)
                if kept is None:
                    raise
                return kept[1]

    def pick_up(self, whose: Unwrapping, exchange: Exchange, path: Path, mount: str, role: str) -> None:
        """Unwrap a new delivery now, before its time is over, though no login needs it yet. Errors as `secret_id`,
        also when there is one before."""
        with self._locked(exchange):
            self._delivered(whose, exchange, path, _origin(mount, role, exchange.namespace))

    def _delivered(self, whose: Unwrapping, exchange: Exchange, path: Path, origin: re.Pattern[str]) -> Secret:
        token = read_secret(path)
        if _SECRET_ID.fullmatch(token.reveal()):
            raise Misconfigured("store_secret_id_plain")
        digest = _digest(token)
        kept = self._kept.get(whose.store)
        if kept is not None and kept[0] == digest:
            return kept[1]
        if digest in self._over:
            raise Misconfigured(self._over[digest])
        try:
            secret = _unwrap(exchange, token, digest, origin, whose.notes, look_only=self._look_only)
        except Misconfigured as error:
            if error.reason in _OVER:
                self._over[digest] = error.reason
            if error.reason in INCIDENTS:
                self._raise(whose.store, error.reason, exchange.now())
            raise
        self._kept[whose.store] = (digest, secret)
        _LOG.info("store.secret_id.unwrapped", store=whose.store)
        if self._incidents.pop(whose.store, None) is not None:
            _LOG.warning("store.incident.over", store=whose.store)
        return secret

    def _raise(self, store: str, reason: str, now: int) -> None:
        self._incidents[store] = Incident(store, reason, REASONS[reason], now)
        _LOG.error("store.incident", store=store, reason=reason)

    @contextmanager
    def _locked(self, exchange: Exchange) -> Iterator[None]:
        """Over the whole unwrapping: two threads with one token would take each other for a thief."""
        left = exchange.left()
        if left <= 0 or not self._lock.acquire(timeout=left):
            raise Failed("deadline", unsent=True)
        try:
            yield
        finally:
            self._lock.release()


def _unwrap(
    exchange: Exchange, token: Secret, digest: str, origin: re.Pattern[str], notes: Path | None, *, look_only: bool
) -> Secret:
    """Look it up, compare where it was made, note it, unwrap it: in this order, and at most once."""
    before = _noted(notes, digest)
    if before and look_only:
        raise Misconfigured("store_secret_id_reserved")
    dead = SPENT if before else TAKEN
    made_at = _creation_path(exchange, token, dead)
    if origin.fullmatch(made_at) is None:
        raise Misconfigured(PATH)
    if look_only:
        raise Misconfigured("store_secret_id_reserved")
    if not before:
        _note(notes, digest)
    try:
        answer = Wrapping(exchange.with_token(token)).unwrap()
    except (Denied, Missing, Refused):
        answer = None
    except Misconfigured as error:
        if error.reason != TAKEN:
            raise
        answer = None
    if answer is None:  # alive a moment ago; if it was an earlier request of ours that landed only now, it is noted
        raise Misconfigured(dead)
    data = answer.get("data") if isinstance(answer, dict) else None
    found = data.get("secret_id") if isinstance(data, dict) else None
    if not isinstance(found, str) or not found:
        raise Failed("incomplete_answer")
    return Secret(found)


def _creation_path(exchange: Exchange, token: Secret, dead: str) -> str:
    """Where the wrapping token was made. Asked without a token of ours: the server knows a wrapping token by itself."""
    for wait in (CONFIRM_S, 0.0):
        try:
            answer: Any = exchange.post("/v1/sys/wrapping/lookup", json={"token": token.reveal()})
        except Misconfigured as error:
            if error.reason != TAKEN:
                raise
        except (Denied, Missing, Refused):
            pass
        else:
            data = answer.get("data") if isinstance(answer, dict) else None
            found = data.get("creation_path") if isinstance(data, dict) else None
            if not isinstance(found, str):
                raise Failed("incomplete_answer")
            return found
        exchange.wait(wait)
    raise Misconfigured(dead)


def _origin(mount: str, role: str, namespace: str) -> re.Pattern[str]:
    """The paths at which a secret id of ours may have been wrapped. Anything else was read and wrapped anew."""
    name = re.escape(role) if role else "[^/]+"
    inside = f"(?:{re.escape(namespace)}/)?" if namespace else ""
    return re.compile(f"{inside}auth/{re.escape(mount)}/role/{name}/secret-id")


def _digest(token: Secret) -> str:
    """Names a wrapping token without giving it away: it has far more than 100 random bits."""
    return hashlib.sha256(token.reveal().encode()).hexdigest()


def _noted(notes: Path | None, digest: str) -> bool:
    """Whether we have begun to unwrap it before, in this life or an earlier one."""
    if notes is None:
        return False
    try:
        return digest in notes.read_text("ascii").splitlines()
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        raise Failed("store_disk", unsent=True) from None


def _note(notes: Path | None, digest: str) -> None:
    """Write the digest down for good, before the wrapping token is used up."""
    if notes is None:
        return
    try:
        handle = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(handle, f"\n{digest}\n".encode("ascii"))  # a line that was cut before stays alone
            os.fsync(handle)
        finally:
            os.close(handle)
        folder = os.open(notes.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError:
        raise Failed("store_disk", unsent=True) from None
