"""`rotator serve`: the daemon; `rotator init`: what its first start needs. Everything heavy is imported by the call."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import click

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
