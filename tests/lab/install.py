"""Creates the laboratory's virtual environments from the hash-pinned requirements files.

Called as `python -m tests.lab.install [name ...]` (by `make lab`), with nothing but the standard library at hand, and
by the server classes, which ask where an environment is. It must never install anything that is not pinned by hash,
and never into the environment that runs it.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The repository's root folder."""

NAMES = ("openbao", "postgresql", "alerta", "devpi", "aws-emulator", "container")
"""The environments there are, each from `requirements/<name>.txt`."""

STAMP = "lab.stamp"
_INSTALL_TIMEOUT_S = 600


class NotInstalled(RuntimeError):
    """An environment is absent or older than its requirements file. The text says what to run."""


def environment(name: str) -> Path:
    """Return the folder of environment `name`, whether or not it is installed. `name` must be one of NAMES."""
    if name not in NAMES:
        raise ValueError(f"unknown laboratory environment {name!r}: one of {', '.join(NAMES)}")
    return ROOT / ".lab" / name


def requirements(name: str) -> Path:
    """Return the hash-pinned requirements file of environment `name`."""
    return ROOT / "requirements" / f"{environment(name).name}.txt"


def _digest(name: str) -> str:
    # The interpreter is part of the stamp: another Python needs other wheels.
    text = requirements(name).read_bytes() + f"\n{sys.version_info[:2]} {sysconfig.get_platform()}".encode()
    return hashlib.sha256(text).hexdigest()


def is_installed(name: str) -> bool:
    """Tell whether environment `name` is complete and made from the requirements file as it is now."""
    stamp = environment(name) / STAMP
    python = environment(name) / "bin" / "python"
    return stamp.is_file() and python.exists() and stamp.read_text().strip() == _digest(name)


def site_packages(name: str) -> Path:
    """Return the folder of installed packages of environment `name`; NotInstalled if it is not ready for use."""
    if not is_installed(name):
        raise NotInstalled(f"the laboratory's {name} is not installed or not up to date; run: make lab")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return environment(name) / "lib" / version / "site-packages"


def install(name: str) -> bool:
    """Install environment `name`; return False if it was already up to date.

    The stamp is written last: an interrupted installation is started afresh by the next one.
    """
    folder = environment(name)
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two installations at once would empty each other's folder
        if is_installed(name):
            return False
        _create(name, folder)
    return True


def _create(name: str, folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    _run([sys.executable, "-m", "venv", str(folder)])
    _run(
        [
            str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
            "--no-input", "--require-hashes", "-r", str(requirements(name)),
        ]
    )  # fmt: skip
    (folder / STAMP).write_text(_digest(name) + "\n")


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, timeout=_INSTALL_TIMEOUT_S)


def main(arguments: list[str] | None = None) -> int:
    """Install the named environments, or all. Return the exit code: 0 done, 1 an installation failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.install", description="install the test servers")
    parser.add_argument("names", nargs="*", metavar="name", help=f"any of: {', '.join(NAMES)} (default: all)")
    names: list[str] = parser.parse_args(arguments).names or list(NAMES)
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    for name in names:
        try:
            done = install(name)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            print(f"{name}: installation failed: {error}", file=sys.stderr)
            return 1
        print(f"{name}: {'installed' if done else 'up to date'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
