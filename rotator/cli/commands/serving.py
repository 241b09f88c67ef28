"""`rotator serve`: the daemon; `rotator init`: what its first start needs; `rotator health`: what a supervisor asks.

Everything heavy is imported by the call.
"""

from __future__ import annotations

import http.client
import importlib
from collections.abc import Callable
from pathlib import Path

import click

from rotator.cli import exits
from rotator.cli.failures import Failure, usage
from rotator.cli.grammar import command


@command(
    "serve",
    short_help="Run the daemon.",
    epilog="Example:\n  rotator serve --config /etc/rotator",
)
@click.option(
    "--config",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    envvar="ROTATOR_CONFIG",
    help="The configuration: a file, or a directory of *.yaml.",
)
@click.option("--once", is_flag=True, help="Do what is due now, then stop.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    envvar="ROTATOR_LOG_LEVEL",
    help="The least that is logged. Nothing secret is in the log at any level.",
)
def serve(config: Path, once: bool, log_level: str) -> int:
    """Run the daemon in the foreground. SIGTERM drains, SIGHUP reloads."""
    # By name: the rooms below the daemon hold values, and the command line is to reach none of them by an import.
    run: Callable[..., int] = importlib.import_module("rotator.daemon.bootstrap").serve
    return run(config, once=once, log_level=log_level)


@command(
    "init",
    short_help="Make key files and local stores that the configuration names.",
    epilog="Example:\n  rotator init --config /etc/rotator",
)
@click.option(
    "--config",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    envvar="ROTATOR_CONFIG",
    help="The configuration: a file, or a directory of *.yaml.",
)
def init(config: Path) -> int:
    """Make the fingerprint key, local stores with their keys, and folders. What exists is left alone. Run it as the
    daemon's user; back the keys up apart from the ledger and the stores."""
    make: Callable[[Path], int] = importlib.import_module("rotator.daemon.prepare").init
    return make(config)


@command(
    "health",
    short_help="Ask the daemon's health port: does it live?",
    epilog="Example:\n  rotator health --ready",
)
@click.option(
    "--listen",
    default="127.0.0.1:9464",
    show_default=True,
    envvar="ROTATOR_LISTEN",
    metavar="HOST:PORT",
    help="The address of `daemon.listen`.",
)
@click.option("--ready", is_flag=True, help="Ask whether it can take requests, in place of whether it lives.")
def health(listen: str, ready: bool) -> int:
    """Whether the daemon lives, which is: its ticks come. A vault or a platform that is down changes nothing here."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal():
        raise usage(f"--listen is HOST:PORT, not {listen!r}")
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=3)
    try:
        connection.request("GET", "/readyz" if ready else "/livez")
        answer = connection.getresponse()
        said = answer.read(200).decode("ascii", "replace").strip()
    except (OSError, http.client.HTTPException):
        raise Failure("ROT-UNREACHABLE", f"nothing answers at {listen}", exits.UNREACHABLE) from None
    finally:
        connection.close()
    click.echo(said)
    return exits.OK if answer.status == 200 else exits.UNREACHABLE
