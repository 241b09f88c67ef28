"""The connection: just enough of PostgreSQL's protocol 3.0 to log in with a password and run plain statements.

Called by `calls`. Why not a driver: libpq gives no SQLSTATE for a refused login, only a text in the server's language;
it has no deadline for a call as a whole; and it reads its environment. A proof of death needs the code, needs to know
that the server really asked for a password, and needs the call to end in time. Source: the PostgreSQL documentation,
chapter "Frontend/Backend Protocol". It must never put a server's message or a value into an exception, and never sends
a password in clear (method `password`) whatever the server asks.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import secrets
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from rotator.plugin_api import Secret

from . import scram
from .config import Config

PROTOCOL: Final = 196608  # 3.0
SSL_REQUEST: Final = 80877103
MAX_MESSAGE: Final = 1 << 20
NAME_BYTES: Final = 63  # longer names are cut by the server without an error: another role might be meant
METADATA: Final = frozenset(("100.100.100.200", "fd00:ec2::254"))
SHORTEST: Final = 0.001  # a time-out of 0 would mean "do not block"

OK, CLEAR, MD5, SASL, SASL_CONTINUE, SASL_FINAL = 0, 3, 5, 10, 11, 12

Row = tuple[str | None, ...]


class Stage(Enum):
    """How far a connection came."""

    CONNECT = "connect"
    LOGIN = "login"
    QUERY = "query"


class Stopped(Exception):
    """A connection, login or statement that did not go through. `code`: the SQLSTATE, if the server gave one."""

    def __init__(self, stage: Stage, reason: str, *, code: str = "", fatal: bool = True, asked: bool = False) -> None:
        super().__init__(stage, reason, code)
        self.stage = stage
        self.reason = reason
        self.code = code
        self.fatal = fatal
        self.asked = asked  # the server had asked for the password, and had our answer


@dataclass(slots=True)
class Session:
    """A logged-in connection. Made by `connect`; not shared between threads."""

    sock: socket.socket
    remaining: Callable[[], float]
    stage: Stage = Stage.CONNECT
    asked: bool = False

    def close(self) -> None:
        """Says goodbye, if that is possible at once, and closes."""
        with contextlib.suppress(OSError):
            self.sock.settimeout(SHORTEST)
            self.sock.sendall(b"X" + struct.pack("!i", 4))
        self.sock.close()

    def query(self, statement: bytes | Secret) -> list[Row]:
        """Runs a statement (or several) as one simple query; the rows, all columns as text."""
        self.stage = Stage.QUERY
        self._send(b"Q", _text(statement.reveal() if isinstance(statement, Secret) else statement))
        rows: list[Row] = []
        refusal: Stopped | None = None
        while True:
            kind, body = self._message()
            if kind == b"D":
                rows.append(self._row(body))
            elif kind == b"E":
                refusal = self._refused(body)
                if refusal.fatal:
                    raise refusal
            elif kind == b"Z":
                if refusal is not None:
                    raise refusal
                return rows
            elif kind not in (b"T", b"C", b"I", b"N", b"S"):
                raise self._stopped("unrecognised_answer")

    # ---- login -----------------------------------------------------------------------------------------------------

    def login(self, user: str, value: Secret, database: str) -> None:
        """Start-up packet to the first "ready". Only SCRAM-SHA-256 and MD5 are answered."""
        self.stage = Stage.LOGIN
        fields = {"user": user, "database": database, "client_encoding": "UTF8", "application_name": "rotator"}
        packet = struct.pack("!i", PROTOCOL) + b"".join(_text(part) for pair in fields.items() for part in pair)
        self._send(b"", packet + b"\0")
        granted = False
        while True:
            kind, body = self._message()
            if kind == b"E":
                raise self._refused(body)
            if kind == b"R" and not granted:
                granted = self._challenge(body, user, value)
            elif kind == b"Z" and granted:
                return
            elif kind not in (b"S", b"K", b"N", b"v"):
                raise self._stopped("unrecognised_answer")

    def _challenge(self, body: bytes, user: str, value: Secret) -> bool:
        """Answers one request for authentication; True when it is over."""
        method = int.from_bytes(body[:4], "big")
        if method == OK:
            if not self.asked:
                raise self._stopped("no_password_asked")
            return True
        if method == MD5 and len(body) == 8:
            self._send(b"p", _md5(user, value, body[4:]))
            self.asked = True
            return False
        if method == SASL and b"SCRAM-SHA-256" in body[4:].split(b"\0"):
            self._scram(value)
            return False
        raise self._stopped("other_authentication")

    def _scram(self, value: Secret) -> None:
        nonce = secrets.token_urlsafe(18)
        opening = scram.first(nonce).encode()
        self._send(b"p", _text("SCRAM-SHA-256") + struct.pack("!i", len(opening)) + opening)
        try:
            reply = scram.last(value, nonce, self._sasl(SASL_CONTINUE))
        except scram.NotScram:
            raise self._stopped("unrecognised_answer") from None
        self._send(b"p", reply.message.encode())
        self.asked = True
        if not scram.proven(reply, self._sasl(SASL_FINAL)):
            raise self._stopped("server_unproven")

    def _sasl(self, expected: int) -> str:
        kind, body = self._message()
        if kind == b"E":
            raise self._refused(body)
        if kind != b"R" or int.from_bytes(body[:4], "big") != expected:
            # An "ok" in the place of the proof is the trick of a server that does not know the verifier.
            raise self._stopped("server_unproven" if self.asked else "unrecognised_answer")
        return body[4:].decode("latin-1")

    # ---- messages --------------------------------------------------------------------------------------------------

    def _stopped(self, reason: str) -> Stopped:
        return Stopped(self.stage, reason, asked=self.asked)

    def _refused(self, body: bytes) -> Stopped:
        fields = {part[:1]: part[1:].decode("ascii", "replace") for part in body.split(b"\0") if part}
        code = fields.get(b"C", "")
        fatal = fields.get(b"V", fields.get(b"S", "FATAL")) != "ERROR"
        if len(code) != 5 or not code.isalnum():
            return self._stopped("unrecognised_answer")
        return Stopped(self.stage, "server_error", code=code, fatal=fatal, asked=self.asked)

    def _row(self, body: bytes) -> Row:
        try:
            return tuple(_columns(body))
        except (struct.error, UnicodeDecodeError):
            raise self._stopped("unrecognised_answer") from None

    def _send(self, kind: bytes, payload: bytes) -> None:
        with self._mapped():
            self.sock.settimeout(self._left())
            self.sock.sendall(kind + struct.pack("!i", len(payload) + 4) + payload)

    def _message(self) -> tuple[bytes, bytes]:
        kind, length = struct.unpack("!ci", self._exactly(5))
        if not 4 <= length <= MAX_MESSAGE:
            raise self._stopped("unrecognised_answer")
        return kind, self._exactly(length - 4)

    def _exactly(self, count: int) -> bytes:
        got = bytearray()
        while len(got) < count:
            with self._mapped():
                self.sock.settimeout(self._left())
                part = self.sock.recv(min(count - len(got), 65536))
            if not part:
                raise self._stopped("connection_lost")
            got += part
        return bytes(got)

    def _left(self) -> float:
        left = self.remaining()
        if left <= 0:
            raise TimeoutError
        return max(left, SHORTEST)

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            raise self._stopped("deadline") from None
        except OSError:
            raise self._stopped("connection_lost") from None


def is_name(user: str) -> bool:
    """Whether the server can hold exactly this name as a role."""
    try:
        return 0 < len(user.encode()) <= NAME_BYTES and "\0" not in user
    except UnicodeEncodeError:
        return False


# ---- making the connection -----------------------------------------------------------------------------------------


def connect(config: Config, user: str, value: Secret, remaining: Callable[[], float]) -> Session:
    """A new connection, logged in as `user` with `value`. Raises Stopped; nothing stays open then."""
    if not is_name(user):
        raise Stopped(Stage.CONNECT, "not_a_role_name")
    if not scram.storable(value):
        raise Stopped(Stage.CONNECT, "not_a_password")
    session = Session(_tcp(config, remaining), remaining)
    try:
        _secure(session, config)
        session.login(user, value, config.database)
    except BaseException:
        session.sock.close()
        raise
    return session


def _tcp(config: Config, remaining: Callable[[], float]) -> socket.socket:
    """The first address that answers. A name is resolved by the system, whose time-outs the deadline cannot cut."""
    try:
        found = socket.getaddrinfo(config.hostaddr or config.host, config.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Stopped(Stage.CONNECT, "unreachable") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if any(_refused_address(address) for address in addresses):
        raise Stopped(Stage.CONNECT, "address_refused")
    for place, address in enumerate(addresses):
        left = remaining() / (len(addresses) - place)
        if left <= 0:
            raise Stopped(Stage.CONNECT, "deadline")
        with contextlib.suppress(OSError):
            return socket.create_connection((address, config.port), timeout=max(left, SHORTEST))
    raise Stopped(Stage.CONNECT, "deadline" if remaining() <= 0 else "unreachable")


def _plain(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def _refused_address(text: str) -> bool:
    address = _plain(text)
    return address.is_link_local or str(address) in METADATA


def _secure(session: Session, config: Config) -> None:
    """TLS as configured, before the first byte that matters."""
    loopback = _plain(str(session.sock.getpeername()[0])).is_loopback
    mode = config.sslmode or ("disable" if loopback else "verify-full")
    if mode == "disable":
        if not loopback and not config.insecure:
            raise Stopped(Stage.CONNECT, "tls_required")
        return
    session._send(b"", struct.pack("!i", SSL_REQUEST))
    if session._exactly(1) != b"S":
        raise Stopped(Stage.CONNECT, "tls_not_offered")
    try:
        session.sock = _context(config, mode).wrap_socket(session.sock, server_hostname=config.host)
    except TimeoutError:
        raise Stopped(Stage.CONNECT, "deadline") from None
    except ssl.SSLError:
        raise Stopped(Stage.CONNECT, "tls") from None
    except (OSError, ValueError):
        raise Stopped(Stage.CONNECT, "connection_lost") from None


def _context(config: Config, mode: str) -> ssl.SSLContext:
    # Not ssl.create_default_context(): that one writes session keys to the file of SSLKEYLOGFILE.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = mode == "verify-full"
    try:
        if config.sslrootcert:
            context.load_verify_locations(cafile=Path(config.sslrootcert))
        else:
            context.load_default_certs()
    except (OSError, ValueError):
        raise Stopped(Stage.CONNECT, "root_certificate") from None
    return context


# ---- encoding ------------------------------------------------------------------------------------------------------


def _text(text: str | bytes) -> bytes:
    return (text if isinstance(text, bytes) else text.encode()) + b"\0"


def _columns(body: bytes) -> Iterator[str | None]:
    place = 2
    for _ in range(int.from_bytes(body[:2], "big")):
        (length,) = struct.unpack_from("!i", body, place)
        place += 4
        yield None if length < 0 else body[place : place + length].decode()
        place += max(length, 0)


def _md5(user: str, value: Secret, salt: bytes) -> bytes:
    """The answer to the old challenge, met where a role still has an MD5 verifier (it is adopted, then replaced)."""
    inner = hashlib.md5(value.reveal().encode() + user.encode(), usedforsecurity=False).hexdigest()
    return _text("md5" + hashlib.md5(inner.encode() + salt, usedforsecurity=False).hexdigest())
