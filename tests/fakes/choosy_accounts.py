"""A FAKE of a platform with accounts and a password rule: it refuses values by what stands in them, never by count.

No product stands behind it. It shows what our side does with a rule that some values keep by chance and some do not.
`GET /me` says who logs in; `PUT /accounts/NAME` sets a password, for the administrator only; both by basic
authentication. Used by `tests/acceptance/test_value_refused`. It imports no room of ours.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

ADMIN: Final = "choosy-admin"
FIRST_SIGNS: Final = frozenset("abcdefghijklmABCDEFGHIJKLM01234")
"""Half of the letters and digits: about every other value begins with one of these."""
RULE_IN_WORDS: Final = "must begin with a to m or 0 to 4"
WRONG: Final = "this password is wrong"


def by_first_sign(value: str) -> bool:
    """The usual rule: about half of all values keep it."""
    return value[:1] in FIRST_SIGNS


def nothing_fits(value: str) -> bool:
    """A rule that no value keeps."""
    return False


@dataclass
class ChoosyAccounts:
    """`passwords`: by account, as they are now. `refused` and `taken`: (account, value) of every change that was asked
    for by the administrator, in order. `takes_what_it_refuses`: so many of the next refusals are lies.
    """

    rule: Callable[[str], bool] = by_first_sign
    takes_what_it_refuses: int = 0
    passwords: dict[str, str] = field(default_factory=dict)
    refused: list[tuple[str, str]] = field(default_factory=list)
    taken: list[tuple[str, str]] = field(default_factory=list)
    admin_password: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)
    port: int = 0

    def __post_init__(self) -> None:
        self.passwords[ADMIN] = self.admin_password

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def create(self, account: str) -> str:
        """A new account; its first password, which no rule was asked about."""
        self.passwords[account] = secrets.token_urlsafe(18)
        return self.passwords[account]

    def accepts(self, account: str, value: str) -> bool:
        """Whether this logs in now."""
        return secrets.compare_digest(self.passwords.get(account, "").encode(), value.encode()) and value != ""

    def set(self, account: str, value: str) -> tuple[int, dict[str, Any]]:
        """A change as the administrator asks for it; status and answer, which never repeats the value."""
        if account not in self.passwords:
            return 404, {"error": "no such account"}
        if self.rule(value):
            self.passwords[account] = value
            self.taken.append((account, value))
            return 200, {"account": account}
        self.refused.append((account, value))
        if self.takes_what_it_refuses:
            self.takes_what_it_refuses -= 1
            self.passwords[account] = value
        return 422, {"error": "weak password", "detail": RULE_IN_WORDS}


@contextmanager
def serving(accounts: ChoosyAccounts) -> Iterator[ChoosyAccounts]:
    """Serve on a free port of the loopback."""

    class Handler(_Handler):
        fake = accounts

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    accounts.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield accounts
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    fake: ChoosyAccounts

    def _user(self) -> str | None:
        kind, _, pair = self.headers.get("Authorization", "").partition(" ")
        try:
            user, _, value = base64.b64decode(pair, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return user if kind == "Basic" and self.fake.accepts(user, value) else None

    def _say(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        user = self._user()
        if self.path != "/me":
            self._say(404, {"error": "not here"})
        elif user is None:
            self._say(401, {"error": WRONG})
        else:
            self._say(200, {"account": user})

    def do_PUT(self) -> None:
        given = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
        route, _, account = self.path.rpartition("/")
        user = self._user()
        if route != "/accounts" or set(given) != {"password"}:
            self._say(400, {"error": "bad request"})
        elif user is None:
            self._say(401, {"error": WRONG})
        elif user != ADMIN:
            self._say(403, {"error": "not the administrator"})
        else:
            self._say(*self.fake.set(account, given["password"]))

    def log_message(self, *_: Any) -> None:
        """Nothing is written anywhere."""
