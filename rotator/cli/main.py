"""The command line: `rotator`. A client of the daemon's local API; `serve` is the daemon itself.

The table of commands stands here with its one-line helps, so that listing them imports none. Errors of every command
end here. Must never print a traceback, whose lines can hold what a caller typed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from . import exits
from .failures import Failure, usage
from .grammar import Group
from .session import Session

COMMANDS: Final = {
    "adopt": ("acts:adopt", "Take over credentials as they are: bind, verify, never rotate."),
    "admin": ("acts:admin", "The admin values with which endpoints are managed."),
    "plan": ("looks:plan", "What a run would do: steps, exposure, what cannot be undone."),
    "rotate": ("acts:rotate", "Rotate now: new value everywhere, old value dead and proven."),
    "verify": ("looks:verify", "Prove that what serves works, by using it. Changes nothing."),
    "emergency": ("acts:emergency", "Rotate without waiting; contain kills the old value first."),
    "retire": ("acts:retire", "End every credential that a workflow alone uses, or that is selected."),
    "certificate": ("looks:certificate", "The evidence of a campaign: each value, each proof."),
    "status": ("looks:status", "One screen: what is due, open, waiting for you, owed."),
    "credentials": ("looks:credentials", "The inventory: owner, tier, due time, current value."),
    "explain": ("looks:explain", "Why a credential is due or not, what holds it, the steps to come."),
    "reconcile": ("keeping:reconcile", "Compare the ledger with stores and platforms; repair what is asked for."),
    "observe": ("keeping:observe", "Observing after a restore: end it."),
    "ledger": ("keeping:ledger", "The ledger: backup, restore, check."),
    "debts": ("debts:debts", "Old values that are not yet proven dead."),
    "runs": ("passages:runs", "Runs: list, show, watch, answer, back."),
    "pause": ("pausing:pause", "Open no runs, take no step that can wait; emergencies pass."),
    "resume": ("pausing:resume", "End a pause."),
    "freezes": ("holding:freezes", "The freeze calendar: what is in force, until when, whom it means."),
    "strays": ("strays:strays", "What bears our label at a platform: ours, stray, unaccounted for, foreign."),
    "brake": ("holding:brake", "The brake on a sudden mass of due credentials."),
    "serve": ("serving:serve", "Run the daemon."),
    "doctor": ("examining:doctor", "Find what is wrong before anything is changed, with the fix."),
    "health": ("serving:health", "Ask the daemon's health port: does it live?"),
    "init": ("serving:init", "Make key files and local stores that the configuration names."),
    "config": ("configuration:config", "Configuration: init, validate, render, fmt, schema, reload."),
    "notify": ("notifying:notify", "Who is told of what: routes, channels, what waits, a test."),
    "plugins": ("plugin_sets:plugins", "Plugins: list, check a pack, try an endpoint."),
    "help": ("topics:help_topic", "Help on a command, or: environment, exit-codes, formatting, selectors."),
    "version": ("topics:version", "The version of the command line and of the daemon."),
    "completion": ("topics:completion", "A completion script for bash, zsh or fish."),
}
_FRAMES: Final = 8
SECTIONS: Final = (
    ("Look", ("status", "credentials", "explain", "plan", "verify", "reconcile", "debts", "certificate", "freezes")),
    ("Act", ("adopt", "rotate", "emergency", "retire", "pause", "resume", "brake", "observe", "admin")),
    ("Runs", ("runs",)),
    (
        "Set up",
        ("init", "doctor", "serve", "health", "ledger", "config", "notify", "plugins", "completion", "version", "help"),
    ),
)

root = Group(
    "rotator",
    lazy=COMMANDS,
    sections=SECTIONS,
    help="Rotates credentials and proves the old ones dead.",
    epilog=(
        "Examples:\n  rotator status\n  rotator plan alerta-sync\n"
        "  rotator rotate alerta-sync --reason 'left the team'\n\n"
        "Topics: rotator help environment | exit-codes | formatting | selectors"
    ),
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def run(arguments: Sequence[str]) -> int:
    """One command. Its exit code."""
    session, stdout = Session(output=_output_in(arguments)), sys.stdout
    try:
        done = root.main(list(arguments), prog_name="rotator", standalone_mode=False, obj=session)
        sys.stdout.flush()
    except Failure as failure:
        return session.fail(failure)
    except click.exceptions.NoArgsIsHelpError as error:
        # Some subcommand was left out: its help is what was asked for.
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        return exits.USAGE
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "rotator"
        return session.fail(usage(error.format_message(), f"{path} --help"))
    except click.ClickException as error:
        return session.fail(usage(error.format_message()))
    except (KeyboardInterrupt, click.Abort):
        return session.fail(Failure("ROT-INTERRUPTED", "interrupted", exits.INTERRUPTED))
    except BrokenPipeError:
        return _enough()
    except SystemExit:
        # At a broken pipe the library wraps the stream and ends the process by itself, with 1.
        if sys.stdout is stdout:
            raise
        sys.stdout = stdout
        return _enough()
    except Exception as error:  # the last boundary: no traceback, it could hold what was typed
        return session.fail(_bug(error))
    return done if isinstance(done, int) else exits.OK


def _enough() -> int:
    """Who read us has enough; what the interpreter would flush at the end has nowhere to go."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return exits.OK


def _bug(error: Exception) -> Failure:
    """Types and places, innermost last; messages of exceptions are left out."""
    frames: list[str] = []
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame
        frames.append(f"{code.f_globals.get('__name__', '?')}:{traceback.tb_lineno}")
        traceback = traceback.tb_next
    cause = error.__cause__ or error.__context__
    about = [("way", " > ".join(frames[-_FRAMES:]))]
    about += [("from", type(cause).__name__)] if cause is not None else []
    place = frames[-1] if frames else "?"
    return Failure("ROT-BUG", f"a bug: {type(error).__name__} at {place}", exits.BUG, about=about)


def _output_in(arguments: Sequence[str]) -> str:
    """The output format, known before anything is parsed: an error of parsing is shown in it too."""
    found = os.environ.get("ROTATOR_OUTPUT", "table")
    for number, one in enumerate(arguments):
        if one == "--":
            break
        if one in {"-o", "--output"} and number + 1 < len(arguments):
            found = arguments[number + 1]
        elif one.startswith("--output="):
            found = one.partition("=")[2]
        elif one.startswith("-o") and len(one) > 2:
            found = one[2:].removeprefix("=")
    return found if found in {"table", "json", "ndjson"} else "table"


def main() -> None:
    """The entry point."""
    sys.exit(run(sys.argv[1:]))
