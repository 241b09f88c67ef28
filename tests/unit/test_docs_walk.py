"""The README's walk, run as it stands there against a real PostgreSQL, and what the daemon says to a wrong start."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.database import variables
from tests.lab.postgres import Postgres
from tests.lab.process import free_port

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def blocks() -> list[str]:
    """The commands of the walk: what a reader types, in order."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    walk = text[text.index("## Your own first credential") : text.index("## What is promised")]
    return re.findall(r"^```sh\n(.*?)^```$", walk, re.M | re.S)


ORPHAN = """
cp rotator.yaml kept.yaml
sed -i '/^  db:/,/^    admin:/d; /^credentials:/,$d' rotator.yaml
if rotator config reload; then exit 99; fi
cp kept.yaml rotator.yaml
rotator config reload
"""
"""Inserted after the rotation: an endpoint at which a value lives is taken out of the configuration."""


def environment(folder: Path, **more: str) -> dict[str, str]:
    path = f"{BIN}:{more.pop('PATH', os.defpath)}"
    return {"PATH": path, "HOME": str(folder), "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT), **more}


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The folder of the walk and what the shell said."""
    home = tmp_path_factory.mktemp("w")
    with Postgres() as server:
        more = variables(server, home / "pgpass")
        steps = [f"{one}{ORPHAN}" if "rotator rotate" in one else one for one in blocks()]
        script = "\n".join(["set -e", *steps]).replace("127.0.0.1:9464", f"127.0.0.1:{free_port()}")
        script = f"trap 'kill $DAEMON 2>/dev/null || true' EXIT\n{script}"
        done = subprocess.run(
            ["bash", "-c", script], env=environment(home, **more), cwd=home, capture_output=True, text=True,
            timeout=150, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    return home / "first", done


@pytest.mark.slow
def test_the_walk_of_the_readme_works_as_it_stands_there(walked: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = walked
    log = folder / "daemon.log"
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{log.read_text() if log.exists() else ''}"
    for said in (
        "rotator.yaml: valid",
        "probe of the admin value: alive as rotator",
        "exposure: from",
        "prove g1 dead at reports@db, by trying it beside a control: refused by the platform (password_refused,",
        "no debts",
        "1 to retire, 0 shared",
    ):
        assert said in done.stdout
    assert done.stdout.count("succeeded") >= 3
    assert "\nreports\n" in done.stdout, "the new password, read from the file, logs in as the role"
    assert 'password authentication failed for user "reports"' in done.stderr, "the old one is refused"


@pytest.mark.slow
def test_an_endpoint_at_which_a_value_lives_cannot_be_taken_out(
    walked: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    _, done = walked
    assert "[CFG-ENDPOINT-IN-USE]" in done.stderr
    assert "`reports` may be alive there" in done.stderr


@pytest.mark.slow
def test_the_walk_leaves_no_password_behind(walked: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, _ = walked
    assert sorted(path.name for path in folder.iterdir() if path.suffix == ".secret") == []
    assert not (folder / "app" / "reports.env").exists(), "retiring empties the consumer"
    assert '"bug"' not in (folder / "daemon.log").read_text()


def broken(folder: Path, name: str, endpoint: str) -> subprocess.CompletedProcess[str]:
    """`rotator serve` over a configuration with one endpoint."""
    config = folder / name
    config.write_text(
        f"""apiVersion: rotator/v1
installation: t-{secrets.token_hex(3)}
daemon:
  ledger: {folder}/ledger.db
  fingerprint_key: {{file: {folder}/fingerprint.key}}
  socket: {folder}/api.sock
  listen: 127.0.0.1:{free_port()}
endpoints:
  one: {endpoint}
"""
    )
    return subprocess.run(
        [str(BIN / "rotator"), "serve", "--config", str(config)], env=environment(folder), cwd=folder,
        capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("endpoint", "code", "words"),
    [
        ("{plugin: http, pack: nope}", "CFG-PLUGIN", "nope"),
        ("{plugin: nothing-like-it}", "CFG-PLUGIN", "nothing-like-it"),
        ("{plugin: file, config: {rot: /x}}", "CFG-PLUGIN-CONFIG", "did you mean: root"),
    ],
)
def test_a_plugin_that_cannot_be_used_stops_the_start_with_its_code_and_words(
    tmp_path: Path, endpoint: str, code: str, words: str
) -> None:
    done = broken(tmp_path, "rotator.yaml", endpoint)
    assert done.returncode == 3
    assert f"[{code}]" in done.stderr
    assert words in done.stderr
    assert "a bug" not in done.stderr


def test_the_walk_s_database_is_found_by_psql_and_leaves_nothing(tmp_path: Path) -> None:
    env = tmp_path / "first.env"
    command = [sys.executable, "-m", "tests.docs.database", "--env", str(env)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert str(env) in server.stdout.readline()
            assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
            said = subprocess.run(
                ["bash", "-c", f". {env} && psql -Atc 'select 40 + 2'"], env=environment(tmp_path),
                capture_output=True, text=True, timeout=60,
            )  # fmt: skip
        finally:
            server.send_signal(signal.SIGINT)
            code = server.wait(60)
    assert said.stdout == "42\n"
    assert code == 0
    assert list(tmp_path.iterdir()) == []
