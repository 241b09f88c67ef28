"""The walk of docs/pack-zabbix.md, run as it stands there, against a real Zabbix, with the least role that it names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab.postgres import Postgres
from tests.lab.process import free_port
from tests.lab.zabbix import NO_FRONTEND, Zabbix

pytestmark = [pytest.mark.real("zabbix"), pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[2]
METHODS = ["token.create", "token.delete", "token.generate", "token.get", "user.get"]
LEAST = {
    "api.access": 1, "api.mode": 1, "api": METHODS, "actions.default_access": 0, "ui.default_access": 0,
    "modules.default_access": 0, "actions": [{"name": "manage_api_tokens", "status": 1}],
}  # fmt: skip


def blocks() -> tuple[str, str]:
    """What a reader types: before and after the two files are put into place."""
    text = (ROOT / "docs" / "pack-zabbix.md").read_text(encoding="utf-8")
    walk = text[text.index("## From nothing to the first proof") : text.index("## Two calls")]
    before, after = re.findall(r"^```sh\n(.*?)^```$", walk, re.M | re.S)
    return before, after


def test_the_walk_of_the_document_ends_with_a_proof(
    tmp_path: Path, postgres: Postgres, real_server: Callable[..., Any]
) -> None:
    zabbix: Zabbix = real_server("zabbix", postgres)
    tag = os.urandom(3).hex()
    acting = zabbix.create_user(f"rotator-{tag}", zabbix.create_role(f"least-{tag}", LEAST, 3), NO_FRONTEND)
    userid = zabbix.create_user(f"portal-{tag}")
    _, admin = zabbix.create_token(acting, f"admin {tag}")
    first_id, first = zabbix.create_token(userid, f"first {tag}")
    for name, value in (("admin.secret", admin), ("first.secret", first)):
        (tmp_path / name).write_text(value)
        (tmp_path / name).chmod(0o600)
    before, after = blocks()
    end = 'rotator retire portal --apply --confirm portal --reason "the end"'
    now = "rotator runs list --credential dashboard -o json > runs.json"
    script = "\n".join(["set -e", before, "mv ../*.secret .", after, now, "cp daemon.log kept.log", end])
    script = script.replace("127.0.0.1:9464", f"127.0.0.1:{free_port()}")
    script = f"trap 'kill $DAEMON 2>/dev/null || true; wait' EXIT\n{script}"
    env = {
        "PATH": f"{Path(sys.executable).parent}:{os.defpath}", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}", "ZABBIX": zabbix.url, "ACTING": f"rotator-{tag}",
        "NAME": f"portal-{tag}", "NUMBER": userid,
    }  # fmt: skip
    done = subprocess.run(
        ["bash", "-c", script], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=240,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert f"preflight: we are rotator-{tag}" in said
    assert "0 failing" in said
    assert said.count("(token_refused, grade 1)") >= 4, "twice as it happens, twice as it is shown"
    assert "no debts" in said
    assert zabbix.tokens(userid) == [], "the first and, after the end, the second one"
    assert (zabbix.whose(first), zabbix.whose(admin)) == ("", f"rotator-{tag}")
    written = said.encode() + b"".join(one.read_bytes() for one in (tmp_path / "first").glob("*.log"))
    assert admin.encode() not in written
    assert first.encode() not in written
    assert first_id
