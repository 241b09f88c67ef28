"""help, version and completion."""

from __future__ import annotations

import importlib
from importlib import metadata

import click
from click.shell_completion import get_completion_class

from rotator.cli import exits
from rotator.cli.failures import Failure, usage
from rotator.cli.grammar import command, session_of
from rotator.cli.screen import Screen
from rotator.cli.session import DEFAULT_SOCKET, Session

ENVIRONMENT = (
    ("ROTATOR_SOCKET", f"--socket: the daemon's socket ({DEFAULT_SOCKET})"),
    ("ROTATOR_OUTPUT", "--output: table, json or ndjson"),
    ("ROTATOR_COLOR", "--color: auto, always or never"),
    ("ROTATOR_TIMEOUT", "--timeout: how long to wait"),
    ("ROTATOR_NO_INPUT", "--no-input: never ask"),
    ("ROTATOR_QUIET", "--quiet: no progress, no remarks"),
    ("ROTATOR_CONFIG", "the configuration of `serve`, `init`, and `config validate`, `render` and `fmt`"),
    ("ROTATOR_LOG_LEVEL", "the least that `serve` logs: debug, info, warning, error"),
    ("ROTATOR_ACCESSIBLE, ACCESSIBLE", "plain lines: nothing is painted over, a sign of life every 30 s"),
    ("NO_COLOR, TERM=dumb", "no colours"),
)

FORMATTING = """\
-o table   for people (default). In a file or a pipe: the same, without colours, never cut.
-o json    one document. Lists are {"items": [...]}; after a wait {"runs": [...], "refused": [...], "exit": N}.
-o ndjson  one line an item or event ({"type": "item"} or {"type": "event"}), the last line {"type": "result"}.

Standard output has the data and nothing else; progress, questions, hints and errors go to standard error.
With json and ndjson standard output always has a valid document: of a failure it is {"error": {"code", "message",
"hint", "exit", "run", "docs", "do"}}. Fields are only ever added. Instants are RFC 3339 in UTC. No value of a
credential is ever shown; two places are compared by fingerprint."""

SELECTORS = """\
Which credentials, in exactly one way:
  ID [ID...]         by id
  -l SELECTOR        by what it is; several -l must all hold
  --workflow NAME    all that the workflow uses
  --all              every credential

A selector is terms with commas between them; all must hold:
  team=itsm          a label of your own is that
  tier!=T3           something is not that (also: it has none)
  tier in (T0, T1)   it is one of these; `not in` for none of them
  endpoint=alerta-*  `*` at the end is any rest; team=* has some team, team!=* has none
  site="Berlin, 2"   a value with blanks, commas or brackets stands in double quotes
Keys: id, owner, tier, policy, workflow, endpoint, kind, principal, store; everything else is a label (label.NAME is
always one). Freezes and notification routes of the configuration use the same language."""

TOPICS = ("environment", "exit-codes", "formatting", "selectors")


@command("help", short_help="Help on a command, or: environment, exit-codes, formatting, selectors.")
@click.argument("topic", nargs=-1)
@click.pass_context
def help_topic(ctx: click.Context, topic: tuple[str, ...]) -> int:
    """Help on a command, a reason code (ROT-…, CFG-…) or a topic: environment, exit-codes, formatting, selectors."""
    session = ctx.ensure_object(Session)
    screen = session.out
    match topic:
        case ("exit-codes",):
            rows = [[code, name, says] for code, (name, says) in exits.MEANINGS.items()]
            screen.table(["CODE", "NAME", "MEANING"], rows)
        case ("environment",):
            screen.facts(ENVIRONMENT, indent="")
        case ("formatting",):
            _text(screen, FORMATTING)
        case ("selectors",):
            _text(screen, SELECTORS)
        case (code,) if code.upper().startswith(("ROT-", "CFG-")):
            return _of_code(screen, code.upper())
        case _:
            return _of_command(ctx, screen, topic)
    return exits.OK


def _of_code(screen: Screen, code: str) -> int:
    """What a reason code means and what to do, as the runbook has it."""
    # By name: the catalogue stands in a room that the command line reaches by no import.
    advice = importlib.import_module("rotator.daemon.advice")
    if not advice.known(code):
        raise usage(f"the catalogue has no code {code}", "the codes of plugins: docs/runbook.md")
    told = advice.of(code)
    screen.line(screen.style(code, "bold"))
    screen.facts([("means", told.means), *([("do", told.do)] if told.do else []), ("more", advice.place(code))])
    return exits.OK


def _text(screen: Screen, text: str) -> None:
    for line in text.splitlines():
        screen.line(line)


def _of_command(ctx: click.Context, screen: Screen, words: tuple[str, ...]) -> int:
    parent = ctx.find_root()
    found: click.Command = parent.command
    for word in words:
        below = found.get_command(parent, word) if isinstance(found, click.Group) else None
        if below is None:
            raise usage("there is no such command or topic", f"topics: {', '.join(TOPICS)}")
        parent = click.Context(below, info_name=word, parent=parent)
        found = below
    _text(screen, found.get_help(parent))
    return exits.OK


@command("version", short_help="The version of the command line and of the daemon.")
@session_of
def version(session: Session) -> int:
    """Both versions; the daemon's is left out when it does not answer."""
    client, daemon = metadata.version("rotator"), None
    try:
        daemon = session.client.get("/v1/status", timeout=3)["version"]
    except Failure as failure:
        if failure.exit not in {exits.UNREACHABLE, exits.NOT_ALLOWED}:
            raise
    document = {"client": client, "daemon": daemon}

    def paint(screen: Screen) -> None:
        screen.line(f"rotator {client}" + (f", daemon {daemon}" if daemon else ""))

    session.show(document, paint)
    return exits.OK


@command(
    "completion",
    short_help="A completion script for bash, zsh or fish.",
    epilog="Example:\n  rotator completion bash > /etc/bash_completion.d/rotator",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> int:
    """Print a script that lets the shell complete commands, options and credential ids."""
    found = get_completion_class(shell)
    if found is None:
        raise usage("there is no completion for this shell")
    click.echo(found(ctx.find_root().command, {}, "rotator", "_ROTATOR_COMPLETE").source())
    return exits.OK
