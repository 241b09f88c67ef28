"""Keys that are accepted do something: what is written reaches the part that it is for; what would not is refused."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from rotator.daemon.clock import SystemClock
from rotator.daemon.live import Live
from rotator.effects.fingerprint import Fingerprints
from rotator.effects.perform import Performer
from rotator.effects.platforms import Call
from rotator.effects.stores.local import LocalConfig, LocalStore, create_key, create_local
from rotator.effects.values import slot_of
from rotator.engine.inventory import CredentialId
from rotator.engine.ports import RunId, Work
from rotator.machine.facts import Facts, RunKind
from rotator.machine.ids import Gen
from rotator.machine.steps import Intent, OutcomeKind, Step, StepKind
from rotator.plugin_api import Misconfigured, Secret
from rotator.settings.definitions import definitions
from rotator.settings.loader import load_text
from rotator.settings.problems import ConfigurationRefused
from tests.lab.process import free_port
from tests.lab.tls import Authority, ServerTls
from tests.unit.hostile_server import Say, answer, hostile, whole

ENDPOINT = "{plugin: http, pack: alerta, config: {url: 'URL'}, admin: {principal: a, value: {file: ADMIN}}KEYS}"
TEXT = f"""\
apiVersion: rotator/v1
installation: force
daemon:
  ledger: FOLDER/ledger.db
  fingerprint_key: {{file: FOLDER/fingerprint.key}}
  socket: FOLDER/api.sock
  listen: 127.0.0.1:PORT
DAEMON
stores: {{main: {{type: local, path: FOLDER/store, key: {{file: FOLDER/store.key}}}}}}
endpoints:
  alerta: {ENDPOINT}
policies: {{monthly: {{every: 30d, overlap: 1h}}}}
credentials:
  sync:
    {{owner: a, purpose: b, workflows: [], expires: 2027-06-30, tier: T2, policy: monthly,
    authority: {{endpoint: alerta, kind: key, principal: s}}, store: {{in: main, path: app/s, value: key}}}}
"""


def written(folder: Path, *, daemon: str = "", keys: str = "", url: str = "https://127.0.0.1:1") -> Path:
    """A configuration with an empty store and every key file beside it."""
    store = LocalConfig(folder / "store", folder / "store.key", "force")
    create_key(store.key, store.root)
    create_local(store, SystemClock())
    create_key(folder / "fingerprint.key", store.root)
    admin = folder / "admin"
    admin.write_text("canary-admin")
    admin.chmod(0o600)
    text = TEXT.replace("ADMIN", str(admin)).replace("URL", url).replace("KEYS", keys)
    text = text.replace("DAEMON", daemon).replace("FOLDER", str(folder)).replace("PORT", str(free_port()))
    path = folder / "rotator.yaml"
    path.write_text(text)
    return path


@contextmanager
def live(path: Path) -> Iterator[Live]:
    with ExitStack() as closing:
        yield Live(path, SystemClock(), closing, "0")


@pytest.mark.parametrize(
    "key",
    ["readonly: {principal: r, value: {file: /r}}", "origins: ['https://b.example']", "limit: {concurrency: 2}"],
)
def test_a_key_without_an_effect_is_refused_as_unknown(key: str) -> None:
    text = TEXT.replace("DAEMON", "").replace("ADMIN", "/a").replace("FOLDER", "/f").replace("PORT", "9464")
    text = text.replace("URL", "https://a.example")
    load_text(text.replace("KEYS", ""))
    with pytest.raises(ConfigurationRefused) as refused:
        load_text(text.replace("KEYS", f", {key}"))
    assert [(one.code, one.where) for one in refused.value.problems] == [
        ("CFG-UNKNOWN-KEY", f"endpoints.alerta.{key.partition(':')[0]}")
    ]


def test_backoff_is_in_the_plan(tmp_path: Path) -> None:
    with live(written(tmp_path, daemon="  backoff: 250ms\n  backoff_max: 90s")) as one:
        definition = definitions(one.settings)[CredentialId("sync")]
        clocks = one.planner.plan(definition, RunKind.ROTATE).clocks
    assert (clocks.backoff, clocks.backoff_max) == (250, 90_000)
    assert (clocks.deadline, clocks.landing) == (60_000, 60_000)


def test_backoff_that_would_shrink_is_refused() -> None:
    text = TEXT.replace("DAEMON", "  backoff: 2m\n  backoff_max: 1m").replace("KEYS", "").replace("PORT", "9464")
    text = text.replace("ADMIN", "/a").replace("FOLDER", "/f").replace("URL", "https://a.example")
    with pytest.raises(ConfigurationRefused) as refused:
        load_text(text)
    [problem] = refused.value.problems
    assert (problem.code, problem.where) == ("CFG-OUT-OF-RANGE", "daemon.backoff_max")
    assert "2m" in problem.message


@pytest.mark.parametrize(("history", "remains"), [("keep", "old"), ("destroy", None)])
def test_history_says_whether_versions_with_a_dead_value_stay(
    tmp_path: Path, history: str, remains: str | None
) -> None:
    path = written(tmp_path)
    path.write_text(path.read_text().replace("overlap: 1h", f"overlap: 1h, history: {history}"))
    clock = SystemClock()
    with live(path) as one:
        definition = definitions(one.settings)[CredentialId("sync")]
        store, slot = one.stores["main"], slot_of(definition)
        assert isinstance(store, LocalStore)
        first = store.deposit("app/s", "key", Secret("old"), {}, replace=False)
        store.stage_current(slot, 1)
        store.stage(slot, 2, Secret("new"))
        store.promote(slot, 2, {}, first)
        step = Step(StepKind.DESTROY, Gen(1))
        intent = Intent(step, clock.now(), clock.now() + 60_000, clock.now() + 60_000, fence=1)
        plan = one.planner.plan(definition, RunKind.ROTATE)
        performer = Performer(one, clock, Fingerprints(os.urandom(32)), "force")
        done = performer.perform(Work(RunId("run"), definition, plan, Facts(), step, intent))
        assert done.outcome.kind is OutcomeKind.DONE
        assert store.read(slot, 1) is None
        kept = store._room.shelf().read("app/s", int(first))
        value = None if kept is None or kept.content is None else kept.content.text("key")
        current = store.current(slot).value
    assert value == remains
    assert current is not None
    assert current.matches(Secret("new"))


def secured(tls: ServerTls, say: Say) -> Say:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.key)

    def wrapped(connection: socket.socket, _: bytes) -> None:
        with context.wrap_socket(connection.dup(), server_side=True) as inner:
            assert b"canary-admin" in whole(inner)
            say(inner, b"")

    return wrapped


def test_the_ca_of_an_endpoint_is_what_its_calls_trust(tmp_path: Path) -> None:
    tls = Authority(tmp_path).server()
    with hostile(secured(tls, answer(200, b'{"status": "ok", "keys": [], "more": false}')), reads=False) as server:
        path = written(tmp_path, keys=f", ca: {tls.ca}", url=f"https://127.0.0.1:{server.port}")
        call = Call(run="unit", seconds=5)
        with live(path) as one:
            assert one.platform("alerta", "key").listing(call, None) == ()
        path.write_text(path.read_text().replace(f", ca: {tls.ca}", ""))
        with live(path) as one, pytest.raises(Misconfigured, match="tls"):
            one.platform("alerta", "key").listing(call, None)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_that_cannot_be_read_is_refused_at_the_start_with_its_endpoint(
    tmp_path: Path, content: str | None
) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content)
    with pytest.raises(ConfigurationRefused) as refused, live(written(tmp_path, keys=f", ca: {bundle}")):
        pass
    [problem] = refused.value.problems
    assert problem.code == "CFG-PLUGIN-CONFIG"
    assert "`alerta`" in problem.message
    assert "`ca`" in problem.message


@pytest.mark.parametrize("key", ["ca: /c.pem", "insecure: true"])
def test_a_key_of_http_at_a_plugin_without_http_is_refused(tmp_path: Path, key: str) -> None:
    path = written(tmp_path)
    extra = f"  files: {{plugin: file, config: {{root: {tmp_path}}}, {key}}}\n"
    path.write_text(path.read_text().replace("policies:", extra + "policies:"))
    with pytest.raises(ConfigurationRefused) as refused, live(path):
        pass
    [problem] = refused.value.problems
    assert problem.code == "CFG-PLUGIN-CONFIG"
    assert f"`files`: `{key.partition(':')[0]}` is for HTTP" in problem.message


@contextmanager
def served(path: Path) -> Iterator[Path]:
    """A daemon on this configuration; its socket."""
    api = path.parent / "api.sock"
    command = [sys.executable, "-m", "rotator.cli", "serve", "--config", str(path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as daemon:
        try:
            end = time.monotonic() + 30
            while not api.exists():
                assert daemon.poll() is None, daemon.stderr and daemon.stderr.read()
                assert time.monotonic() < end
                time.sleep(0.05)
            yield api
        finally:
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()


def status_as(uid: int, api: Path) -> str:
    """The status line of a request by a process of this user."""
    program = (
        "import os, socket, sys; os.setgroups([]); os.setgid(65534); os.setuid(int(sys.argv[2])); "
        "s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect(sys.argv[1]); "
        "s.sendall(b'GET /v1/status HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'); print(s.recv(4096).decode().split('\\r')[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(api), str(uid)], capture_output=True, text=True, timeout=30, check=False
    )
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_allowed_uids_may_use_the_socket_of_a_real_daemon_and_no_others() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # pytest's own folders are closed to other users
        folder = Path(name)
        folder.chmod(0o755)
        path = written(folder, daemon="  allow_uids: [65533]")
        with served(path) as api:
            assert stat.S_IMODE(api.stat().st_mode) == 0o666
            assert " 200 " in status_as(65533, api)
            assert " 403 " in status_as(65532, api)


def test_without_allowed_uids_the_socket_is_the_daemons_alone(tmp_path: Path) -> None:
    with served(written(tmp_path)) as api:
        assert stat.S_IMODE(api.stat().st_mode) == 0o600
