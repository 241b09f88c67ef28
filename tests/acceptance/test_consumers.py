"""The real daemon hands a rotated password to its consumers, and takes it away from them at the end.

One consumer is a program (plugin `exec`), the other a Secret in a FAKE Kubernetes API server. A real OpenBao holds the
values, a real devpi judges them; everything is done with the `rotator` command.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_devpi import WHY, Site, devpi
from tests.fakes.kubernetes_api import KubernetesFake
from tests.lab.devpi import Devpi
from tests.lab.openbao import OpenBaoDev
from tests.lab.process import wait_until

__all__ = ["devpi"]

USER = "system:serviceaccount:lab:rotator"
RIGHTS = [
    {"kind": "Role", "metadata": {"name": "rotator", "namespace": "shop"},
     "rules": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["uploads"], "verbs": ["patch"]}]},
    {"kind": "RoleBinding", "metadata": {"name": "rotator", "namespace": "shop"},
     "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "rotator"},
     "subjects": [{"kind": "ServiceAccount", "name": "rotator", "namespace": "lab"}]},
]  # fmt: skip


class Holders(Site):
    """A site whose password has two holders."""

    def __init__(self, folder: Path, bao: OpenBaoDev, devpi: Devpi, fake: KubernetesFake) -> None:
        self.fake = fake
        self.programs = folder / "programs"
        self.programs.mkdir(mode=0o700)
        super().__init__(folder, bao, devpi, {"derived_live": "0s"})

    def _write(self, traits: dict[str, str]) -> None:
        super()._write(traits)
        token = secrets.token_hex(16)
        self.fake.tokens[token] = USER
        self.bao.admin.put(f"admin-{self.tag}/cluster", {"token": token})
        path = self.folder / "rotator.yaml"
        document = json.loads(path.read_text())
        command = self.program("take", f"cat > {self.programs}/got; echo $ROTATOR_LABEL > {self.programs}/label")
        check = self.program("show", f"cat {self.programs}/label")
        empty = self.program("forget", f"cat > {self.programs}/got")
        document["endpoints"] |= {
            "pushers": {"plugin": "exec", "config": {
                "command": str(command), "check": str(check), "empty": str(empty), "timeout": 3}},
            "cluster": {
                "plugin": "http", "pack": "kubernetes-secret",
                "config": {"url": f"http://127.0.0.1:{self.fake.port}"},
                "admin": {"principal": USER, "value": {
                    "store": "main", "path": f"admin-{self.tag}/cluster", "field": "token"}},
            },
        }  # fmt: skip
        # At the end nothing succeeds the last value: the control is the filler, a grade 2.
        document["policies"]["standard"]["proof"]["grade"] = 2
        fields = {"USER": "principal", "PASS": "value"}
        document["credentials"]["uploads"]["consumers"] = [
            {"endpoint": "pushers", "kind": "program", "path": "uploads", "fields": fields},
            {"endpoint": "cluster", "kind": "secret", "path": "uploads", "params": {"namespace": "shop"},
             "fields": fields},
        ]  # fmt: skip
        path.write_text(json.dumps(document, indent=2))

    def program(self, name: str, body: str) -> Path:
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o700)
        return path

    def got(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.programs / "got").read_text())
        return found


@pytest.fixture
def site(tmp_path: Path, openbao: OpenBaoDev, devpi: Devpi) -> Iterator[Holders]:
    with KubernetesFake(documents=RIGHTS) as fake:
        fake.create("shop", "uploads", {"OTHER": "theirs"})
        made = Holders(tmp_path, openbao, devpi, fake)
        try:
            made.start()
            yield made
        finally:
            made.daemon.end()


def test_consumers_get_the_new_value_and_lose_it_at_the_end(site: Holders) -> None:
    site.rotator("adopt", "uploads", *WHY, "--wait")
    site.rotator("rotate", "uploads", *WHY, "--yes", "--wait")
    held = site.stored()["password"]
    assert held != site.first
    assert site.got() == {"USER": site.user, "PASS": held}
    assert site.fake.values("shop", "uploads") == {"OTHER": "theirs", "USER": site.user, "PASS": held}
    for value in (site.first, held):
        assert value.encode() not in site.written()
    verified = site.rotator("verify", "uploads")
    assert re.search("pushers/program/uploads +alive", verified)
    assert re.search("cluster/secret/uploads +alive", verified)
    (site.programs / "label").write_text("rot-other-1\n")
    assert "rejected (holds_another)" in site.rotator("verify", "uploads", code=10)

    site.rotator("retire", "uploads", "--apply", "--confirm", "uploads", *WHY, "--wait")
    assert site.got() == {"USER": None, "PASS": None}
    assert site.fake.values("shop", "uploads") == {"OTHER": "theirs"}
    assert site.said_of(held) != ""


def test_program_that_fails_for_a_while_is_run_again_until_it_works(site: Holders) -> None:
    takes = f"cat > {site.programs}/got; echo ran >> {site.programs}/ran; test -e {site.programs}/fine || exit 1"
    site.program("take", takes)
    site.rotator("adopt", "uploads", *WHY, "--wait")
    site.rotator("rotate", "uploads", *WHY, "--yes", "--no-wait")
    wait_until(lambda: (site.programs / "ran").exists(), "the first try", 60)
    (site.programs / "fine").touch()
    wait_until(lambda: site.run()["ended"] is not None or site.run()["question"] is not None, "the end", 60)
    assert (site.run()["ending"], site.run()["question"]) == ("succeeded", None)
    assert site.got() == {"USER": site.user, "PASS": site.stored()["password"]}
    assert len((site.programs / "ran").read_text().splitlines()) >= 3  # the old value twice, the new one once


def test_what_would_stop_a_consumer_is_found_before_the_run(site: Holders) -> None:
    assert "✓ program: preflight" in site.rotator("plugins", "try", "pushers")
    (site.programs / "take").chmod(0o777)
    site.fake.documents = ()
    site.rotator("adopt", "uploads", *WHY, "--wait")
    tried = site.rotator("plugins", "try", "pushers", code=10)
    assert "! program: preflight of uploads: MISSING: program writable" in tried
    assert "[may_not_patch]" in site.rotator("plugins", "try", "cluster", code=10)
    planned = site.rotator("plan", "uploads")
    assert "uploads at pushers: program writable: " in planned
    assert "uploads at cluster: may not patch: " in planned
