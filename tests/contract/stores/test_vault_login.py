"""Logins by JWT, by service account and in another namespace: against a real OpenBao, under the shipped policy."""

from __future__ import annotations

import http.server
import itertools
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from rotator.effects.stores.opening import AppRole, Jwt, Kubernetes, TokenFile
from rotator.plugin_api import Failed, Misconfigured, Secret
from tests.contract.stores.drivers import VaultDriver, private
from tests.contract.stores.recording import RecordingProxy
from tests.fakes.token_review import TokenReviews
from tests.lab.openbao import OpenBaoDev
from tests.lab.openbao_logins import Issuer, Logins

_numbers = itertools.count(1)


@pytest.fixture
def mount() -> str:
    """A path for an auth method of this test alone."""
    return f"login-{next(_numbers)}"


class Stand:
    """A driver behind a recording proxy."""

    def __init__(self, server: OpenBaoDev, folder: Path, proxy: RecordingProxy) -> None:
        self.driver = VaultDriver(server, folder, url=proxy.url)
        self.logins = Logins(server.admin)
        self.proxy = proxy

    def calls(self, end: str) -> int:
        """How many requests went to a path that ends so."""
        return sum(seen.path.endswith(end) for seen in self.proxy.seen)


@pytest.fixture
def stand(store_server: OpenBaoDev, tmp_path: Path) -> Iterator[Stand]:
    with RecordingProxy(store_server.url) as proxy:
        yield Stand(store_server, tmp_path, proxy)


def test_jwt_login_reads_its_file_at_each_login(stand: Stand, mount: str) -> None:
    driver, issuer = stand.driver, Issuer()
    stand.logins.jwt(mount, issuer, "rotator", "svc-rotator", [driver.role])
    file = private(driver.folder / "jwt", issuer.jwt("svc-rotator"))
    store = driver.open(auth=Jwt("rotator", file, mount))
    store.stage(driver.slot(), 1, Secret("canary-value"))
    assert stand.calls(f"auth/{mount}/login") == 1
    private(file, issuer.jwt("somebody-else"))  # a lease that is renewed needs no login
    driver.clock.ahead += 2500
    store.current(driver.slot())
    assert (stand.calls("/renew-self"), stand.calls("/login")) == (1, 1)
    private(file, issuer.jwt("svc-rotator"))
    driver.clock.ahead += 4000
    store.current(driver.slot())
    assert stand.calls("/login") == 2
    store.close()
    assert stand.calls("/revoke-self") == 1


@pytest.mark.parametrize(
    ("subject", "more"),
    [
        ("svc-rotator", {"lives_s": -120}),
        ("svc-rotator", {"audience": "another"}),
        ("svc-other", {}),
    ],
    ids=["expired", "audience", "subject"],
)
def test_refused_jwt_is_a_misconfiguration_and_is_not_hammered(
    stand: Stand, mount: str, subject: str, more: dict[str, float]
) -> None:
    issuer = Issuer()
    stand.logins.jwt(mount, issuer, "rotator", "svc-rotator", [stand.driver.role])
    file = private(stand.driver.folder / "jwt", issuer.jwt(subject, **more))  # type: ignore[arg-type]
    store = stand.driver.open(auth=Jwt("rotator", file, mount))
    for _ in range(4):
        with pytest.raises(Misconfigured, match="store_login_refused"):
            store.current(stand.driver.slot())
    assert stand.calls("/login") == 2
    private(file, issuer.jwt("svc-rotator"))
    stand.driver.clock.ahead += 11
    store.current(stand.driver.slot())
    store.close()


class _Provider(http.server.BaseHTTPRequestHandler):
    """Publishes the keys of `issuer`, which may change."""

    issuer: ClassVar[Issuer]

    def do_GET(self) -> None:
        content = self.issuer.jwks()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, _format: str, *_args: object) -> None:
        """Say nothing."""


def test_jwt_by_the_keys_that_the_provider_publishes_also_after_it_changed_them(stand: Stand, mount: str) -> None:
    driver, _Provider.issuer = stand.driver, Issuer()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/keys"
        stand.logins.jwt(mount, _Provider.issuer, "rotator", "svc", [driver.role], jwks=url)
        file = private(driver.folder / "jwt", _Provider.issuer.jwt("svc"))
        store = driver.open(auth=Jwt("rotator", file, mount))
        store.current(driver.slot())
        _Provider.issuer = Issuer()
        private(file, _Provider.issuer.jwt("svc"))
        driver.clock.ahead += 4000
        store.current(driver.slot())
        assert stand.calls("/login") == 2
        store.close()
    finally:
        server.shutdown()
        server.server_close()


def test_jwt_of_another_key_is_refused(stand: Stand, mount: str) -> None:
    stand.logins.jwt(mount, Issuer(), "rotator", "svc-rotator", [stand.driver.role])
    file = private(stand.driver.folder / "jwt", Issuer().jwt("svc-rotator"))
    with pytest.raises(Misconfigured, match="store_login_refused"):
        stand.driver.open(auth=Jwt("rotator", file, mount)).current(stand.driver.slot())


# ---- Kubernetes ------------------------------------------------------------------------------------------------------


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[TokenReviews]:
    """A FAKE of the TokenReview call: no Kubernetes ran here."""
    folder = tmp_path / "kubernetes"
    folder.mkdir()
    with TokenReviews(folder) as fake:
        yield fake


def projected(folder: Path, content: str) -> Path:
    """A volume as the kubelet makes it: 0644, every name a link through `..data`; again: the link is moved."""
    folder.mkdir(exist_ok=True)
    dated = folder / f"..2026_11_24_{next(_numbers)}"
    dated.mkdir()
    (dated / "token").write_text(content)
    (dated / "token").chmod(0o644)
    (folder / "..data_tmp").symlink_to(dated.name)
    (folder / "..data_tmp").replace(folder / "..data")
    if not (folder / "token").is_symlink():
        (folder / "token").symlink_to("..data/token")
    return folder / "token"


def test_kubernetes_login_takes_the_token_that_the_kubelet_has_put_there_meanwhile(
    stand: Stand, cluster: TokenReviews, mount: str
) -> None:
    driver = stand.driver
    stand.logins.kubernetes(mount, cluster.url, cluster.ca, cluster.reviewer, "rotator", cluster.account, [driver.role])
    volume, first = driver.folder / "serviceaccount", cluster.token()
    store = driver.open(auth=Kubernetes("rotator", projected(volume, first), mount))
    store.stage(driver.slot(), 1, Secret("canary-value"))
    assert cluster.asked == [True]
    cluster.take_away(first)
    projected(volume, cluster.token())
    driver.clock.ahead += 4000  # past the lease: a login
    store.current(driver.slot())
    assert cluster.asked == [True, True]
    store.close()


def test_refused_service_account_is_a_passing_failure_and_is_not_hammered(
    stand: Stand, cluster: TokenReviews, mount: str
) -> None:
    """The server answers 403 to a dead token, to a foreign account and when the cluster cannot be asked alike."""
    driver, token = stand.driver, cluster.token()
    stand.logins.kubernetes(mount, cluster.url, cluster.ca, cluster.reviewer, "rotator", cluster.account, [driver.role])
    cluster.take_away(token)
    store = driver.open(auth=Kubernetes("rotator", projected(driver.folder / "sa", token), mount))
    for _ in range(3):
        with pytest.raises(Failed, match="store_login_unclear"):
            store.current(driver.slot())
    assert stand.calls("/login") == 2
    assert cluster.asked == [False, False]
    projected(driver.folder / "sa", cluster.token())
    driver.clock.ahead += 11
    store.current(driver.slot())
    store.close()


def test_service_account_of_another_role_is_refused(stand: Stand, cluster: TokenReviews, mount: str) -> None:
    driver = stand.driver
    stand.logins.kubernetes(
        mount, cluster.url, cluster.ca, cluster.reviewer, "rotator", ("itsm", "another"), [driver.role]
    )
    store = driver.open(auth=Kubernetes("rotator", projected(driver.folder / "sa", cluster.token()), mount))
    with pytest.raises(Failed, match="store_login_unclear"):
        store.current(driver.slot())


def test_cluster_that_cannot_be_asked_is_waited_for(stand: Stand, tmp_path: Path, mount: str) -> None:
    folder = tmp_path / "kubernetes"
    folder.mkdir()
    with TokenReviews(folder) as cluster:
        stand.logins.kubernetes(
            mount, cluster.url, cluster.ca, cluster.reviewer, "rotator", cluster.account, [stand.driver.role]
        )
        token = cluster.token()
    store = stand.driver.open(auth=Kubernetes("rotator", projected(folder, token), mount))
    with pytest.raises(Failed, match="store_login_unclear"):
        store.current(stand.driver.slot())


# ---- namespaces ------------------------------------------------------------------------------------------------------


def test_login_in_a_namespace_of_its_own(stand: Stand, mount: str) -> None:
    """The auth method is in `teams`, the engine in the outermost namespace."""
    driver, admin = stand.driver, stand.driver.admin
    space = f"teams-{mount}"
    admin.ask("POST", f"sys/namespaces/{space}", {})
    logins = Logins(admin, space)
    logins.ask(
        "POST",
        f"sys/policies/acl/{driver.role}",
        {"policy": 'path "auth/token/*" { capabilities = ["read", "update"] }'},
    )
    role_id = logins.approle("approle", "rotator", [driver.role])
    made = logins.ask("POST", "auth/approle/role/rotator/secret-id", {})["data"]["secret_id"]
    file = private(driver.folder / "sid-ns", made)
    store = driver.open(auth=AppRole(role_id, file, namespace=space), namespace="")
    with pytest.raises(Misconfigured, match="store_permission"):
        store.current(driver.slot())  # the login is good; a token of a namespace may do nothing outside of it
    heads = [(seen.path, seen.headers.get("X-Vault-Namespace", "")) for seen in stand.proxy.seen]
    assert ("/v1/auth/approle/login", space) in heads
    assert ("/v1/auth/token/lookup-self", space) in heads
    assert all(name == "" for path, name in heads if path.startswith("/v1/secret/"))
    store.close()
    assert stand.calls("/revoke-self") == 1


def test_store_in_a_namespace_with_the_login_outside_of_it(stand: Stand, mount: str) -> None:
    driver, admin = stand.driver, stand.driver.admin
    space = f"inner-{mount}"
    admin.ask("POST", f"sys/namespaces/{space}", {})
    inner = Logins(admin, space)
    inner.ask("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
    lines = "\n".join(
        line.replace('path "', f'path "{space}/') if line.startswith(('path "secret', 'path "sys')) else line
        for line in admin.ask("GET", f"sys/policies/acl/{driver.role}")["data"]["policy"].splitlines()
    )
    driver.set_policy(lines)
    store = driver.open(namespace=space, auth=AppRole(driver.approle.role_id, driver.secret_id, namespace=""))
    store.stage(driver.slot(), 1, Secret("canary-value"))
    assert store.read(driver.slot(), 1) is not None
    assert store.check(driver.slot()) == ()
    spaces = {(seen.path.split("/")[2], seen.headers.get("X-Vault-Namespace", "")) for seen in stand.proxy.seen}
    assert spaces == {("auth", ""), ("secret", space), ("sys", space)}
    store.close()


# ---- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o602])
def test_credential_file_that_is_open_to_others_is_refused_before_anything_is_sent(stand: Stand, mode: int) -> None:
    stand.driver.secret_id.chmod(mode)
    with pytest.raises(Misconfigured, match="store_auth_file_mode"):
        stand.driver.open().current(stand.driver.slot())
    assert stand.proxy.seen == []


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_private_credential_file_is_read(stand: Stand, mode: int) -> None:
    stand.driver.secret_id.chmod(mode)
    store = stand.driver.open()
    store.current(stand.driver.slot())
    store.close()


def test_link_that_only_looks_like_the_kubelets_is_no_excuse(stand: Stand, tmp_path: Path) -> None:
    """A `..data` beside the file excuses nothing that does not stand in it, nor what others may write."""
    volume = tmp_path / "volume"
    file = projected(volume, "canary-token")
    outside = tmp_path / "outside"
    outside.write_text("canary-token")
    outside.chmod(0o644)
    (volume / "stray").symlink_to(outside)
    file.resolve().chmod(0o666)
    for path in (volume / "stray", file):
        with pytest.raises(Misconfigured, match="store_auth_file_mode"):
            stand.driver.open(auth=Jwt("rotator", path)).current(stand.driver.slot())
    file.resolve().chmod(0o644)
    with pytest.raises(Misconfigured, match=r"store_login_refused|store_mount_missing"):
        stand.driver.open(auth=Jwt("rotator", file)).current(stand.driver.slot())


@pytest.mark.parametrize(
    "content",
    [b"", b"\n \n", b"canary canary", b"canary\r\nX-Injected: yes", "canary-ключ".encode(), b"\xff\xfe", b"a\0b"],
)
def test_file_with_anything_but_one_word_is_told_before_anything_is_sent(stand: Stand, content: bytes) -> None:
    file = private(stand.driver.folder / "odd", "")
    file.write_bytes(content)
    for auth in (Jwt("rotator", file), TokenFile(file), AppRole("r", file), AppRole("r", file, wrapped=True)):
        with pytest.raises(Misconfigured) as raised:
            stand.driver.open(auth=auth).current(stand.driver.slot())
        assert raised.value.reason == "store_auth_file"
        assert b"canary" not in repr(raised.value.__context__).encode()
    assert stand.proxy.seen == []


def test_folder_or_pipe_instead_of_a_file_is_told_at_once(stand: Stand, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    big = private(tmp_path / "big", "x" * 70_000)
    for path in (tmp_path, tmp_path / "pipe", big):
        with pytest.raises(Misconfigured, match=r"store_auth_file$|store_auth_file'"):
            stand.driver.open(auth=Jwt("rotator", path)).current(stand.driver.slot())
