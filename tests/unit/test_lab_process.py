"""The laboratory's processes and its installation: what a server class relies on, whatever the server."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.lab import install
from tests.lab.openbao import OpenBaoDev
from tests.lab.process import Folder, LabError, Process, free_port


def test_process_that_fails_to_start_shows_its_log_without_secrets() -> None:
    folder = Folder("failing")
    try:
        process = Process("failing", ["/bin/sh", "-c", "echo no canary-x here; exit 3"], folder.path / "log")
        process.conceal = ("canary-x",)
        process.start()
        with pytest.raises(LabError, match=r"failing: the process ended[\s\S]*no \[concealed\] here"):
            process.wait_ready(lambda: False)
        hanging = Process("hanging", ["/bin/sleep", "60"], folder.path / "log")
        hanging.start()
        with pytest.raises(LabError, match="not within"):
            hanging.wait_ready(lambda: False, 0.1)
        assert not hanging.running
    finally:
        folder.remove()


def test_process_outlives_the_thread_that_started_it_but_not_its_parent(tmp_path: Path) -> None:
    process = Process("sleeper", ["/bin/sleep", "60"], tmp_path / "log")
    thread = threading.Thread(target=process.start)
    thread.start()
    thread.join()
    time.sleep(0.1)
    assert process.running
    process.end()
    code = (
        "import os, pathlib, sys\nfrom tests.lab.process import Process\n"
        "p = Process('s', ['/bin/sleep', '60'], pathlib.Path(sys.argv[1]))\np.start()\n"
        "print(p.pid, flush=True)\nos.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "log")],
        cwd=install.ROOT,
        capture_output=True,
        text=True,
        timeout=20,
    )
    child = int(done.stdout)
    limit = time.monotonic() + 5
    while (alive := Path(f"/proc/{child}").exists()) and time.monotonic() < limit:
        time.sleep(0.01)
    assert not alive


def test_free_ports_are_below_those_of_clients_and_never_the_same() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    first_of_clients = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert max(ports) < first_of_clients


def test_absent_environment_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "ROOT", tmp_path)
    (tmp_path / "requirements").mkdir()
    for name in install.NAMES:
        (tmp_path / "requirements" / f"{name}.txt").write_text("")
    with pytest.raises(install.NotInstalled, match="run: make lab"):
        OpenBaoDev()


def test_changed_requirements_make_an_environment_stale_and_hashes_are_demanded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "ROOT", tmp_path)
    pinned = tmp_path / "requirements" / "openbao.txt"
    pinned.parent.mkdir()
    pinned.write_text("# nothing\n")
    assert install.install("openbao")
    assert not install.install("openbao")
    assert install.site_packages("openbao").is_dir()
    pinned.write_text("# still nothing\n")
    assert not install.is_installed("openbao")
    # A package without a hash is refused, here one that needs no network to be found.
    (tmp_path / "unpinned").mkdir()
    (tmp_path / "unpinned" / "pyproject.toml").write_text('[project]\nname = "unpinned"\nversion = "1"\n')
    pinned.write_text(f"unpinned @ {(tmp_path / 'unpinned').as_uri()}\n")
    assert install.main(["openbao"]) == 1
    assert not install.is_installed("openbao")


def test_laboratory_imports_no_room_of_ours() -> None:
    code = (
        "import sys, tests.lab.alerta, tests.lab.openbao, tests.lab.proxy, tests.lab.install\n"
        "print([m for m in sys.modules if m.split('.')[0] == 'rotator' or m.startswith('rotator_')])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=install.ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n"
