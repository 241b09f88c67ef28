"""Podman and buildah for the container test: the tools, their settings in a folder of our own, the images.

Called by `python -m tests.container`. No image is pulled unless ROTATOR_BASE names one: debootstrap makes the base
from this machine's Debian mirror, OpenBao and PostgreSQL come from the laboratory's wheels. Imports no room of ours.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.lab.install import ROOT, environment

PACKAGES = (
    "podman", "buildah", "runc", "debootstrap", "netavark", "aardvark-dns", "iptables", "ca-certificates",
)  # fmt: skip
SUITE = "bookworm"
BASE = f"localhost/base:{SUITE}"
IMAGES = {
    "rotator": ("Dockerfile", ".dockerignore"),
    "rotator-openbao": ("tests/container/openbao.Containerfile", "tests/container/ignore"),
    "rotator-postgres": ("tests/container/postgres.Containerfile", "tests/container/ignore"),
}


class EngineError(RuntimeError):
    """A tool failed, or is not there. The text holds its last lines."""


def call(command: Sequence[str], *, env: Mapping[str, str], seconds: float, stdin: bytes | None = None) -> str:
    """Run a tool and return what it printed. EngineError with the last lines of its complaints if it fails."""
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=dict(env), input=stdin, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise EngineError(f"{' '.join(command[:3])}: no end after {seconds:.0f} s") from None
    if done.returncode != 0:
        said = [line for line in done.stderr.decode(errors="replace").splitlines() if "systemd" not in line]
        raise EngineError(f"{' '.join(command[:4])}: exit {done.returncode}\n" + "\n".join(said[-12:]))
    return done.stdout.decode(errors="replace")


class Engine:
    """Podman with storage and settings in `.lab/containers`: nothing of the machine's own engine is touched."""

    def __init__(self) -> None:
        self.folder = ROOT / ".lab" / "containers"
        self.folder.mkdir(parents=True, exist_ok=True)
        storage, settings = self.folder / "storage.conf", self.folder / "containers.conf"
        storage.write_text(
            f'[storage]\ndriver = "overlay"\nrunroot = "{self.folder}/run"\ngraphroot = "{self.folder}/graph"\n'
        )
        # runc and low limits: what works without a systemd and without CAP_SYS_RESOURCE.
        settings.write_text(
            '[engine]\ncgroup_manager = "cgroupfs"\nruntime = "runc"\nevents_logger = "file"\n'
            '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
        )
        self.env = {
            **{name: value for name, value in os.environ.items() if name in {"PATH", "SSL_CERT_FILE", "LC_ALL"}},
            "HOME": str(self.folder),
            "CONTAINERS_STORAGE_CONF": str(storage),
            "CONTAINERS_CONF": str(settings),
        }

    def install(self) -> None:
        """Install the tools from Debian if they are absent; EngineError where that cannot be."""
        absent = [name for name in PACKAGES if not _installed(name)]
        if not absent:
            return
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise EngineError(f"not installed: {', '.join(absent)}; as root on Debian this test installs them")
        env = {**self.env, "DEBIAN_FRONTEND": "noninteractive"}
        options = ["-y", "-qq", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"]
        call(["apt-get", "update", "-qq"], env=env, seconds=300)
        call(["apt-get", "install", *options, *absent], env=env, seconds=600)

    def podman(self, *words: str, seconds: float = 60, stdin: bytes | None = None) -> str:
        """One podman command."""
        return call(["podman", *words], env=self.env, seconds=seconds, stdin=stdin)

    def compose(self, files: Sequence[str], env: Mapping[str, str], *words: str, seconds: float = 180) -> str:
        """One compose command over these files."""
        program = str(environment("container") / "bin" / "podman-compose")
        named = [word for file in files for word in ("-f", file)]
        return call([program, *named, *words], env={**self.env, **env}, seconds=seconds)

    def logged(self, container: str, lines: int = 25) -> str:
        """The last lines that a container printed, on either stream."""
        done = subprocess.run(
            ["podman", "logs", "--tail", str(lines), container],
            env=self.env,
            capture_output=True,
            timeout=30,
            check=False,
        )
        text = (done.stdout + done.stderr).decode(errors="replace")
        return "\n".join(line for line in text.splitlines() if "systemd" not in line)

    def inspect(self, container: str) -> dict[str, Any]:
        """What the engine knows of a container."""
        found = json.loads(self.podman("inspect", container))
        assert isinstance(found[0], dict)
        return found[0]

    def base(self) -> str:
        """The base image: the one that ROTATOR_BASE names, else one made from this machine's Debian mirror."""
        given = os.environ.get("ROTATOR_BASE")
        if given:
            return given
        if BASE in self.podman("images", "--format", "{{.Repository}}:{{.Tag}}").split():
            return BASE
        root = self.folder / "rootfs"
        self._forget(root)
        include = "--include=python3,python3-venv,ca-certificates"
        call(
            ["debootstrap", "--variant=minbase", include, SUITE, str(root), _mirror()], env=self.env, seconds=900
        )  # fmt: skip
        archive = self.folder / "base.tar"
        call(["tar", "-C", str(root), "-cf", str(archive), "."], env=self.env, seconds=120)
        self.podman("import", str(archive), BASE, seconds=300)
        archive.unlink()
        self._forget(root)
        return BASE

    def _forget(self, root: Path) -> None:
        """Remove what debootstrap made, its mounts first: an interrupted one leaves `proc` there."""
        for line in Path("/proc/mounts").read_text().splitlines():
            where = line.split()[1]
            if Path(where).is_relative_to(root):
                call(["umount", "-l", where], env=self.env, seconds=30)
        shutil.rmtree(root, ignore_errors=True)

    def build(self, name: str, base: str) -> int:
        """Build one image on the base; its size in bytes."""
        file, ignore = IMAGES[name]
        bundle = os.environ.get("SSL_CERT_FILE")
        # The machine's own certificates, for the package index; mounted, so that they are in no layer.
        mounted = ["-v", f"{bundle}:{bundle}:ro"] if bundle else []
        call(
            [
                "buildah", "bud", "--isolation", "chroot", "--network", "host", "--format", "docker", "--layers",
                "--ignorefile", ignore, "-f", file, *mounted, "--build-arg", f"BASE={base}", "-t", image(name), ".",
            ],
            env=self.env, seconds=900,
        )  # fmt: skip
        return self.size(image(name))

    def size(self, name: str) -> int:
        """An image's size in bytes, all layers."""
        return int(json.loads(self.podman("image", "inspect", name))[0]["Size"])


def image(name: str) -> str:
    """The full name of an image of ours."""
    return f"localhost/{name}:test"


def _installed(package: str) -> bool:
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}", package], capture_output=True, text=True, check=False
    )
    return done.stdout.startswith("ii")


def _mirror() -> str:
    """The Debian mirror that this machine installs from."""
    for path in sorted([Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]):
        if not path.is_file():
            continue
        text = path.read_text()
        found = re.search(r"^URIs:\s*(\S+/debian/?)\s*$", text, re.MULTILINE) or re.search(
            r"^deb\s+(?:\[[^]]*\]\s*)?(\S+/debian/?)\s", text, re.MULTILINE
        )
        if found:
            return found.group(1)
    raise EngineError("no Debian mirror in this machine's apt sources: name a base image in ROTATOR_BASE")


def say(text: str) -> None:
    """A line of the report."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
