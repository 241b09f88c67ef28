"""The token of one store: from a file, or by AppRole login; renewed in time, made anew when it died.

Called by `vault_kv` before every exchange and after every 403. A token is never taken from the environment or from the
command line's token file, never written anywhere, and a refused login is not tried again at once (servers lock out).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests
from hvac.api import auth_methods

from rotator.plugin_api import Failed, Misconfigured, PluginError, Refused, Secret

from .vault_client import Call, Exchange, Wire
from .vault_errors import Denied, Missing

LOGIN_PAUSE_S: Final = 10.0
"""After a refused login the same refusal is given for this long without asking the server."""

CONFIRM_S: Final = 0.3
"""A refused login is tried once more after this: a lagging standby does not know a new secret id or token yet."""

RENEW_AT: Final = 2 / 3
"""The part of a lease after which it is renewed."""


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A token in a file, which may be replaced at any time (by an agent): it is read again when the token dies."""

    path: Path


@dataclass(frozen=True, slots=True)
class AppRole:
    """Login by role id and a secret id in a file."""

    role_id: str
    secret_id: Path
    mount: str = "approle"


Auth = TokenFile | AppRole


@dataclass(frozen=True, slots=True)
class _Held:
    token: Secret
    index: str  # a standby does not know the token before it has reached this index
    renew_at: float | None
    expires_at: float | None


class Tokens:
    """The one token of a store, shared by its threads."""

    def __init__(self, auth: Auth, session: requests.Session, wire: Wire) -> None:
        self._auth = auth
        self._session = session
        self._wire = wire
        self._lock = threading.Lock()
        self._held: _Held | None = None
        self._barred_until = 0.0

    def use(self, call: Call) -> Secret:
        """A token that should be good: logs in or renews first when it is time."""
        with self._locked(call):
            held, now = self._held, self._wire.clock.monotonic()
            if held is None or (held.expires_at is not None and now >= held.expires_at):
                held = self._enter(call)
            elif held.renew_at is not None and now >= held.renew_at:
                held = self._renew(call, held)
            self._held = held
            call.index = call.index or held.index
            return held.token

    def replaced(self, call: Call, token: Secret) -> bool:
        """After a 403 with `token`: True if it was dead and there is another, False if it lives: a permission lacks."""
        with self._locked(call):
            if self._held is not None and not self._held.token.matches(token):
                return True
            with suppress(Denied):
                self._token_api(call, token).lookup_self()
                return False
            self._held = None
            self._held = self._enter(call)
            return True

    def close(self) -> None:
        """Revoke the token if a login made it; a failure leaves it to expire."""
        held, self._held = self._held, None
        if held is None or not isinstance(self._auth, AppRole):
            return
        call = Call(self._wire.clock.monotonic() + 5.0, held.index)
        with suppress(PluginError, Denied, Missing):
            self._token_api(call, held.token).revoke_self()

    @contextmanager
    def _locked(self, call: Call) -> Iterator[None]:
        left = call.deadline - self._wire.clock.monotonic()
        if left <= 0 or not self._lock.acquire(timeout=left):
            raise Failed("deadline", unsent=True)
        try:
            yield
        finally:
            self._lock.release()

    def _token_api(self, call: Call, token: Secret) -> Any:
        return auth_methods.Token(Exchange(self._session, self._wire, call, token.reveal(), writing=False))

    # ---- getting one -------------------------------------------------------------------------------------------------

    def _enter(self, call: Call) -> _Held:
        now = self._wire.clock.monotonic()
        if now < self._barred_until:
            raise Misconfigured("store_login_refused")
        refusal = Misconfigured("store_login_refused")
        for wait in (CONFIRM_S, 0.0):
            try:
                if isinstance(self._auth, AppRole):
                    return self._login(call, self._auth)
                return self._adopt(call, self._auth)
            except (Misconfigured, Refused, Denied, Missing) as error:
                refusal = error if isinstance(error, Misconfigured) else Misconfigured("store_login_refused")
            if refusal.reason != "store_login_refused":
                raise refusal
            self._wire.clock.sleep(wait)
        self._barred_until = now + LOGIN_PAUSE_S
        raise refusal

    def _login(self, call: Call, auth: AppRole) -> _Held:
        api = auth_methods.AppRole(Exchange(self._session, self._wire, call, "", writing=False))
        answer = api.login(auth.role_id, _file(auth.secret_id).reveal(), use_token=False, mount_point=auth.mount)
        return self._hold(call, answer.get("auth") if isinstance(answer, dict) else None, None)

    def _adopt(self, call: Call, auth: TokenFile) -> _Held:
        token = _file(auth.path)
        answer = self._token_api(call, token).lookup_self()
        data = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(data, dict):
            raise Failed("incomplete_answer")
        return self._hold(call, {"lease_duration": data.get("ttl"), "renewable": data.get("renewable")}, token)

    def _hold(self, call: Call, answer: Any, token: Secret | None) -> _Held:
        if not isinstance(answer, dict) or type(answer.get("lease_duration")) is not int:
            raise Failed("incomplete_answer")
        if token is None:
            if not isinstance(answer.get("client_token"), str):
                raise Failed("incomplete_answer")
            token = Secret(answer["client_token"])
        lease, now = answer["lease_duration"], self._wire.clock.monotonic()
        if lease <= 0:  # a token without an end
            return _Held(token, call.index, None, None)
        renew_at = now + lease * RENEW_AT if answer.get("renewable") or isinstance(self._auth, AppRole) else None
        return _Held(token, call.index, renew_at, now + lease)

    # ---- keeping it --------------------------------------------------------------------------------------------------

    def _renew(self, call: Call, held: _Held) -> _Held:
        """The token with a longer lease, or a new one if that cannot be had; in trouble the old one while it lives."""
        if isinstance(self._auth, TokenFile) and not _file(self._auth.path).matches(held.token):
            return self._enter(call)
        now = self._wire.clock.monotonic()
        left = 0.0 if held.expires_at is None else held.expires_at - now
        try:
            answer = self._token_api(call, held.token).renew_self()
            renewed = self._hold(call, answer.get("auth") if isinstance(answer, dict) else None, held.token)
            # Near its maximal life a renewal is granted without giving time.
            if renewed.expires_at is None or renewed.expires_at - now > left + 1:
                return renewed
        except (Denied, Refused):
            pass
        except PluginError:
            return _Held(held.token, held.index, now + max(1.0, left / 10), held.expires_at)
        if isinstance(self._auth, AppRole):
            return self._enter(call)
        return _Held(held.token, held.index, None, held.expires_at)


def _file(path: Path) -> Secret:
    """The text of a credential file without the line's end; Misconfigured("store_auth_file")."""
    try:
        token = Secret(path.read_text("utf-8").strip())
    except (OSError, ValueError):
        token = None
    if token is None or token.matches(Secret("")):
        raise Misconfigured("store_auth_file")
    return token
