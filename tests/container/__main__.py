"""python -m tests.container: the image and compose.yaml, for real: one credential is adopted and rotated, the daemon is
killed in mid-rotation and started again, the vault too, and the servers themselves are asked what is true.

`make container`; exit 1 if anything is not as promised. Needs root on Debian, or podman, buildah and a base image
(ROTATOR_BASE=NAME).
"""

from __future__ import annotations

import json
import sys
import time

from tests.container.engine import Engine, EngineError, say
from tests.container.estate import BAO, DAEMON, ROLE, Containers, wait

_MEBI = 1 << 20


def build(engine: Engine) -> None:
    """All images, with their sizes."""
    began = time.monotonic()
    engine.install()
    base = engine.base()
    below = engine.size(base)
    say(f"base      {base}  {below / _MEBI:.0f} MiB  [{time.monotonic() - began:.0f} s]")
    for name in ("rotator", "rotator-openbao", "rotator-postgres"):
        began = time.monotonic()
        size = engine.build(name, base)
        ours = (size - below) / _MEBI
        say(f"image     {name}  {size / _MEBI:.0f} MiB, {ours:.0f} above the base  [{time.monotonic() - began:.0f} s]")


def hardened(estate: Containers) -> list[str]:
    """What is not as the image promises."""
    engine, wrong = estate.engine, []
    if engine.podman("exec", DAEMON, "id", "-u").strip() != "65532":
        wrong.append("it does not run as 65532")
    try:
        engine.podman("exec", DAEMON, "sh", "-c", "touch /opt/rotator/x || touch /etc/x")
        wrong.append("its root can be written")
    except EngineError:
        pass
    status = engine.podman("exec", DAEMON, "cat", "/proc/1/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    if int(fields["CapEff"], 16) or int(fields["CapPrm"], 16):
        wrong.append(f"it has capabilities: {fields['CapEff']}")
    if fields["NoNewPrivs"].strip() != "1":
        wrong.append("it may gain privileges")
    config = engine.inspect(DAEMON)["Config"]
    text = json.dumps(config)
    secret_id = engine.podman("exec", DAEMON, "cat", "/run/rotator-keys/secret-id").strip()
    if secret_id in text or estate.password in text:
        wrong.append("a secret stands in the container's environment or command")
    return wrong


def rotation_with_a_kill(estate: Containers) -> dict[str, object]:
    """Adopt, rotate, SIGKILL in the middle, start again: how it ended."""
    admin, first = estate.make_roles()
    estate.rotator("admin", "set", "database", "--from", estate.hand_over("admin", admin))
    estate.rotator("adopt", ROLE, "--from", estate.hand_over("first", first))
    assert estate.current() == (ROLE, first)
    assert estate.login(ROLE, first)
    say("adopted   orders: the store holds the value that the database takes")
    opened = estate.rotator("rotate", ROLE, "--reason", "container test", "--no-wait")
    run = str(opened["runs"][0]["run"] if "run" in opened["runs"][0] else opened["runs"][0]["id"])
    wait("a first step", lambda: not estate.login(ROLE, first), 60)
    estate.engine.podman("kill", "-s", "KILL", DAEMON)
    found = estate.engine.podman("exec", BAO, "bao", "status", "-format=json")
    assert json.loads(found)["sealed"] is False
    estate.engine.podman("start", DAEMON)
    wait("the daemon, again", estate.healthy)
    wait("the end of the run", lambda: bool(estate.rotator("runs", "show", run).get("ended")), 120)
    shown = estate.rotator("runs", "show", run)
    user, value = estate.current()
    refusal = estate.refusal(ROLE, first)
    say(f"rotated   killed with SIGKILL after the install and started again: {shown['ending']}")
    say(f"old value refused by the database itself: {refusal}")
    wrong = []
    if str(shown["ending"]).lower() != "succeeded":
        wrong.append(f"the run ended {shown['ending']}")
    if refusal is None:
        wrong.append("the old password still works")
    if value == first or not estate.login(user, value):
        wrong.append("the store's password does not work")
    return {"run": run, "ending": shown["ending"], "old value": refusal, "wrong": wrong}


def vault_again(estate: Containers) -> list[str]:
    """The vault is killed: it unseals itself, and the daemon goes on; then the daemon is stopped as an engine stops."""
    wrong = []
    estate.engine.podman("kill", "-s", "KILL", BAO)
    estate.engine.podman("start", BAO)
    wait("the vault", lambda: _verified(estate), 90)
    say("vault     killed, unsealed itself; verify: the value works")
    estate.engine.podman("stop", "-t", "60", DAEMON, seconds=90)
    code = estate.engine.inspect(DAEMON)["State"]["ExitCode"]
    if code != 0:
        wrong.append(f"the daemon ended with {code} at SIGTERM")
    estate.engine.podman("start", DAEMON)
    wait("the daemon, after its stop", estate.healthy)
    say("daemon    stopped by SIGTERM with exit 0 and started again")
    return wrong


def _verified(estate: Containers) -> bool:
    try:
        estate.rotator("verify", ROLE)
    except EngineError:
        return False
    return True


def main() -> int:
    """Build, run, ask, report."""
    began = time.monotonic()
    engine = Engine()
    try:
        build(engine)
        estate = Containers(engine)
        try:
            estate.up()
            say("up        compose.yaml: OpenBao with TLS, the daemon as its client by AppRole")
            done = rotation_with_a_kill(estate)
            wrong = [*done["wrong"], *hardened(estate), *vault_again(estate)]  # type: ignore[misc]
        except BaseException:
            for name in (DAEMON, BAO):
                say(f"--- {name}\n{engine.logged(name)}")
            raise
        finally:
            estate.close()
    except EngineError as error:
        say(f"container: {error}")
        return 1
    for line in wrong:
        say(f"WRONG     {line}")
    say(f"container: {'as promised' if not wrong else f'{len(wrong)} wrong'}, {time.monotonic() - began:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
