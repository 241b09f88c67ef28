"""The shape of every command: global options before or after the command, groups that load late, near misses told.

Used by `main` and `commands`. Listing the commands must import none of them: `rotator --help` is held to 150 ms.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from .session import DEFAULT_SOCKET, Session
from .spans import Span

GLOBALS = "Global options"


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Write a global option into the session, where it was said: the root also takes it from the environment."""
    session = ctx.ensure_object(Session)
    # None of them has a default of its own, and no flag can be said to be false: what is empty was not said. (Where a
    # value came from is not asked: releases of the library differ in whether that is known here yet.)
    if value not in (None, False) and param.name is not None:
        setattr(session, param.name, value)
    return value


def _global(root: bool, *names: str, **options: Any) -> click.Option:
    # Only the root reads the environment: read again by the command, it would win over an option said before it.
    if not root:
        options.pop("envvar", None)
    return click.Option(names, expose_value=False, callback=_keep, **options)


def global_options(*, root: bool, formats: Sequence[str] = ()) -> list[click.Parameter]:
    """The options that every command takes. `formats`: what it can write beside table, json and ndjson."""
    return [
        _global(
            root, "--socket", metavar="PATH", envvar="ROTATOR_SOCKET", help=f"The daemon's socket ({DEFAULT_SOCKET})."
        ),
        _global(
            root,
            "-o",
            "--output",
            type=click.Choice(["table", "json", "ndjson", *formats]),
            envvar="ROTATOR_OUTPUT",
            metavar="FORMAT",
            help=f"table (for people), json{''.join(f', {one}' for one in formats)} or ndjson.",
        ),
        _global(
            root,
            "--color",
            type=click.Choice(["auto", "always", "never"]),
            metavar="WHEN",
            envvar="ROTATOR_COLOR",
            help="auto, always or never.",
        ),
        _global(
            root,
            "--timeout",
            type=Span(),
            metavar="SPAN",
            envvar="ROTATOR_TIMEOUT",
            help="Wait at most so long: 90s, 10m, 2h.",
        ),
        _global(root, "--no-input", is_flag=True, envvar="ROTATOR_NO_INPUT", help="Never ask; exit 2 instead."),
        _global(root, "-q", "--quiet", is_flag=True, envvar="ROTATOR_QUIET", help="No progress, no remarks."),
    ]


def _write_options(
    formatter: click.HelpFormatter, title: str, options: Sequence[click.Parameter], ctx: click.Context
) -> None:
    """Options with a help; an argument says what it is by its name."""
    rows = [record for one in options if (record := one.get_help_record(ctx)) is not None and record[1]]
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows)


class _Shaped(click.Command):
    """What commands and groups share. `formats`: see `global_options`."""

    formats: Sequence[str] = ()

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        found = super().get_params(ctx)
        return [*found[:-1], *self._globals(ctx), found[-1]] if found else self._globals(ctx)

    def _globals(self, ctx: click.Context) -> list[click.Parameter]:
        kept: list[click.Parameter] | None = getattr(self, "_kept", None)
        if kept is None:
            kept = global_options(root=ctx.parent is None, formats=self.formats)
            self._kept = kept
        return kept

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        everywhere = self._globals(ctx)
        own = [one for one in self.get_params(ctx) if not any(one is other for other in everywhere)]
        _write_options(formatter, "Options", own, ctx)
        if ctx.parent is None:
            _write_options(formatter, GLOBALS, everywhere, ctx)
        else:
            with formatter.section(GLOBALS):
                formatter.write_text("--socket -o --color --timeout --no-input -q: see rotator --help")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples keep their lines."""
        if self.epilog:
            formatter.write_paragraph()
            for line in self.epilog.splitlines():
                formatter.write(f"{line}\n")


class Command(_Shaped):
    """One command."""

    def __init__(self, *arguments: Any, formats: Sequence[str] = (), **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.formats = formats


class Group(_Shaped, click.Group):
    """A group whose commands are imported when they are called. `lazy`: name -> (module:attribute, one line)."""

    command_class = Command

    def __init__(
        self,
        *arguments: Any,
        lazy: Mapping[str, tuple[str, str]] | None = None,
        sections: Sequence[tuple[str, Sequence[str]]] = (),
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._lazy = dict(lazy or {})
        self._sections = sections

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self.commands, *self._lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self._lazy and cmd_name not in self.commands:
            module, _, attribute = self._lazy[cmd_name][0].partition(":")
            found: click.Command = getattr(importlib.import_module(f"rotator.cli.commands.{module}"), attribute)
            self.commands[cmd_name] = found
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            near = difflib.get_close_matches(name, self.list_commands(ctx), n=3, cutoff=0.6)
            hint = f" Did you mean {' or '.join(near)}?" if near else f" See {ctx.command_path} --help."
            shown = f" {name}" if name.isascii() and name.isprintable() and len(name) <= 30 else ""
            raise click.UsageError(f"There is no command{shown}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        _Shaped.format_options(self, ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        named = [name for _, names in self._sections for name in names]
        rest = [name for name in self.list_commands(ctx) if name not in named]
        for title, names in (*self._sections, *([("Commands", rest)] if rest else [])):
            with formatter.section(title):
                formatter.write_dl([(name, self._line(ctx, name)) for name in names])

    def _line(self, ctx: click.Context, name: str) -> str:
        if name in self._lazy:
            return self._lazy[name][1]
        command = self.get_command(ctx, name)
        return "" if command is None else command.get_short_help_str(80)


def command(name: str, **options: Any) -> Callable[[Callable[..., Any]], Command]:
    """A command of ours."""
    return click.command(name, cls=Command, **options)


session_of = click.make_pass_decorator(Session, ensure=True)
