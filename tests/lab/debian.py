"""Real servers that come as Debian packages: which there are, whether they are installed, and their installation.

Called as `python -m tests.lab.debian [name ...]` (by `make test-real`), with nothing but the standard library at hand,
by `tests/real/conftest.py`, and by the server classes, which ask where a package put its files. It must never start a
system service, and never install anything that is not listed here.

To add a server: one `DebianServer` in SERVERS (its name, its packages, where its class is), a class
`tests.lab.process.Server` that runs the installed programs as processes of its own in a temporary folder and whose
constructor calls `need(name)`, and tests in `tests/real` that carry `pytestmark = pytest.mark.real(name)`. They get the
server, started once a run, from the fixture `real_server`: `real_server("zabbix", postgres)`.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import importlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.lab.install import ROOT, NotInstalled

REQUIRE = "ROTATOR_REQUIRE"
"""The environment variable that names the servers, with commas, without which a run of tests/real has failed."""

_UPDATE_S, _INSTALL_S, _ASK_S, _DPKG_LOCK_S = 300, 900, 30, 600
_POLICY = Path("/usr/sbin/policy-rc.d")
# With it no database is made, and nothing asked, by the packages of servers that want one.
_COMMON = ("dbconfig-no-thanks",)


@dataclass(frozen=True, slots=True)
class DebianServer:
    """`start`: "module:Class" of the server, imported when it is first asked for. `packages`: names, no versions."""

    name: str
    packages: tuple[str, ...]
    start: str


SERVERS = {
    server.name: server
    for server in (
        DebianServer(
            "zabbix",
            (
                "zabbix-frontend-php", "zabbix-server-pgsql", "php-cli", "php-pgsql", "php-mbstring", "php-gd",
                "php-xml", "php-bcmath", "php-curl",
            ),
            "tests.lab.zabbix:Zabbix",
        ),
        DebianServer(
            "request-tracker",
            ("request-tracker5", "rt5-db-sqlite", "rt5-standalone"),
            "tests.lab.request_tracker:RequestTracker",
        ),
    )
}  # fmt: skip
"""The servers there are, by name."""

TOOLS = {"promtool": DebianServer("promtool", ("prometheus",), "")}
"""Programs that tests of files need and that serve nothing: installed like a server, and nothing is started."""


class CannotInstall(RuntimeError):
    """The packages cannot be installed here. The text says why and what to do."""


def known(name: str) -> DebianServer:
    """Return the server of that name; ValueError that lists the names if there is none."""
    if name not in SERVERS and name not in TOOLS:
        raise ValueError(f"unknown server {name!r}: one of {', '.join([*SERVERS, *TOOLS])}, or all")
    return SERVERS.get(name) or TOOLS[name]


def required(text: str | None = None) -> tuple[str, ...]:
    """The names in `text` (or in ROTATOR_REQUIRE), with commas; "all" is every known one. ValueError: unknown."""
    words = [word.strip() for word in (os.environ.get(REQUIRE, "") if text is None else text).split(",")]
    names = [name for word in words if word for name in ((*SERVERS, *TOOLS) if word == "all" else (word,))]
    return tuple(dict.fromkeys(known(name).name for name in names))


def missing(name: str) -> tuple[str, ...]:
    """The packages of server `name` that are not completely installed; all of them where there is no dpkg."""
    packages = (*known(name).packages, *_COMMON)
    if shutil.which("dpkg-query") is None:
        return packages
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Abbrev}\n", *packages],
        capture_output=True, text=True, timeout=_ASK_S,
    )  # fmt: skip
    present = {words[0] for line in done.stdout.splitlines() if (words := line.split())[1:] == ["ii"]}
    return tuple(package for package in packages if package not in present)


def need(name: str) -> None:
    """NotInstalled, with what to run, unless server `name` is installed."""
    absent = missing(name)
    if absent:
        raise NotInstalled(
            f"{name} is not installed (no {', '.join(absent)}); run, as root on Debian: "
            f"make test-real {REQUIRE}={name}, or .venv/bin/python -m tests.lab.debian {name}"
        )


def start_class(name: str) -> type[Any]:
    """The class of server `name`, a `tests.lab.process.Server`."""
    module, _, attribute = known(name).start.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    assert isinstance(found, type)
    return found


@cache
def package_files(package: str) -> tuple[Path, ...]:
    """All files of an installed package, as dpkg lists them; NotInstalled if it is not installed."""
    done = subprocess.run(["dpkg", "-L", package], capture_output=True, text=True, timeout=_ASK_S)
    if done.returncode != 0:
        raise NotInstalled(f"the Debian package {package} is not installed")
    return tuple(Path(line) for line in done.stdout.splitlines() if line.startswith("/"))


def package_file(package: str, ending: str) -> Path:
    """The one file of an installed package whose path ends so; NotInstalled if there is none, or more than one."""
    found = [path for path in package_files(package) if str(path).endswith(ending)]
    if len(found) != 1:
        raise NotInstalled(f"the Debian package {package} has {len(found)} files that end in {ending}, not one")
    return found[0]


def install(name: str) -> bool:
    """Install the packages of server `name`; False if they were there. CannotInstall says why not.

    No service is started. Other installations, ours and the system's, are waited for.
    """
    if not missing(name):
        return False
    if shutil.which("apt-get") is None or not Path("/etc/debian_version").exists():
        raise CannotInstall(f"{name} comes as Debian packages, and this is not Debian: there is no apt-get")
    if os.geteuid() != 0:
        raise CannotInstall(f"{name}: only root may install Debian packages ({', '.join(missing(name))})")
    with _alone(), _no_services():
        if not missing(name):
            return False
        if _run(["dpkg", "--audit"], _ASK_S):  # an earlier installation was cut off
            _run(["dpkg", "--configure", "-a"], _INSTALL_S)
        _run(["apt-get", "-q", "update"], _UPDATE_S)
        _run(
            [
                "apt-get", "-q", "-y", "-o", f"DPkg::Lock::Timeout={_DPKG_LOCK_S}", "install",
                "--no-install-recommends", *_COMMON, *known(name).packages,
            ],
            _INSTALL_S,
        )  # fmt: skip
        absent = missing(name)
    if absent:
        raise CannotInstall(f"{name}: apt-get ended well, but {', '.join(absent)} are not installed")
    package_files.cache_clear()
    return True


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    folder = ROOT / ".lab"
    folder.mkdir(exist_ok=True)
    with (folder / "debian.lock").open("w") as lock:
        until = time.monotonic() + _UPDATE_S + 2 * _INSTALL_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise CannotInstall("another installation of Debian packages does not end") from None
                time.sleep(0.5)
        yield


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    """Debian asks this file before it starts a service. One that is there already is the host's own word, and stays."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)


def _run(command: Sequence[str], timeout_s: float) -> str:
    """Run a program of the package system to its end and return what it said."""
    # BUNDLER_VERSION: Debian's newer Bundler refuses packages in Ruby, and then every later installation.
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "BUNDLER_VERSION": "2.3.15", "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            list(command), env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        raise CannotInstall(f"{' '.join(command[:3])}: not within {timeout_s:g} s") from None
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise CannotInstall(f"{' '.join(command)}: exit code {done.returncode}\n{tail}")
    return done.stdout


def main(arguments: list[str] | None = None) -> int:
    """Install the named servers. Return the exit code: 0 all are there, 1 one cannot be installed."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.debian", description="install servers from Debian")
    parser.add_argument("names", nargs="?", default="all", help=f"with commas: {','.join(SERVERS)} (default: all)")
    try:
        names = required(parser.parse_args(arguments).names)
    except ValueError as error:
        parser.error(str(error))
    for name in names:
        try:
            done = install(name)
        except CannotInstall as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        print(f"{name}: {'installed' if done else 'installed already'}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
