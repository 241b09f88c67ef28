"""Servers from Debian packages: a required one that is absent fails, another is skipped, nobody runs them unasked.

The runs of pytest in here are real ones, on a machine without dpkg as far as they can see (an empty PATH).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import debian
from tests.lab.install import ROOT, NotInstalled

ONE = "tests/real/test_zabbix.py::test_the_declaration_has_nothing_to_object_to"


def run(*arguments: str, require: str = "", path: str = os.devnull, **options: object) -> tuple[int, str]:
    """A run of pytest with this PATH; (exit code, output)."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
        env={"PATH": path, "HOME": os.environ.get("HOME", "/"), "PYTHONDONTWRITEBYTECODE": "1",
             "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}", debian.REQUIRE: require},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_a_server_that_is_not_required_and_not_there_is_skipped_with_the_reason() -> None:
    code, said = run(ONE)
    assert (code, "zabbix is not installed (no zabbix-frontend-php" in said) == (0, True)
    assert f"{debian.REQUIRE} does not name it" in said


def test_a_server_that_is_required_and_not_there_fails() -> None:
    code, said = run(ONE, require="zabbix")
    assert code == 1
    assert f"{debian.REQUIRE} names zabbix, but it is not installed" in said
    assert "skipped" not in said


def test_a_server_that_is_required_and_has_no_tests_stops_the_run() -> None:
    code, said = run(ONE, require="zabbix,request-tracker")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert f"{debian.REQUIRE} names request-tracker, but no test of it was collected" in said


def test_a_name_that_is_none_stops_the_run() -> None:
    code, said = run(ONE, require="zabix")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "unknown server 'zabix': one of zabbix, request-tracker, promtool, or all" in said


def test_nobody_runs_them_unasked() -> None:
    folders = {one.name for one in (ROOT / "tests").iterdir() if one.is_dir()} - {"conformance", "real"}
    code, said = run("tests", "--collect-only", *(f"--ignore=tests/{name}" for name in folders))
    assert code == 0
    assert "tests/conformance/test_alerta.py" in said
    assert "tests/real" not in said


def test_every_server_is_known_by_its_name_and_all_means_every_one() -> None:
    assert debian.required("all") == (*debian.SERVERS, *debian.TOOLS)
    assert debian.required(" zabbix , zabbix") == ("zabbix",)
    assert debian.required("") == ()
    assert all(name == server.name for name, server in debian.SERVERS.items())


def test_what_is_needed_and_absent_says_what_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(NotInstalled, match=r"make test-real ROTATOR_REQUIRE=zabbix"):
        debian.need("zabbix")


def test_without_apt_the_installation_says_that_this_is_not_debian(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(debian.CannotInstall, match="this is not Debian"):
        debian.install("zabbix")


def test_who_is_not_root_is_told_so_before_anything_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text("#!/bin/sh\ntouch called\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(debian.os, "geteuid", lambda: 1000)
    if not Path("/etc/debian_version").exists():
        pytest.skip("only Debian knows its packages")
    with pytest.raises(debian.CannotInstall, match=r"only root may install Debian packages \(zabbix-frontend-php, "):
        debian.install("zabbix")
    assert not (tmp_path / "called").exists()


def test_a_package_is_there_only_if_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation that was cut leaves packages unpacked and not configured."""
    query = tmp_path / "dpkg-query"
    query.write_text(
        '#!/bin/sh\nfor one in request-tracker5 rt5-db-sqlite; do echo "$one ii "; done; echo "rt5-standalone iU "\n'
    )
    query.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.defpath}")
    assert debian.missing("request-tracker") == ("rt5-standalone", "dbconfig-no-thanks")


def test_services_are_kept_from_starting_unless_the_host_decides_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(debian, "_POLICY", policy)
    with debian._no_services():
        assert subprocess.run([str(policy)]).returncode == 101
    assert not policy.exists()
    policy.write_text("the host's own")
    with debian._no_services():
        assert policy.read_text() == "the host's own"
    assert policy.exists()


def test_a_program_that_fails_or_hangs_is_told_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(debian.CannotInstall, match="exit code 3\nno such package"):
        debian._run(["sh", "-c", "echo no such package >&2; exit 3"], 5)
    with pytest.raises(debian.CannotInstall, match=r"not within 0\.2 s"):
        debian._run(["sleep", "5"], 0.2)


def test_two_installations_wait_for_each_other_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian, "ROOT", tmp_path)
    monkeypatch.setattr(debian, "_UPDATE_S", 0)
    monkeypatch.setattr(debian, "_INSTALL_S", 0)
    with debian._alone(), pytest.raises(debian.CannotInstall, match="another installation"), debian._alone():
        pass
    with debian._alone():
        pass
