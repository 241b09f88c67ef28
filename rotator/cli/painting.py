"""Progress of runs: painted over itself on a terminal, plain lines elsewhere, one JSON line an event for programs.

Used by `waiting`. Everything goes to standard error but the JSON lines, which are data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from . import exits
from .screen import Screen, clean, clock, when
from .session import Session

_ROWS: Final = 15
_SIGNS: Final = {
    "done": "done",
    "refused": "refused",
    "misconfigured": "refused",
    "failed": "failed",
    "unsent": "failed",
}
ENDING_STYLES: Final = {exits.OK: "green", exits.OWING: "yellow", exits.CONTAINED: "yellow", exits.UNCERTAIN: "yellow"}


@dataclass(slots=True)
class Watched:
    """One run that is waited for."""

    id: str
    credential: str
    kind: str
    after: int = 0
    display: str = ""
    step: str = ""
    holds: int = 0
    of: int = 0
    wake: str | None = None
    held: str = ""
    ending: str | None = None
    exit: int | None = None
    view: Mapping[str, Any] = field(default_factory=dict)

    def take(self, view: Mapping[str, Any]) -> None:
        """What the daemon says of the run now."""
        self.view = {key: value for key, value in view.items() if key != "schema_version"}
        self.display = str(view.get("display") or "")
        progress = view.get("progress") or {}
        self.holds, self.of = int(progress.get("holds", 0)), int(progress.get("all", 0))
        self.wake, self.held = view.get("wake"), str(view.get("held") or "")

    @property
    def result(self) -> str:
        """How it stands, in words."""
        if self.exit is None:
            return self.display or "running"
        return exits.word(self.exit)


class Painter(Protocol):
    """What is told of a wait."""

    def begin(self, runs: Sequence[Watched]) -> None: ...
    def event(self, run: Watched, item: Mapping[str, Any]) -> None: ...
    def tick(self, runs: Sequence[Watched]) -> None: ...
    def silent(self, seconds: float) -> None: ...
    def end(self, runs: Sequence[Watched]) -> None: ...


def painter_for(session: Session, runs: int) -> Painter:
    """The one that fits the output."""
    if session.output == "ndjson":
        return Lines(session)
    if session.quiet or session.output == "json":
        return Nothing(session)
    return Repaint(session.err, runs) if session.repaints else Plain(session.err)


class Nothing:
    """No progress."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def begin(self, runs: Sequence[Watched]) -> None:
        return

    def event(self, run: Watched, item: Mapping[str, Any]) -> None:
        return

    def tick(self, runs: Sequence[Watched]) -> None:
        return

    def silent(self, seconds: float) -> None:
        return

    def end(self, runs: Sequence[Watched]) -> None:
        return


class Lines(Nothing):
    """ndjson: one event a line."""

    def event(self, run: Watched, item: Mapping[str, Any]) -> None:
        self._session.emit("event", {"run": run.id, "credential": run.credential, **item})


def _sign(screen: Screen, item: Mapping[str, Any]) -> str:
    """The symbol of a journal row; the words beside it say the same."""
    kind = str(item.get("event", ""))
    if kind == "intended":
        return screen.sign("going")
    if kind == "outcome":
        outcome = item.get("outcome")
        return screen.sign("note") if outcome is None else screen.sign(_SIGNS.get(str(outcome), "unknown"))
    return screen.sign("unknown" if kind == "asked" else "note")


class Plain:
    """One line an event; a sign of life every half minute."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._silent = 0.0

    def begin(self, runs: Sequence[Watched]) -> None:
        for run in runs[:_ROWS]:
            self._screen.line(f"{clean(run.kind)} {clean(run.credential)}: run {clean(run.id)}")

    def event(self, run: Watched, item: Mapping[str, Any]) -> None:
        self._silent = 0.0
        says = clean(item.get("says"))
        self._screen.line(f"{clock(item.get('at'))}  {clean(run.credential)}  {_sign(self._screen, item)} {says}")

    def tick(self, runs: Sequence[Watched]) -> None:
        if self._silent < 30:
            return
        self._silent = 0.0
        for run in [one for one in runs if one.exit is None][:_ROWS]:
            self._screen.line(f"          {clean(run.credential)}  {_standing(run)}")

    def silent(self, seconds: float) -> None:
        self._silent += seconds

    def end(self, runs: Sequence[Watched]) -> None:
        return


def _standing(run: Watched) -> str:
    """Where a run stands and what it waits for."""
    parts = [clean(run.display) or "running"]
    if run.held:
        parts.append(clean(run.held).replace("_", " "))
    if run.wake:
        parts.append(f"next at {when(run.wake)[:10]} {clock(run.wake)}Z")
    return ", ".join(parts)


class Repaint:
    """A terminal: finished steps stay, the step in progress and the bar are painted over; one line each of several."""

    def __init__(self, screen: Screen, runs: int) -> None:
        self._screen = screen
        self._many = runs > 1
        self._painted = 0

    def begin(self, runs: Sequence[Watched]) -> None:
        if not self._many:
            title = f"{clean(runs[0].kind)} {clean(runs[0].credential)}"
            self._screen.line(f"{self._screen.style(title, 'bold')}  {self._screen.style(clean(runs[0].id), 'dim')}")

    def event(self, run: Watched, item: Mapping[str, Any]) -> None:
        run.step = clean(item.get("says")) if item.get("event") == "intended" else ""
        if self._many or run.step:
            return
        self._wipe()
        self._screen.line(f"  {_sign(self._screen, item)} {self._fit(clean(item.get('says')), 4)}")

    def tick(self, runs: Sequence[Watched]) -> None:
        self._wipe()
        lines = self._table(runs) if self._many else self._one(runs[0])
        for line in lines:
            self._screen.line(line)
        self._painted = len(lines)

    def silent(self, seconds: float) -> None:
        return

    def end(self, runs: Sequence[Watched]) -> None:
        self._wipe()
        if self._many:
            for line in self._table(runs):
                self._screen.line(line)

    def _wipe(self) -> None:
        if self._painted:
            self._screen.stream.write(f"\033[{self._painted}A\033[J")
            self._screen.stream.flush()
            self._painted = 0

    def _fit(self, text: str, margin: int) -> str:
        room = self._screen.width - margin - 1
        return text if len(text) <= room else text[: max(1, room - 1)] + "…"

    def _one(self, run: Watched) -> list[str]:
        s = self._screen
        doing = run.step or _standing(run)
        return [f"  {s.sign('going')} {self._fit(doing, 4)}", f"  {s.bar(run.holds, run.of)} {run.holds}/{run.of}"]

    def _table(self, runs: Sequence[Watched]) -> list[str]:
        s = self._screen
        # Those that need somebody stay in sight, then those that move.
        order = sorted(runs, key=lambda run: (run.exit in {None, exits.OK}, run.exit is not None))
        wide = min(30, max(len(run.credential) for run in order))
        lines = []
        for run in order[:_ROWS]:
            name = clean(run.credential)[:wide].ljust(wide)
            if run.exit is None:
                text = self._fit(f"{run.holds:>2}/{run.of:<2} {run.step or _standing(run)}", wide + 18)
                lines.append(f"  {name}  {s.bar(run.holds, run.of)} {text}")
            else:
                lines.append(f"  {name}  {s.style(run.result, ENDING_STYLES.get(run.exit, 'red'))}")
        left = sum(run.exit is None for run in order)
        if len(order) > _ROWS:
            lines.append(f"  and {len(order) - _ROWS} more; {left} of {len(order)} still run")
        return lines
