"""`rotator serve`: the daemon. Everything heavy is imported by the call."""

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
def serve(config: Path, once: bool) -> int:
    """Run the daemon in the foreground. SIGTERM drains, SIGHUP reloads."""
    # By name: the rooms below the daemon hold values, and the command line is to reach none of them by an import.
    run: Callable[..., int] = importlib.import_module("rotator.daemon.bootstrap").serve
    return run(config, once=once)
