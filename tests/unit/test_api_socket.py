"""The local socket: who gets it, who does not, what a dead daemon leaves behind."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.daemon.api import ApiServer, Peer, SocketRefused
from rotator.daemon.clock import SystemClock
from tests.unit.http_on_socket import call
from tests.unit.requests_double import RecordingRequests


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "run"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def servers() -> Iterator[list[ApiServer]]:
    started: list[ApiServer] = []
    yield started
    for one in started:
        one.stop(1)


def server(path: Path, servers: list[ApiServer], **options: object) -> ApiServer:
    made = ApiServer(path, RecordingRequests(), SystemClock(), **options)  # type: ignore[arg-type]
    made.start()
    servers.append(made)
    return made


def test_the_socket_is_0600_and_gone_after_stop(folder: Path) -> None:
    api = ApiServer(folder / "api.sock", RecordingRequests(), SystemClock())
    api.start()
    assert stat.S_IMODE((folder / "api.sock").lstat().st_mode) == 0o600
    assert api.stop()
    assert not (folder / "api.sock").exists()


def test_the_socket_of_a_dead_daemon_is_replaced(folder: Path, servers: list[ApiServer]) -> None:
    path = folder / "api.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    server(path, servers)
    assert call(path, "GET", "/v1/status")[0] == 200


def test_a_killed_daemon_leaves_nothing_that_keeps_the_next_from_starting(
    folder: Path, servers: list[ApiServer]
) -> None:
    path = folder / "api.sock"
    program = (
        "import sys, time; from pathlib import Path; from rotator.daemon.api import ApiServer; "
        "from rotator.daemon.clock import SystemClock; from tests.unit.requests_double import RecordingRequests; "
        f"ApiServer(Path({str(path)!r}), RecordingRequests(), SystemClock()).start(); print('up', flush=True); "
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        while "up" not in (line := killed.stdout.readline()):
            assert line, "it did not start"
        with pytest.raises(SocketRefused) as refused:
            server(path, servers)
        assert refused.value.code == "ROT-SOCKET-IN-USE"
        killed.kill()
    assert path.exists()
    server(path, servers)
    assert call(path, "GET", "/v1/status")[0] == 200


def test_a_live_daemon_keeps_its_socket(folder: Path, servers: list[ApiServer]) -> None:
    path = folder / "api.sock"
    server(path, servers)
    with pytest.raises(SocketRefused) as refused:
        server(path, servers)
    assert refused.value.code == "ROT-SOCKET-IN-USE"
    assert str(path) in str(refused.value)
    assert call(path, "GET", "/v1/status")[0] == 200


def test_a_socket_that_another_program_listens_on_stays(folder: Path, servers: list[ApiServer]) -> None:
    path = folder / "api.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen(1)
        with pytest.raises(SocketRefused) as refused:
            server(path, servers)
    assert refused.value.code == "ROT-SOCKET-IN-USE"
    assert path.exists()


def test_a_file_in_the_place_of_the_socket_is_not_removed(folder: Path, servers: list[ApiServer]) -> None:
    path = folder / "api.sock"
    path.write_text("mine")
    with pytest.raises(SocketRefused):
        server(path, servers)
    assert path.read_text() == "mine"


def test_a_folder_that_everybody_may_write_to_is_refused(folder: Path, servers: list[ApiServer]) -> None:
    folder.chmod(0o777)
    with pytest.raises(SocketRefused) as refused:
        server(folder / "api.sock", servers)
    assert refused.value.code == "ROT-SOCKET-FOLDER"
    folder.chmod(0o1777)
    server(folder / "api.sock", servers)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(folder: Path, servers: list[ApiServer]) -> None:
    os.chown(folder, 65534, 65534)
    with pytest.raises(SocketRefused) as refused:
        server(folder / "api.sock", servers)
    assert refused.value.code == "ROT-SOCKET-FOLDER"


def test_a_path_too_long_for_a_socket_says_so(folder: Path, servers: list[ApiServer]) -> None:
    with pytest.raises(SocketRefused) as refused:
        server(folder / ("s" * 120), servers)
    assert "107 bytes" in str(refused.value)


def test_stop_leaves_the_socket_of_a_successor(folder: Path) -> None:
    path = folder / "api.sock"
    api = ApiServer(path, RecordingRequests(), SystemClock())
    api.start()
    path.unlink()
    path.write_text("the successor's")
    api.stop(1)
    assert path.exists()


def test_another_uid_is_refused_by_the_peer_of_the_connection(folder: Path, servers: list[ApiServer]) -> None:
    path = folder / "api.sock"
    stranger = max(os.geteuid(), 1) + 1
    api = server(path, servers, peer=lambda _connection: Peer(pid=1, uid=stranger))
    status, body = call(path, "POST", "/v1/rotate", {"selection": {"all": True}, "reason": "x"})
    assert status == 403
    assert body["error"]["code"] == "ROT-NOT-ALLOWED"
    assert body["error"]["exit"] == 4
    assert api._requests.calls == []  # type: ignore[attr-defined]


def test_a_configured_uid_may_speak_and_is_the_actor(folder: Path, servers: list[ApiServer]) -> None:
    path = folder / "api.sock"
    friend = 4_000_123
    api = server(path, servers, others=[friend], peer=lambda _connection: Peer(pid=1, uid=friend))
    assert call(path, "POST", "/v1/reload", {})[0] == 200
    assert api._requests.calls[-1][1].actor == f"uid:{friend}"  # type: ignore[attr-defined]


def test_the_actor_is_the_peer_that_the_kernel_names(folder: Path, servers: list[ApiServer]) -> None:
    path = folder / "api.sock"
    api = server(path, servers)
    call(path, "POST", "/v1/reload", {})
    actor = api._requests.calls[-1][1].actor  # type: ignore[attr-defined]
    assert actor.startswith(f"uid:{os.geteuid()}")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_process_of_another_user_is_refused_for_real(servers: list[ApiServer]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        path = Path(name) / "api.sock"
        # With a further uid configured the kernel lets everybody connect: the peer's uid alone decides then.
        server(path, servers, others=[4_000_123])
        program = (
            "import os, socket, sys; os.setgroups([]); os.setgid(65534); os.setuid(65534); "
            "s = socket.socket(socket.AF_UNIX); s.settimeout(5); s.connect(sys.argv[1]); "
            "s.sendall(b'GET /v1/status HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'); print(s.recv(4096).decode())"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=20, check=True
        )
    assert " 403 " in done.stdout.splitlines()[0]
