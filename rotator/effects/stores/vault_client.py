"""Exchanges with a Vault or OpenBao server: one session for a store, one deadline and one index for a call.

Used by `vault_auth` and `vault_kv` only. hvac builds the paths and bodies; this is the adapter that it sends through.
It must never follow a redirect, read the environment or a token file of the command line, repeat a request, or let an
exception out that carries a request, a body or a text of the server.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any, Final

import requests
import requests.adapters
from hvac.adapters import RawAdapter

from rotator.plugin_api import Failed, Misconfigured, Secret

from .vault_errors import answer_error, broken, network_error
from .versioned import Clock

INDEX: Final = "X-Vault-Index"
BODY_CAP: Final = 8 * 1024 * 1024
_CHUNK: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Wire:
    """How a server is reached: `url` without /v1, `namespace` or "", times in seconds."""

    url: str
    namespace: str
    connect_s: float
    read_s: float
    clock: Clock


@dataclass(slots=True)
class Call:
    """What one call of the store knows: its deadline (monotonic seconds) and the newest index that it has seen.

    A server that keeps an index may be a standby with stale data; it forwards what carries an index it has not reached.
    """

    deadline: float
    index: str = ""


class _Adapter(requests.adapters.HTTPAdapter):
    """Reads every body itself, up to a cap and the call's end, with certificates checked by our own context."""

    def __init__(self, context: ssl.SSLContext | None, pool: int) -> None:
        self._context, self._pool = context, pool
        super().__init__(pool_connections=1, pool_maxsize=pool, max_retries=0, pool_block=False)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:
        if self._context is not None:
            kwargs["ssl_context"] = self._context
        super().init_poolmanager(connections, maxsize, block, **kwargs)

    def change(self, context: ssl.SSLContext) -> None:
        """Open new connections with another context from now on; calls under way end on theirs."""
        self._context = context
        self.init_poolmanager(1, self._pool)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs["stream"] = True
        response = super().send(request, *args, **kwargs)
        body = bytearray()
        for chunk in response.iter_content(_CHUNK):
            body += chunk
            if len(body) > BODY_CAP:
                response.close()
                raise requests.exceptions.ContentDecodingError("body over the cap")
        response._content = bytes(body)
        return response


def make_session(ca: str | None, pool: int, user_agent: str) -> requests.Session:
    """The store's one session. `ca`: the only bundle that is trusted; None: the one that requests brings along."""
    context = _context(ca)
    session = requests.Session()
    session.trust_env = False  # no proxies, no netrc, no REQUESTS_CA_BUNDLE
    session.verify = ca if ca is not None else True
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers.update({"User-Agent": user_agent, "Accept-Encoding": "identity"})
    session.mount("https://", _Adapter(context, pool))
    session.mount("http://", _Adapter(None, pool))
    return session


def _context(ca: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def present(session: requests.Session, certificate: Path, key: Path) -> None:
    """Show this client certificate on every new connection. Misconfigured("store_client_certificate"): the files cannot
    be read, do not fit together, or the key has a passphrase; ("store_ca"): the bundle went away meanwhile."""
    try:
        context = _context(session.verify if isinstance(session.verify, str) else None)
    except (OSError, ssl.SSLError):
        raise Misconfigured("store_ca") from None
    try:
        # Without a password of ours OpenSSL would ask for one at the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ssl.SSLError, ValueError):
        raise Misconfigured("store_client_certificate") from None
    adapter = session.get_adapter("https://")
    if not isinstance(adapter, _Adapter):
        raise TypeError("the session was not made by make_session")
    adapter.change(context)


class Exchange(RawAdapter):  # type: ignore[misc]  # hvac has no types
    """hvac's adapter for one call of the store, with an explicit token ("" for a login).

    `writing`: a broken answer is then unknown, else failed. Returns the answer's JSON object for 200, None for 204.
    """

    def __init__(self, session: requests.Session, wire: Wire, call: Call, token: str, *, writing: bool) -> None:
        super().__init__(
            base_uri=wire.url,
            token=token,
            verify=session.verify,
            allow_redirects=False,
            session=session,
            namespace=wire.namespace or None,
        )
        self._wire = wire
        self.call = call
        self.writing = writing

    def with_token(self, token: Secret) -> Exchange:
        """The same call with another token."""
        return Exchange(self.session, self._wire, self.call, token.reveal(), writing=self.writing)

    def left(self) -> float:
        """Seconds to the call's deadline."""
        return self.call.deadline - self._wire.clock.monotonic()

    def now(self) -> int:
        """Milliseconds since the epoch."""
        return self._wire.clock.now()

    def wait(self, seconds: float) -> None:
        """Sleep."""
        self._wire.clock.sleep(seconds)

    def get_login_token(self, response: Mapping[str, Any]) -> str:
        """Part of hvac's interface."""
        return str(response["auth"]["client_token"])

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, raise_exception: bool = True, **more: Any
    ) -> dict[str, Any] | None:
        """Send once. Raises the errors of the plugin API and the signals of `vault_errors`, nothing else."""
        response = self._send(method, url, dict(headers or {}), more)
        if isinstance(response, Exception):
            raise response
        self.call.index = response.headers.get(INDEX, self.call.index)
        body = _json(response)
        if response.status_code == 204:
            return None
        if response.status_code == 200 and body is not None:
            return body
        if 300 <= response.status_code < 400 and self._is_node():
            raise Failed("store_no_leader", status=str(response.status_code))
        if 200 <= response.status_code < 300:
            raise broken("incomplete_answer", writing=self.writing, status=str(response.status_code))
        raise answer_error(
            response.status_code,
            _errors(body),
            writing=self.writing,
            retry_after=response.headers.get("Retry-After"),
            version=_version(body),
        )

    def _is_node(self) -> bool:
        """Whether a redirect came from a node itself: a standby that cannot forward now (an election) sends a 307.

        Asked without token and without following: sys/health of the same address, whatever its status says.
        """
        left = self.call.deadline - self._wire.clock.monotonic()
        if left <= 0:
            return False
        timeout = (min(self._wire.connect_s, left), min(self._wire.read_s, left))
        url = f"{self._wire.url}/v1/sys/health"
        try:
            answer = self.session.get(url, timeout=timeout, allow_redirects=False, verify=self.session.verify)
        except (requests.exceptions.RequestException, OSError):
            return False
        return "standby" in (_json(answer) or {})

    def _send(
        self, method: str, url: str, headers: dict[str, str], more: dict[str, Any]
    ) -> requests.Response | Exception:
        """The response, or the error as a value: raised outside the handler it carries no request in its context."""
        left = self.call.deadline - self._wire.clock.monotonic()
        if left <= 0:
            return Failed("deadline", unsent=True)
        if self.call.index:
            headers |= {INDEX: self.call.index, "X-Vault-Inconsistent": "forward-active-node"}
        more["timeout"] = (min(self._wire.connect_s, left), min(self._wire.read_s, left))
        try:
            response: requests.Response = super().request(method, url, headers=headers, raise_exception=False, **more)
        except (requests.exceptions.RequestException, OSError) as error:
            return network_error(error, writing=self.writing)
        return response


def _json(response: requests.Response) -> dict[str, Any] | None:
    try:
        body = response.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _errors(body: dict[str, Any] | None) -> tuple[str, ...]:
    found = (body or {}).get("errors")
    return tuple(str(one) for one in found) if isinstance(found, list) else ()


def _version(body: dict[str, Any] | None) -> int:
    """The version's number in the 404 of a deleted or destroyed version, else 0."""
    data = (body or {}).get("data")
    metadata = data.get("metadata") if isinstance(data, dict) else None
    version = metadata.get("version") if isinstance(metadata, dict) else None
    return version if isinstance(version, int) else 0
