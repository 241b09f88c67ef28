"""One invocation: the global options, the two screens, the client, how an answer is shown.

Made by `main`, handed to every command. Data goes to standard output, everything else to standard error; machine
formats always print a valid document.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import exits
from .failures import Failure, usage
from .screen import Screen, accessible

if TYPE_CHECKING:
    from .client import Client

DEFAULT_SOCKET = "/run/rotator/api.sock"


@dataclass(slots=True)
class Session:
    """What was said for the whole command."""

    socket: str = DEFAULT_SOCKET
    output: str = "table"
    color: str = "auto"
    timeout: float | None = None
    no_input: bool = False
    quiet: bool = False

    @property
    def machine(self) -> bool:
        """Whether a program reads standard output."""
        return self.output != "table"

    @property
    def out(self) -> Screen:
        """For data."""
        return Screen(sys.stdout, color=self.color)

    @property
    def err(self) -> Screen:
        """For everything else."""
        return Screen(sys.stderr, color=self.color)

    @property
    def client(self) -> Client:
        """The daemon."""
        from .client import Client

        return Client(self.socket, timeout=self.timeout)

    @property
    def asks(self) -> bool:
        """Whether a person can be asked."""
        return not self.no_input and sys.stdin.isatty() and sys.stderr.isatty()

    @property
    def repaints(self) -> bool:
        """Whether progress may be painted over itself."""
        return sys.stderr.isatty() and not accessible() and not self.quiet and not self.machine

    def note(self, text: str) -> None:
        """A remark, unless quiet."""
        if not self.quiet:
            self.err.line(text)

    def show(self, document: Mapping[str, Any], paint: Callable[[Screen], None]) -> None:
        """The answer: as a document, or painted."""
        if self.output == "json":
            sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        elif self.output == "ndjson":
            self.show_lines(document)
        else:
            paint(self.out)
        sys.stdout.flush()

    def show_lines(self, document: Mapping[str, Any]) -> None:
        """One line an item, and a last one of type `result` with all the rest."""
        for item in document.get("items", ()):
            self.emit("item", item)
        self.emit("result", {key: value for key, value in document.items() if key != "items"})

    def emit(self, kind: str, fields: Mapping[str, Any]) -> None:
        """One line of ndjson."""
        sys.stdout.write(json.dumps({"type": kind, **fields}, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def fail(self, failure: Failure) -> int:
        """Show a failure in both ways; its exit code."""
        if self.output == "json":
            sys.stdout.write(json.dumps(failure.document(), indent=2, ensure_ascii=False) + "\n")
        elif self.output == "ndjson":
            self.emit("result", failure.document())
        sys.stdout.flush()
        failure.paint(self.err)
        return failure.exit

    def confirm(self, question: str, *, yes: bool, flag: str = "--yes") -> None:
        """Ask yes or no. Without a terminal the flag must say it (exit 2)."""
        if yes:
            return
        if not self.asks:
            raise usage(f"{question} There is no terminal to ask: say {flag}")
        self.err.stream.write(f"{question} [y/N] ")
        self.err.stream.flush()
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise Failure("ROT-NOT-CONFIRMED", "nothing was done", exits.USAGE)

    def confirm_name(self, question: str, name: str, given: str | None) -> None:
        """Ask for the name to be typed; `--confirm NAME` says it without a terminal."""
        if given is None and self.asks:
            self.err.stream.write(f"{question}\nType {name} to go on: ")
            self.err.stream.flush()
            given = sys.stdin.readline().strip()
        if given is None:
            raise usage(f"{question} There is no terminal to ask: say --confirm {name}")
        if given != name:
            raise Failure("ROT-NOT-CONFIRMED", f"the name given is not {name}; nothing was done", exits.USAGE)
