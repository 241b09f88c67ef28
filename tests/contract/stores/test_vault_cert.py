"""Login by a client certificate, against a real OpenBao with TLS; and what a server's TLS says to a bad one."""

from __future__ import annotations

import contextlib
import http.server
import itertools
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from cryptography.hazmat.primitives import serialization

from rotator.effects.stores.opening import Certificate, VaultConfig, open_store
from rotator.plugin_api import Failed, Misconfigured, Secret
from tests.contract.stores.drivers import RealClock, VaultDriver, private
from tests.lab.openbao import OpenBaoRaft
from tests.lab.openbao_logins import Logins
from tests.lab.tls import Authority

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def tls_server() -> Iterator[OpenBaoRaft]:
    with OpenBaoRaft(tls=True, audit=True) as server:
        yield server


class Stand:
    """A driver with certificate login for "rotator.test" at a mount of its own."""

    def __init__(self, server: OpenBaoRaft, folder: Path) -> None:
        self.driver = VaultDriver(server, folder)
        self.server, self.folder = server, folder
        (folder / "clients").mkdir()
        self.authority = Authority(folder / "clients", "client authority")
        self.mount = f"cert-{next(_numbers)}"
        Logins(server.admin).cert(self.mount, self.authority.ca, "rotator", "rotator.test", [self.driver.role])
        self.files = self.authority.client("rotator.test")
        self.auth = Certificate(self.files.certificate, self.files.key, "rotator", self.mount)

    def login_paths(self) -> int:
        """How many logins the server has recorded at our mount."""
        assert self.server.audit_log is not None
        lines = self.server.audit_log.read_text().splitlines()
        return sum(f'"path":"auth/{self.mount}/login"' in line and '"type":"response"' in line for line in lines)


@pytest.fixture
def stand(tls_server: OpenBaoRaft, tmp_path: Path) -> Stand:
    return Stand(tls_server, tmp_path)


def test_certificate_logs_in_and_its_token_is_renewed_to_whoever_shows_it(stand: Stand) -> None:
    driver = stand.driver
    store = driver.open(auth=stand.auth)
    store.stage(driver.slot(), 1, Secret("canary-value"))
    driver.clock.ahead += 2500  # past two thirds of the hour: the server compares the certificate at a renewal
    assert store.read(driver.slot(), 1) is not None
    assert stand.login_paths() == 1
    store.close()


def test_any_role_is_tried_without_a_name(stand: Stand) -> None:
    store = stand.driver.open(auth=replace(stand.auth, name=""))
    store.current(stand.driver.slot())
    store.close()


def test_renewed_certificate_is_shown_at_the_next_login(stand: Stand) -> None:
    driver = stand.driver
    store = driver.open(auth=stand.auth)
    store.current(driver.slot())
    first = stand.files.certificate.read_bytes()
    stand.authority.client("rotator.test")  # the same files with another key
    assert stand.files.certificate.read_bytes() != first
    driver.clock.ahead += 4000
    store.current(driver.slot())
    assert stand.login_paths() == 2
    driver.clock.ahead += 2500  # bound to the new one now
    store.current(driver.slot())
    assert stand.login_paths() == 2
    store.close()


def test_certificate_of_another_name_is_refused_and_not_hammered(stand: Stand) -> None:
    other = stand.authority.client("other.test")
    store = stand.driver.open(auth=replace(stand.auth, certificate=other.certificate, key=other.key))
    for _ in range(3):
        with pytest.raises(Misconfigured, match="store_login_refused"):
            store.current(stand.driver.slot())
    assert stand.login_paths() == 2


def test_certificate_of_another_authority_is_refused(stand: Stand, tmp_path: Path) -> None:
    foreign = Authority(tmp_path, "another authority").client("rotator.test")
    store = stand.driver.open(auth=replace(stand.auth, certificate=foreign.certificate, key=foreign.key))
    with pytest.raises(Misconfigured, match="store_login_refused"):
        store.current(stand.driver.slot())


def test_expired_certificate_is_refused(stand: Stand) -> None:
    stand.authority.client("rotator.test", expired=True)
    with pytest.raises(Misconfigured, match=r"store_login_refused|store_client_certificate"):
        stand.driver.open(auth=stand.auth).current(stand.driver.slot())


def _encrypted(key: Path) -> None:
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    form = serialization.BestAvailableEncryption(b"canary-passphrase")
    encoding = serialization.Encoding.PEM
    private(key, loaded.private_bytes(encoding, serialization.PrivateFormat.PKCS8, form).decode())


@pytest.mark.parametrize("case", ["no certificate", "no pem", "another key", "passphrase", "no key", "open key"])
def test_files_that_do_not_serve_are_told_before_anything_is_sent(stand: Stand, case: str, tmp_path: Path) -> None:
    files, reason = stand.files, "store_client_certificate"
    match case:
        case "no certificate":
            files.certificate.unlink()
        case "no pem":
            files.certificate.write_text("canary")
        case "another key":
            other = stand.authority.client("other.test")
            private(files.key, other.key.read_text())
        case "passphrase":
            _encrypted(files.key)
        case "no key":
            files.key.unlink()
            reason = "store_auth_file"
        case "open key":
            files.key.chmod(0o644)
            reason = "store_auth_file_mode"
    with pytest.raises(Misconfigured) as raised:
        stand.driver.open(auth=stand.auth).current(stand.driver.slot())
    assert raised.value.reason == reason
    assert stand.login_paths() == 0


def test_certificate_needs_https(stand: Stand) -> None:
    with pytest.raises(Misconfigured, match="store_client_certificate"):
        stand.driver.open(auth=stand.auth, url="http://127.0.0.1:8200")


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_server_whose_tls_refuses_the_certificate(tmp_path: Path, newest: ssl.TLSVersion) -> None:
    """A listener that demands certificates of an authority of its own: the handshake ends with an alert."""
    (tmp_path / "theirs").mkdir()
    ours, theirs = Authority(tmp_path, "server authority"), Authority(tmp_path / "theirs", "another")
    files = ours.server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    context.load_verify_locations(ours.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = newest
    client = theirs.client("rotator.test")
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            # The handshake leaves the socket open: else what the client has sent meanwhile would eat the alert.
            secure = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
            with secure:
                with contextlib.suppress(ssl.SSLError):
                    secure.do_handshake()
                secure.settimeout(1)
                with contextlib.suppress(OSError):
                    while socket.socket.recv(secure, 65536):
                        pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    auth = Certificate(client.certificate, client.key)
    config = VaultConfig(url=f"https://127.0.0.1:{port}", installation="t1", auth=auth, ca=ours.ca)
    store = open_store(config, RealClock())
    try:
        with pytest.raises(Misconfigured, match="store_client_certificate"):
            store.fetch("admin/x", "y")
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


class _Demanding(http.server.BaseHTTPRequestHandler):
    """Answers a login, and is sealed for everything else; `seen`: each path with the name of whoever asked."""

    seen: ClassVar[list[tuple[str, str]]] = []

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        assert isinstance(self.connection, ssl.SSLSocket)
        names = dict(one[0] for one in (self.connection.getpeercert() or {}).get("subject", ()))  # type: ignore[misc]
        self.seen.append((self.path, names.get("commonName", "")))
        login = self.path.endswith("/login")
        body = (
            {"auth": {"client_token": "canary-token", "lease_duration": 60}}
            if login
            else {"errors": ["Vault is sealed"]}
        )
        content = json.dumps(body).encode()
        self.send_response(200 if login else 503)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = _answer  # noqa: N815

    def log_message(self, _format: str, *_args: object) -> None:
        """Say nothing."""


def test_certificate_is_shown_on_every_connection_not_at_the_login_alone(tmp_path: Path) -> None:
    """For listeners that demand one; and the server renews a token only to whoever shows its certificate."""
    authority = Authority(tmp_path, "one for all")
    files, client = authority.server(), authority.client("rotator.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    context.load_verify_locations(authority.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    _Demanding.seen.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Demanding)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    auth = Certificate(client.certificate, client.key)
    url = f"https://127.0.0.1:{server.server_port}"
    store = open_store(VaultConfig(url=url, installation="t1", auth=auth, ca=authority.ca), RealClock())
    try:
        with pytest.raises(Failed, match="store_sealed"):
            store.fetch("admin/x", "y")
        store.close()
    finally:
        server.shutdown()
        server.server_close()
    paths = {path for path, _ in _Demanding.seen}
    assert {"/v1/auth/cert/login", "/v1/auth/token/revoke-self"} < paths
    assert {name for _, name in _Demanding.seen} == {"rotator.test"}
