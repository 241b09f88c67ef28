"""Text for a terminal or a file: colours that are always words too, tables, labelled facts.

Used by every command; one Screen for standard output, one for standard error. Must pass nothing from outside to a
terminal that could move its cursor or change its colours.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import Final, TextIO

STYLES: Final = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36", "bold": "1", "dim": "2"}
_LEAST: Final = 12


def clean(text: object) -> str:
    """Printable characters only: what a platform or a person wrote may hold escape sequences."""
    shown = "" if text is None else str(text)
    return shown if shown.isprintable() else "".join(one if one.isprintable() else "?" for one in shown)


def accessible() -> bool:
    """Whether plain lines are wanted in place of a repainted screen."""
    return any(os.environ.get(name, "") not in ("", "0") for name in ("ROTATOR_ACCESSIBLE", "ACCESSIBLE"))


def wants_color(mode: str, stream: TextIO) -> bool:
    """--color, else NO_COLOR and TERM=dumb, else whether it is a terminal."""
    if mode != "auto":
        return mode == "always"
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()


class Screen:
    """Lines on one stream."""

    def __init__(self, stream: TextIO, *, color: str = "auto") -> None:
        self.stream = stream
        self.terminal = stream.isatty()
        self._color = wants_color(color, stream)
        self._plain = (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "") not in {"utf8"}

    @property
    def width(self) -> int:
        """Columns of the terminal; without one, no limit."""
        return shutil.get_terminal_size((100, 24)).columns if self.terminal else 10_000

    def sign(self, name: str) -> str:
        """A symbol, or its ASCII stand-in where the stream cannot carry it."""
        fine, plain, style = {
            "done": ("✓", "+", "green"),
            "refused": ("✗", "x", "red"),
            "unknown": ("?", "?", "yellow"),
            "failed": ("!", "!", "yellow"),
            "going": ("…", ".", "cyan"),
            "note": ("·", "-", "dim"),
            "held": ("‖", "=", "yellow"),
        }[name]
        return self.style(plain if self._plain else fine, style)

    def bar(self, holds: int, of: int, width: int = 12) -> str:
        """Progress as a bar."""
        full = 0 if of <= 0 else min(width, holds * width // of)
        on, off = ("#", ".") if self._plain else ("█", "░")
        return self.style(on * full, "green") + self.style(off * (width - full), "dim")

    def style(self, text: str, *names: str) -> str:
        """The text in colour, if colours are on."""
        if not self._color or not text:
            return text
        return f"\033[{';'.join(STYLES[name] for name in names)}m{text}\033[0m"

    def line(self, text: str = "") -> None:
        """One line. A stream that cannot encode a character shows `?`."""
        if self._plain:
            text = text.encode("ascii", "replace").decode()
        self.stream.write(text + "\n")
        self.stream.flush()

    def headline(self, word: str, text: str, code: str, style: str) -> None:
        """`error: text   [CODE]`, the code at the right where there is room."""
        gap = max(2, min(self.width, 100) - len(word) - len(text) - len(code) - 4)
        self.line(f"{self.style(word, style, 'bold')}: {text}{' ' * gap}{self.style(f'[{code}]', 'dim')}")

    def facts(self, rows: Sequence[tuple[str, str]], indent: str = "  ") -> None:
        """Labelled lines, the labels under each other; an empty label goes on with the last one."""
        wide = max((len(label) for label, _ in rows), default=0)
        for label, text in rows:
            self.line(f"{indent}{self.style(label.ljust(wide), 'bold')}  {clean(text)}".rstrip())

    def section(self, title: str) -> None:
        """A heading with an empty line before it."""
        self.line()
        self.line(self.style(title, "bold"))

    def table(
        self,
        head: Sequence[str],
        rows: Sequence[Sequence[object]],
        *,
        cut: int | None = None,
        indent: str = "",
        styles: Sequence[str] = (),
    ) -> None:
        """Columns under headings. On a terminal that is too narrow the column `cut` is shortened; never in a file.
        `styles`: a colour for each row's third column, or an empty text."""
        cells = [[clean(one) for one in row] for row in rows]
        wide = [max(len(head[n]), *(len(row[n]) for row in cells)) if cells else len(head[n]) for n in range(len(head))]
        over = sum(wide) + 2 * (len(wide) - 1) + len(indent) - self.width
        if cut is not None and over > 0:
            wide[cut] = max(_LEAST, wide[cut] - over)
        self.line(indent + self.style("  ".join(one.ljust(wide[n]) for n, one in enumerate(head)).rstrip(), "bold"))
        for number, row in enumerate(cells):
            fitted = [one if len(one) <= wide[n] else one[: wide[n] - 1] + "…" for n, one in enumerate(row)]
            padded = [one.ljust(wide[n]) for n, one in enumerate(fitted)]
            if number < len(styles) and styles[number]:
                padded[2] = self.style(padded[2], styles[number])
            self.line((indent + "  ".join(padded)).rstrip())


def when(instant: object) -> str:
    """An instant of the API, to the minute, in UTC; a dash for none."""
    text = clean(instant)
    return f"{text[:10]} {text[11:16]}Z" if len(text) >= 16 and text[10] == "T" else text or "-"


def clock(instant: object) -> str:
    """The time of day of an instant, to the second."""
    text = clean(instant)
    return text[11:19] if len(text) >= 19 else text
