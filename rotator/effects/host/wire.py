"""A plugin's request becomes bytes: the allow-list of routes, encoded paths, secrets rendered at the last moment.

Called by `endpoint.send`. What is refused here never left (`unsent`). Must never put a secret into a URL.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from rotator.effects.transport import Outgoing
from rotator.plugin_api import Failed, HttpRequest, Misconfigured, Secret

_VARIABLE: Final = re.compile(r"\{([^{}]+)\}")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_OURS: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "user-agent"})


def rendered(request: HttpRequest, routes: tuple[str, ...], base: str, agent: str) -> Outgoing:
    """The request as it goes out. `base` is the endpoint's URL, perhaps with a path before the routes. Raises Failed
    or Misconfigured, unsent."""
    method = request.method.upper()
    if f"{method} {request.route}" not in routes:
        raise Failed("route_refused", unsent=True)
    origin, prefix = _split(base)
    target = prefix + _VARIABLE.sub(lambda found: _segment(request.path, found.group(1)), request.route)
    if request.query:
        target += "?" + urlencode({name: _plain(value) for name, value in request.query.items()}, quote_via=quote)
    body, kind = _body(request)
    headers = {name: _header(name, value) for name, value in request.headers.items()}
    lower = {name.lower() for name in headers}
    if len(lower) != len(headers) or lower & _OURS:
        raise Failed("route_refused", unsent=True)
    if kind and "content-type" not in lower:
        headers["Content-Type"] = kind
    if "accept" not in lower:
        headers["Accept"] = "application/json, */*;q=0.5"
    headers["User-Agent"] = agent
    return Outgoing(method, origin, target, headers, body)


def user_agent(version: str, ability: str, run: str) -> str:
    """What a platform's own logs will show: who we are, that a probe is a probe, and for which run."""
    return f"rotator/{_token(version)} ({_token(ability)}; run {_token(run) or 'none'})"


def _token(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "", text)[:64]


def _split(base: str) -> tuple[str, str]:
    parts = urlsplit(base)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise Misconfigured("route_refused", unsent=True)
    return f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")


def _segment(path: Mapping[str, str], name: str) -> str:
    value = path.get(name, "")
    if not value:
        # A DELETE without its id would hit the collection.
        raise Misconfigured("variable_missing", unsent=True)
    if _plain(value) in {".", ".."}:
        raise Failed("unsendable", unsent=True)
    return quote(value, safe="")


def _plain(value: str) -> str:
    if not isinstance(value, str):
        raise Failed("route_refused", unsent=True)
    return value


def _header(name: str, value: str | Secret) -> str:
    if isinstance(value, Secret):
        return _header(name, value.reveal())
    if not _HEADER_NAME.fullmatch(name) or any(ord(sign) < 32 or ord(sign) == 127 for sign in _plain(value)):
        raise Failed("unsendable", unsent=True)
    return value


def _body(request: HttpRequest) -> tuple[bytes | None, str]:
    given = [request.json is not None, bool(request.form), request.text is not None]
    if sum(given) > 1:
        raise Failed("route_refused", unsent=True)
    if request.json is not None:
        return json.dumps(_opened(request.json)).encode(), "application/json"
    if request.form:
        pairs = {name: _opened(value) for name, value in request.form.items()}
        return urlencode(pairs).encode(), "application/x-www-form-urlencoded"
    if request.text is not None:
        return request.text.reveal().encode(), "text/plain; charset=utf-8"
    return None, ""


def _opened(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Mapping):
        return {str(key): _opened(one) for key, one in value.items()}
    return [_opened(one) for one in value] if isinstance(value, list | tuple) else value
