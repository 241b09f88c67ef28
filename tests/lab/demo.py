"""`make demo`: real servers, the real daemon, three shapes of credentials, and clients that notice everything.

    make demo                             the story, about two minutes; exit 1 if anything is not as promised
    make demo ARGS="-o json"              the evidence as JSON on standard output
    make demo ARGS="--sabotage NAME"      one rotation with a fault between us and the platform
    make demo ARGS="--also aws-iam,zabbix,request-tracker"     further platforms in the same story

A sabotage exits with the run's own code: skip-revoke and cached-revoke 15, wrong-identity 11, lost-answer 0 (make turns
any other code than 0 into its own; the last line says it).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.lab.alerta import Alerta
from tests.lab.also import FURTHER_NAMES, shapes_of
from tests.lab.clients import Client
from tests.lab.demo_evidence import Evidence, gather, promises, table
from tests.lab.estate import Estate, Servers, Tempo
from tests.lab.install import NotInstalled
from tests.lab.openbao import OpenBaoDev
from tests.lab.postgres import Postgres
from tests.lab.process import LabError, wait_until
from tests.lab.sabotage import SABOTAGES, sabotage
from tests.lab.shapes import AlertaKey, Roles, Shape

TEMPO = Tempo(
    tick="500ms", deadline="5s", landing="500ms", every="20s", overlap="3s", fresh="10s",
    proof={"times": 2, "over": "1s", "grade": 2},
)  # fmt: skip
WHY = ("--reason", "demo")
OFTEN, BESIDE_FURTHER, FURTHER = 12.0, 6.0, 1.0
"""How often a second a client is to use its credential: alone, beside further platforms, on one of those."""


class Story:
    """Tells what happens, on standard error when standard output is for evidence."""

    def __init__(self, quiet: bool) -> None:
        self._to = sys.stderr if quiet else sys.stdout
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """One line with the seconds since the beginning."""
        print(f"{time.monotonic() - self._began:6.1f} s  {text}", file=self._to, flush=True)

    def show(self, text: str) -> None:
        """Somebody else's words, indented."""
        for line in text.rstrip().splitlines():
            print(f"          {line}".rstrip(), file=self._to, flush=True)


def with_servers(act: Callable[[Servers, Path, list[Shape]], int], also: Sequence[str]) -> int:
    """Start the three servers and those of further shapes, act, end them."""
    with tempfile.TemporaryDirectory(prefix="demo-") as folder, ThreadPoolExecutor(2) as pool:
        starting = pool.submit(lambda: OpenBaoDev().start())
        with (
            Postgres() as database,
            Alerta(database) as alerta,
            starting.result() as bao,
            shapes_of(also, database) as makers,
        ):
            return act(Servers(bao, database, alerta), Path(folder), [make(name) for name, make in makers.items()])


def prepared(estate: Estate, shapes: list[Shape]) -> None:
    """Credentials on their servers, policies, the daemon; everything adopted."""
    estate.policies["in-place"] = estate.policy(overlap="0s")
    for shape in shapes:
        shape.prepare(estate)
        if shape.in_place:
            estate.credentials[shape.name]["policy"] = "in-place"
    estate.start()


def must(ran: Any, code: int = 0) -> Any:
    """The command's result, or the end of the demo with its words."""
    if ran.code != code:
        raise LabError(f"a command ended with {ran.code}, not {code}\n{ran.err}{ran.out}")
    return ran


def tell(story: Story, estate: Estate, shapes: list[Shape], clients: dict[str, Client]) -> None:
    """The whole story, in order."""
    names = [shape.name for shape in shapes]
    must(estate.rotator("adopt", *names, *WHY, "--wait"))
    story.say(f"adopted {', '.join(names)}: bound and verified, nothing changed")
    for client in clients.values():
        client.start()
    story.say("the plan of one, before anything happens:")
    story.show(must(estate.rotator("plan", "orders")).out)
    story.say("now the scheduler rotates what falls due; each client reads the store anew and uses what it finds,")
    for often, whose in by_rate(clients).items():
        story.say(f"  {often:g} times a second: {', '.join(whose)}")
    for name in names:
        run = first_scheduled(estate, name)
        story.say(f"{name}: {run['kind']} by {run['actor']}: {run['ending']}")
    quiet(estate)
    story.say("from here on by hand: the policies say once a year, and the daemon has read them anew")
    run_emergency(story, estate, "alerta-sync")
    go_back(story, estate, "orders")
    clients["legacy"].stop()
    must(estate.rotator("retire", "flow-legacy", *WHY, "--apply", "--confirm", "flow-legacy", "--wait"))
    story.say("retired workflow flow-legacy: every value of it is proven dead, nothing is left in the store")
    for client in clients.values():
        client.stop()


def by_rate(clients: dict[str, Client]) -> dict[float, list[str]]:
    """Names by how often a second each client is to use its credential."""
    found: dict[float, list[str]] = {}
    for name, client in clients.items():
        found.setdefault(client.per_second, []).append(name)
    return found


def first_scheduled(estate: Estate, name: str) -> dict[str, Any]:
    """The first run that the scheduler opened for a credential, once it has ended."""
    found: list[dict[str, Any]] = []

    def ended() -> bool:
        items = must(estate.rotator("runs", "list", "--credential", name, "-o", "json")).json()["items"]
        found[:] = [run for run in items if run["actor"] == "scheduler" and run["ended"] is not None]
        return bool(found)

    wait_until(ended, f"the scheduled rotation of {name}", 90, alive=lambda: estate.daemon.running)
    return found[-1]


def run_emergency(story: Story, estate: Estate, name: str) -> None:
    """Rotate now, without an overlap."""
    must(estate.rotator("emergency", name, "--mode", "overlap", *WHY, "--yes", "--wait"))
    story.say(f"emergency on {name}: done, the old value is proven dead")


def quiet(estate: Estate) -> None:
    """Change the policies to once a year, reload, and let what the scheduler has opened meanwhile end."""
    for policy in estate.policies.values():
        policy["every"] = "365d"
    estate.write()
    must(estate.rotator("config", "reload"))
    for name in estate.credentials:
        estate.settled(name)


def go_back(story: Story, estate: Estate, name: str) -> None:
    """Rotate by hand, then change one's mind during the overlap."""
    must(estate.rotator("rotate", name, *WHY, "--yes", "--no-wait"), 0)
    run: dict[str, Any] = {}

    def overlapping() -> bool:
        items = must(estate.rotator("runs", "list", "--credential", name, "-o", "json")).json()["items"]
        run.update(items[0])
        return "overlap" in run["display"] or run["ended"] is not None

    wait_until(overlapping, f"the overlap of {name}", 60, alive=lambda: estate.daemon.running)
    must(estate.rotator("runs", "back", run["id"], *WHY, "--no-wait"))
    ended = estate.settled(name)
    story.say(f"went back on purpose on {name}: {ended['ending']}, the old value serves, the new one is proven dead")


def demo(servers: Servers, folder: Path, story: Story, further: list[Shape], as_json: bool) -> int:
    """The story and its evidence; 0 if everything is as promised."""
    estate = Estate(folder / "estate", servers, TEMPO)
    shapes: list[Shape] = [
        AlertaKey("alerta-sync"),
        Roles("orders", alternating=True),
        Roles("legacy", alternating=False),
        *further,
    ]
    # Further servers are slow by design and share the machine with the three: all are used less often beside them.
    often = BESIDE_FURTHER if further else OFTEN
    clients = {shape.name: Client(estate, shape, FURTHER if shape in further else often) for shape in shapes}
    try:
        prepared(estate, shapes)
        tell(story, estate, shapes, clients)
        evidence: list[Evidence] = gather(estate, shapes, clients)
    except LabError:
        story.show(estate.complaints())
        raise
    finally:
        estate.close()
    broken = promises(evidence, clients)
    if as_json:
        print(json.dumps({"evidence": [one.plain() for one in evidence], "broken": broken}, indent=2))
    story.show(table(evidence, clients))
    for text in broken:
        story.say(f"NOT AS PROMISED: {text}")
    story.say("everything is as promised" if not broken else f"{len(broken)} promises broken")
    return 1 if broken else 0


def spoil(servers: Servers, folder: Path, story: Story, name: str) -> int:
    """One rotation with a fault between the daemon and the platform; the run's own exit code."""
    estate = Estate(folder / "estate", servers, Tempo(proof={"times": 2, "over": "300ms", "grade": 2}))
    shape = AlertaKey("alerta-sync")
    try:
        prepared(estate, [shape])
        must(estate.rotator("adopt", shape.name, *WHY, "--wait"))
        sabotage(estate, shape, name)
        story.say(f"sabotage {name}: {SABOTAGES[name]}")
        ran = estate.rotator("rotate", shape.name, *WHY, "--yes", "--wait")
        story.show(ran.out + ran.err)
        story.say(f"exit {ran.code}")
    finally:
        estate.close()
    return ran.code


def listed(words: Sequence[str]) -> str:
    """As a person would list them."""
    return f"{', '.join(words[:-1])} and {words[-1]}"


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    parser.add_argument("--sabotage", choices=list(SABOTAGES))
    parser.add_argument("--also", default="", help=f"further platforms: {', '.join(FURTHER_NAMES)}")
    options = parser.parse_args(arguments)
    story = Story(quiet=options.output == "json")
    also = [name for name in options.also.split(",") if name]
    unknown = sorted(set(also) - set(FURTHER_NAMES))
    if unknown:
        parser.error(f"--also: no platform {', '.join(unknown)}; there are {', '.join(FURTHER_NAMES)}")
    story.say(f"starting {listed(['a real OpenBao', 'PostgreSQL', 'alerta', *(FURTHER_NAMES[name] for name in also)])}")

    def act(servers: Servers, folder: Path, further: list[Shape]) -> int:
        story.say("they run")
        if options.sabotage:
            return spoil(servers, folder, story, options.sabotage)
        return demo(servers, folder, story, further, options.output == "json")

    try:
        return with_servers(act, also)
    except (LabError, NotInstalled) as trouble:
        story.say(f"the demo failed: {trouble}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
