"""The token of one store: from a file, or by a login; renewed in time, made anew when it died.

Called by `vault_kv` before every exchange and after every 403. A token is never taken from the environment or from the
command line's token file, never written anywhere, and a refused login is not tried again at once (servers lock out).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import requests
import structlog
from hvac.api import auth_methods

from rotator.plugin_api import Failed, Misconfigured, PluginError, Refused, Secret

from .vault_client import Call, Exchange, Wire
from .vault_errors import Denied, Missing
from .vault_files import Stamp, read_secret, stamp_of
from .vault_login import AppRole, Auth, Kubernetes, TokenFile, log_in
from .vault_wrapped import Deliveries, Unwrapping

_LOG = structlog.get_logger()

LOGIN_PAUSE_S: Final = 10.0
"""After a refused login the same refusal is given for this long without asking the server."""

CONFIRM_S: Final = 0.3
"""A refused login is tried once more after this: a lagging standby does not know a new secret id or token yet."""

_BARS: Final = frozenset({"store_login_refused", "store_login_unclear"})
"""What the server said to a login: it is asked again, and then for a while not."""

RENEW_AT: Final = 2 / 3
"""The part of a lease after which it is renewed."""


@dataclass(frozen=True, slots=True)
class _Held:
    token: Secret
    index: str  # a standby does not know the token before it has reached this index
    renew_at: float | None
    expires_at: float | None
    stamp: Stamp | None = None  # of the file that it was read from


class Tokens:
    """The one token of a store, shared by its threads. `unwrapping`: where wrapped secret ids are kept."""

    def __init__(self, auth: Auth, session: requests.Session, wire: Wire, unwrapping: Unwrapping | None = None) -> None:
        self._auth = auth
        self._session = session
        self._wire = wire if auth.namespace is None else replace(wire, namespace=auth.namespace)
        self._unwrapping = unwrapping or Unwrapping(Deliveries())
        self._unfit: Stamp | None = None  # a file's content that is no good, while the token before it still is
        self._picked: Stamp | None = None  # the delivery that was looked at last
        self._lock = threading.Lock()
        self._held: _Held | None = None
        self._barred_until = 0.0
        self._barred: PluginError = Misconfigured("store_login_refused")

    def use(self, call: Call) -> Secret:
        """A token that should be good: logs in or renews first when it is time."""
        with self._locked(call):
            held, now = self._held, self._wire.clock.monotonic()
            if held is not None and isinstance(self._auth, TokenFile):
                held = self._reread(call, held, self._auth)
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

    def pick_up(self, call: Call) -> None:
        """Unwrap a new delivery of a wrapped secret id, if the file has changed. Nothing for other logins. An unfit
        delivery is told once, by the log; server trouble is left for the next time."""
        auth = self._auth
        if not isinstance(auth, AppRole) or not auth.wrapped:
            return
        stamp = stamp_of(auth.secret_id)
        if stamp is None or stamp == self._picked:
            return
        exchange, whose = Exchange(self._session, self._wire, call, "", writing=False), self._unwrapping
        try:
            whose.deliveries.pick_up(whose, exchange, auth.secret_id, auth.mount, auth.role)
        except Misconfigured as error:
            _LOG.warning("store.delivery.unfit", store=whose.store, reason=error.reason)
        except PluginError:
            return
        self._picked = stamp

    def close(self) -> None:
        """Revoke the token if a login made it; a failure leaves it to expire."""
        held, self._held = self._held, None
        if held is None or isinstance(self._auth, TokenFile):
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
            raise type(self._barred)(self._barred.reason)
        refusal: PluginError = Misconfigured("store_login_refused")
        for wait in (CONFIRM_S, 0.0):
            try:
                return self._get(call)
            except (Misconfigured, Refused, Denied, Missing) as error:
                refusal = self._refusal(error)
            if refusal.reason not in _BARS:
                raise refusal
            self._wire.clock.sleep(wait)
        self._barred_until, self._barred = now + LOGIN_PAUSE_S, refusal
        raise refusal

    def _refusal(self, error: Exception) -> PluginError:
        if isinstance(error, Misconfigured):
            return error
        if isinstance(error, Denied) and isinstance(self._auth, Kubernetes):
            # The server says the same to a dead token and when it could not ask the cluster, which passes by itself.
            return Failed("store_login_unclear", status="403")
        return Misconfigured("store_login_refused")

    def _get(self, call: Call) -> _Held:
        if isinstance(self._auth, TokenFile):
            return self._adopt(call, self._auth)
        exchange = Exchange(self._session, self._wire, call, "", writing=False)
        return self._hold(call, log_in(self._auth, exchange, self._unwrapping), None)

    def _adopt(self, call: Call, auth: TokenFile) -> _Held:
        stamp = stamp_of(auth.path)  # before the content: a change in between is then seen at the next use
        token = read_secret(auth.path)
        answer = self._token_api(call, token).lookup_self()
        data = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(data, dict):
            raise Failed("incomplete_answer")
        found = self._hold(call, {"lease_duration": data.get("ttl"), "renewable": data.get("renewable")}, token)
        return replace(found, stamp=stamp)

    def _reread(self, call: Call, held: _Held, auth: TokenFile) -> _Held:
        """The token that the file has now. While that one is no good (half written, unknown) the one before serves."""
        stamp = stamp_of(auth.path)
        if stamp is None or stamp in {held.stamp, self._unfit}:
            return held
        try:
            return self._adopt(call, auth)
        except (Misconfigured, Refused, Denied, Missing):
            self._unfit = stamp
        except PluginError:  # the server is in trouble: asked again at the next use
            pass
        return held

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
        again = answer.get("renewable") or not isinstance(self._auth, TokenFile)
        renew_at = now + lease * RENEW_AT if again else None
        return _Held(token, call.index, renew_at, now + lease)

    # ---- keeping it --------------------------------------------------------------------------------------------------

    def _renew(self, call: Call, held: _Held) -> _Held:
        """The token with a longer lease, or a new one if that cannot be had; in trouble the old one while it lives."""
        now = self._wire.clock.monotonic()
        left = 0.0 if held.expires_at is None else held.expires_at - now
        try:
            answer = self._token_api(call, held.token).renew_self()
            renewed = self._hold(call, answer.get("auth") if isinstance(answer, dict) else None, held.token)
            renewed = replace(renewed, stamp=held.stamp)
            # Near its maximal life a renewal is granted without giving time.
            if renewed.expires_at is None or renewed.expires_at - now > left + 1:
                return renewed
        except (Denied, Refused):
            pass
        except PluginError:
            return replace(held, renew_at=now + max(1.0, left / 10))
        if isinstance(self._auth, TokenFile):
            return replace(held, renew_at=None)
        try:
            return self._enter(call)
        except PluginError:
            if left <= 0:
                raise
            return replace(held, renew_at=now + max(1.0, left / 10))
