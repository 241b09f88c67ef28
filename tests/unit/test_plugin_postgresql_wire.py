"""SCRAM and the connection of the PostgreSQL plugin: the server's own verifier, TLS, and servers that lie."""

from __future__ import annotations

import base64
import contextlib
import random
import secrets
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql
from rotator_postgresql import Config, plugin, scram, sqlstate

from rotator.plugin_api import RESERVED, Alive, Inconclusive, Misconfigured, Rejected, Secret
from tests.lab.postgres import Postgres
from tests.lab.tls import Authority
from tests.unit.plugin_desk import Desk, acting
from tests.unit.plugin_postgresql_desk import fresh, install, probe, start


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with start() as running:
        yield running


def loopback(port: int, **more: Any) -> Config:
    return Config(host="localhost", hostaddr="127.0.0.1", port=port, database="postgres", **more)


# ---- SCRAM ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        "with spaces ",
        "\x01control\x7f",
        "soft\u00adhyphen",
        "nbsp\u00a0x",
        "\u2168 \ufb01",
        "e\u0301",
        "中文🔑",
        "\u0627\u0628",
        "\u06271",
        "a\u0627",
        "bell\u0007\u00e9",
        "\u0221",
        "\u200b",
        "\u00ad",
        "\ue000private",
        "\u0340tone",
        "\ufb1d",
        "\u2028",
        "\u212b",
    ],
)
def test_verifier_equals_the_one_that_the_server_computes_itself(value: str, server: Postgres) -> None:
    name = f"app_{secrets.token_hex(4)}"
    with server.connect() as connection:
        connection.execute(sql.SQL("create role {} login password {}").format(sql.Identifier(name), sql.Literal(value)))
        found = connection.execute("select rolpassword from pg_authid where rolname = %s", (name,)).fetchone()
    assert found is not None
    _, parameters, _ = found[0].split("$")
    iterations, salt = parameters.split(":")
    assert scram.verifier(Secret(value), base64.b64decode(salt), int(iterations)).reveal() == found[0]


def test_verifier_equals_that_of_libpq_for_signs_of_all_blocks(server: Postgres) -> None:
    dice = random.Random(7677)
    with server.connect() as connection:
        for _ in range(250):
            signs = [chr(dice.choice((dice.randrange(0x80, 0xD800), dice.randrange(0xE000, 0x30000)))) for _ in "ab"]
            value = "".join((*signs, dice.choice("x1 \u0627")))
            theirs = connection.pgconn.encrypt_password(value.encode(), b"x", b"scram-sha-256").decode()
            salt = base64.b64decode(theirs.split("$")[1].partition(":")[2])
            assert scram.verifier(Secret(value), salt).reveal() == theirs, ascii(value)


def test_known_answer_of_rfc_7677() -> None:
    nonce = "rOprNGfwEbeRWgbNEkqO"
    challenge = f"r={nonce}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    # The RFC's exchange names the user; PostgreSQL's leaves it empty, so only the salted part can be compared here.
    reply = scram.last(Secret("pencil"), nonce, challenge)
    assert reply.message.startswith(f"c=biws,r={nonce}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=")
    stored = scram.verifier(Secret("pencil"), base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")).reveal()
    assert stored == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


@pytest.mark.parametrize(
    "challenge",
    [
        "",
        "r=NONCE,s=W22Z,i=4096",  # nothing of the server's own
        "r=other,s=W22Z,i=4096",
        "r=NONCEx,s=W22,i=4096",
        "r=NONCEx,s=W22Z,i=0",
        "r=NONCEx,s=W22Z,i=99999999",  # minutes of work
        "r=NONCEx,s=W22Z,i=4096,m=1",
        "m=1,r=NONCEx,s=W22Z,i=4096",
    ],
)
def test_malformed_or_greedy_challenge_is_refused(challenge: str) -> None:
    with pytest.raises(scram.NotScram):
        scram.last(Secret("pencil"), "NONCE", challenge)


def test_every_salt_is_new(server: Postgres) -> None:
    name, value, stored = f"app_{secrets.token_hex(4)}", fresh(), set()
    server.create_role(name)
    desk = Desk(loopback(server.port), acting("postgres", server.password))
    for _ in range(3):
        install(desk, name, value)
        stored.add(server.query("select rolpassword from pg_authid where rolname = %s", name)[0][0])
    assert len(stored) == 3
    assert all(text.startswith("SCRAM-SHA-256$4096:") for text in stored)


# ---- servers that lie ----------------------------------------------------------------------------------------------


def message(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4, "big") + body


def auth(method: int, body: bytes = b"") -> bytes:
    return message(b"R", method.to_bytes(4, "big") + body)


READY = message(b"Z", b"I")
SASL = auth(10, b"SCRAM-SHA-256\0\0")


def challenge(sent: bytes) -> bytes:
    nonce = sent.rpartition(b"r=")[2]
    return auth(11, b"r=" + nonce + b"xyz,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")


@contextlib.contextmanager
def scripted(*answers: bytes | Callable[[bytes], bytes]) -> Iterator[int]:
    """A server that gives these answers, one for each thing it is sent, then waits for the client to go."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        client, _ = listener.accept()
        with client, contextlib.suppress(OSError):
            client.settimeout(10)
            for answer in answers:
                sent = client.recv(65536)
                client.sendall(answer if isinstance(answer, bytes) else answer(sent))
            client.recv(65536)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join(15)
        listener.close()


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ((auth(0) + READY,), "no_password_asked"),
        ((SASL, challenge, auth(0) + READY), "server_unproven"),  # "ok" instead of the proof
        ((SASL, challenge, auth(12, b"v=" + base64.b64encode(b"x" * 32)) + auth(0) + READY), "server_unproven"),
        ((SASL, challenge, auth(12, b"e=other-error") + auth(0) + READY), "server_unproven"),
        ((SASL, auth(0) + READY), "unrecognised_answer"),
        ((SASL, auth(11, b"r=foreign,s=W22Z,i=4096")), "unrecognised_answer"),
        ((auth(3),), "other_authentication"),
        ((auth(7),), "other_authentication"),
        ((auth(10, b"SCRAM-SHA-256-PLUS\0\0"),), "other_authentication"),
        ((READY,), "unrecognised_answer"),
        ((b"HTTP/1.1 200 OK\r\n\r\n",), "unrecognised_answer"),
        ((b"R\x7f\xff\xff\xff",), "unrecognised_answer"),
        ((b"R\0\0\0\0",), "unrecognised_answer"),
        ((message(b"E", b"SFATAL\0C28P01\0Mno\0\0"),), "unrecognised_answer"),  # before it had our answer
    ],
)
def test_server_that_lies_is_never_alive_nor_dead(answers: tuple[Any, ...], reason: str) -> None:
    with scripted(*answers) as port:
        desk = Desk(loopback(port), acting("a", "canary-b"), seconds=3)
        assert probe(desk, "app", fresh()) == Inconclusive(reason=reason)


def md5_then(*rest: bytes) -> tuple[bytes, ...]:
    return (auth(5, b"salt"), auth(0) + READY, *rest)


@pytest.mark.parametrize(
    "rows",
    [
        b"",
        message(b"D", b"\0\1\xff\xff\xff\xff"),
        message(b"D", b"\0\1\0\0\0\0"),
        message(b"D", b"\0\2\0\0\0\1a"),
        message(b"D", b"\0\1\0\0\0\1\xff"),
        message(b"D", b"\0\1\0\0\0\1a") * 2,
        message(b"G", b""),
    ],
)
def test_identity_that_cannot_be_read_is_never_alive(rows: bytes) -> None:
    with scripted(*md5_then(rows + READY)) as port:
        desk = Desk(loopback(port), acting("a", "canary-b"), seconds=3)
        assert probe(desk, "app", fresh()) == Inconclusive(reason="unrecognised_answer")


def test_another_identity_is_reported_as_it_is() -> None:
    with scripted(*md5_then(message(b"D", b"\0\1\0\0\0\5other") + READY)) as port:
        desk = Desk(loopback(port), acting("a", "canary-b"), seconds=3)
        assert probe(desk, "app", fresh()) == Alive(principal="other")


# ---- TLS -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def tls_front(target: int, certificate: Path, key: Path) -> Iterator[int]:
    """Ends TLS as PostgreSQL would (answers the SSL request with S), then passes everything on to `target`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    over = threading.Event()

    def serve(plain: socket.socket) -> None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", target)) as server, plain:
            plain.settimeout(5)
            assert plain.recv(8) == b"\0\0\0\x08\x04\xd2\x16\x2f"
            plain.sendall(b"S")
            with context.wrap_socket(plain, server_side=True) as client:
                for end in (client, server):
                    end.settimeout(0.01)
                while not over.is_set():
                    for source, sink in ((client, server), (server, client)):
                        with contextlib.suppress(TimeoutError, ssl.SSLWantReadError):
                            part = source.recv(65536)
                            if not part:
                                return
                            sink.sendall(part)

    def accept() -> None:
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                serve(listener.accept()[0])

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        over.set()
        thread.join(15)
        listener.close()


def test_tls_is_verified_against_authority_and_name(server: Postgres, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    authority, other = Authority(tmp_path / "one"), Authority(tmp_path / "two")
    good = authority.server("good", ("localhost",))
    misnamed = authority.server("misnamed", ("elsewhere.example",))
    name, value = f"app_{secrets.token_hex(4)}", fresh()
    server.create_role(name, value)

    def tried(port: int, **more: Any) -> Any:
        return probe(Desk(loopback(port, **more), acting("a", "canary-b"), seconds=5), name, value)

    full = {"sslmode": "verify-full", "sslrootcert": str(authority.ca)}
    with tls_front(server.port, good.certificate, good.key) as port:
        assert tried(port, **full) == Alive(principal=name)
        assert probe(Desk(loopback(port, **full), acting("a", "b")), name, fresh()) == Rejected(
            reason="password_refused"
        )
        assert tried(port, sslmode="verify-full", sslrootcert=str(other.ca)) == Inconclusive(reason="tls")
        assert tried(port, sslmode="verify-full") == Inconclusive(reason="tls")  # the system does not know it
        assert tried(port, sslmode="verify-full", sslrootcert="/no/such") == Inconclusive(reason="root_certificate")
    with tls_front(server.port, misnamed.certificate, misnamed.key) as port:
        assert tried(port, **full) == Inconclusive(reason="tls")
        assert tried(port, **{**full, "sslmode": "verify-ca"}) == Alive(principal=name)
    assert tried(server.port, **full) == Inconclusive(reason="tls_not_offered")


def test_session_keys_are_not_written_where_the_environment_says(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    files = authority.server("good", ("localhost",))
    name, value = f"app_{secrets.token_hex(4)}", fresh()
    server.create_role(name, value)
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    config = {"sslmode": "verify-full", "sslrootcert": str(authority.ca)}
    with tls_front(server.port, files.certificate, files.key) as port:
        assert probe(Desk(loopback(port, **config), acting("a", "b")), name, value) == Alive(principal=name)
    assert not (tmp_path / "keys").exists()


def test_plain_connection_beyond_loopback_needs_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    class Remote(socket.socket):
        def getpeername(self) -> Any:
            return ("192.0.2.7", 5432)

    def remote(address: Any, timeout: float) -> socket.socket:
        sock = Remote(socket.AF_INET, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        sock.connect(address)
        return sock

    monkeypatch.setattr(socket, "create_connection", remote)
    for more, reason in (
        ({"sslmode": "disable"}, "tls_required"),
        ({"sslmode": "disable", "insecure": True}, "no_password_asked"),  # got as far as the login
    ):
        listener = socket.create_server(("127.0.0.1", 0))

        def serve(listener: socket.socket = listener) -> None:
            client, _ = listener.accept()
            with client, contextlib.suppress(OSError):
                if client.recv(65536):
                    client.sendall(auth(0) + READY)

        thread = threading.Thread(target=serve)
        thread.start()
        desk = Desk(loopback(listener.getsockname()[1], **more), acting("a", "canary-b"), seconds=3)
        assert probe(desk, "app", fresh()) == Inconclusive(reason=reason)
        thread.join(5)
        listener.close()


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "fd00:ec2::254", "::ffff:169.254.169.254"])
def test_link_local_and_metadata_addresses_are_refused(address: str) -> None:
    config = Config(host="db.example", hostaddr=address, database="postgres")
    assert probe(Desk(config, acting("a", "b")), "app", fresh()) == Inconclusive(reason="address_refused")
    with pytest.raises(Misconfigured, match="address_refused"):
        install(Desk(config, acting("a", "b")), "app", fresh())


# ---- configuration, declaration ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        {"host": ""},
        {"host": "/var/run/postgresql"},
        {"host": "a,b"},
        {"port": 0},
        {"port": 70000},
        {"database": ""},
        {"hostaddr": "db.example"},
        {"sslmode": "require"},
        {"sslmode": "prefer"},
    ],
)
def test_nonsense_in_the_configuration_is_refused_when_read(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Config(**{"host": "h", "database": "d", **config})


def test_every_slug_of_the_tables_is_declared() -> None:
    meanings = [*sqlstate.LOGIN.values(), sqlstate.LOGIN_OTHER, *sqlstate.WRITE.values(), sqlstate.WRITE_OTHER]
    assert {meaning.slug for meaning in meanings} <= {*plugin.reasons, *RESERVED}
