"""Options that several commands share: which credentials, why, whether to wait. Used by `commands`."""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from .failures import Failure, usage
from .session import Session

F = TypeVar("F", bound=Callable[..., Any])


def _joined(_ctx: click.Context, _param: click.Parameter, given: Iterable[str]) -> str:
    """All that were said must hold. What is none is refused before anything is asked."""
    text = ", ".join(given)
    if text:
        from rotator.engine.selectors import SelectorRefused, parse  # the calendar comes with it: only when it is used

        try:
            parse(text)
        except SelectorRefused as refused:
            raise click.BadParameter(f"{refused} (rotator help selectors)") from None
    return text


selector_option = click.option(
    "-l", "--label", "selector", multiple=True, callback=_joined, metavar="SELECTOR",
    help="By label, tier, endpoint …: team=itsm, tier in (T0, T1). See: rotator help selectors.",
)  # fmt: skip


def complete_ids(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Credential ids for the shell; none when the daemon is not there."""
    session = (ctx.find_object(Session) or Session()) if ctx else Session()
    socket = os.environ.get("ROTATOR_SOCKET", session.socket)
    try:
        items = Session(socket=socket).client.get("/v1/credentials", timeout=1.0)["items"]
    except Failure:
        return []
    return [one["id"] for one in items if str(one["id"]).startswith(incomplete)]


def selection_options(*, default_all: bool = False) -> Callable[[F], F]:
    """IDS, -l, --workflow and --all; the command gets one `selection` (a body of the API)."""

    def decorate(function: F) -> F:
        @click.argument("ids", nargs=-1, shell_complete=complete_ids)
        @selector_option
        @click.option("--workflow", metavar="NAME", help="All that this workflow uses.")
        @click.option("--all", "everything", is_flag=True, help="Every credential.")
        @functools.wraps(function)
        def wrapped(
            *arguments: Any,
            ids: tuple[str, ...],
            selector: str,
            workflow: str | None,
            everything: bool,
            **more: Any,
        ) -> Any:
            nothing = not (ids or selector or workflow)
            chosen = _selection(ids, selector, workflow, everything or (default_all and nothing))
            return function(*arguments, selection=chosen, **more)

        return wrapped  # type: ignore[return-value]

    return decorate


def _selection(ids: tuple[str, ...], selector: str, workflow: str | None, everything: bool) -> dict[str, Any]:
    ways: list[dict[str, Any]] = []
    if ids:
        ways.append({"ids": list(dict.fromkeys(ids))})
    if selector:
        ways.append({"selector": selector})
    if workflow:
        ways.append({"workflow": workflow})
    if everything:
        ways.append({"all": True})
    if len(ways) != 1:
        which = "say which credentials" if not ways else "say it in one way only"
        raise usage(f"{which}: ids, or -l SELECTOR, or --workflow NAME, or --all")
    return ways[0]


def as_query(selection: dict[str, Any]) -> list[tuple[str, str]]:
    """A selection as query parameters."""
    query = [("id", one) for one in selection.get("ids", ())]
    return query + [(name, selection[name]) for name in ("selector", "workflow") if name in selection]


def in_words(selection: dict[str, Any]) -> str:
    """The selection, for a question."""
    if "ids" in selection:
        return ", ".join(selection["ids"])
    if "selector" in selection:
        return f"everything with {selection['selector']}"
    return f"everything that workflow {selection['workflow']} uses" if "workflow" in selection else "EVERY credential"


def reason_option(*, needed: bool) -> Callable[[F], F]:
    """--reason, into the journal."""
    help_text = "Why, for the journal." + ("" if needed else " Optional.")
    if needed:
        return click.option("--reason", required=True, metavar="TEXT", help=help_text)
    return click.option("--reason", default="", metavar="TEXT", help=help_text)


ticket_option = click.option("--ticket", default="", metavar="ID", help="The change or incident, for the journal.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
wait_option = click.option("--wait/--no-wait", default=True, help="Wait for the end (default), or print the run ids.")


def file_of_daemon(given: str) -> str:
    """The absolute path of a file that the daemon will read. What was given is never repeated: it may be a value."""
    if given == "-":
        raise usage("--from names a file that the daemon reads; a value never goes through the command line")
    # The name stays as given, so that the daemon can refuse a link; only the way to it is made plain.
    path = Path(given).absolute().parent.resolve() / Path(given).name
    try:
        path.lstat()
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}:
            raise usage(
                "--from names a file, and there is no such file",
                "put the value into a file of mode 0600 that belongs to the daemon's user",
            ) from None
    return str(path)
