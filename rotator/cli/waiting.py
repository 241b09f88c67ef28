"""Waiting for runs: the events as they come, then how each ended, then one exit code.

Used by every command that opens runs and by `runs watch`. It waits for the end of the run (or for a question), never
for a state of something else, and outlives a restart of the daemon. Stopping to wait never stops the run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from . import exits
from .client import Client, path_of
from .failures import Failure
from .painting import Painter, Watched, painter_for
from .screen import Screen
from .session import Session
from .telling import paint_endings, tell_question

_PACE: Final = 1.0
_DEAF: Final = 120.0


class Wait:
    """Waits for `runs` (views of the API). `monotonic` and `sleep` are the clock's."""

    def __init__(
        self,
        session: Session,
        runs: Sequence[Mapping[str, Any]],
        monotonic: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._session = session
        self._client: Client = session.client
        self._monotonic = monotonic
        self._sleep = sleep
        self.runs = [Watched(str(one["id"]), str(one["credential"]), str(one["kind"])) for one in runs]
        for run, view in zip(self.runs, runs, strict=True):
            run.take(view)
        self._deaf_since: float | None = None

    def follow(self) -> bool:
        """Until all have ended or wait for a person. False: --timeout was first."""
        until = None if self._session.timeout is None else self._monotonic() + self._session.timeout
        painter = painter_for(self._session, len(self.runs))
        painter.begin(self.runs)
        try:
            while pending := [run for run in self.runs if run.exit is None]:
                if until is not None and self._monotonic() >= until:
                    return False
                before = self._monotonic()
                room = _PACE if until is None else max(0.0, min(_PACE, until - before))
                if not self._round(pending, painter, room):
                    painter.silent(self._monotonic() - before)
                painter.tick(self.runs)
        except KeyboardInterrupt:
            raise self._interrupted() from None
        finally:
            painter.end(self.runs)
        return True

    def _round(self, pending: Sequence[Watched], painter: Painter, room: float) -> bool:
        """Ask for each run's events once; the first question waits a while, so that nobody spins."""
        began, news = self._monotonic(), False
        for number, run in enumerate(pending):
            try:
                news |= self._ask(run, painter, room if number == 0 else 0.0)
                self._deaf_since = None
            except Failure as failure:
                self._deaf(failure)
                break
        if not news and (rest := room - (self._monotonic() - began)) > 0:
            self._sleep(rest)
        return news

    def _ask(self, run: Watched, painter: Painter, wait: float) -> bool:
        query = [("after", str(run.after)), ("wait", f"{wait:g}")]
        page = self._client.get(path_of("runs", run.id, "events"), query, timeout=wait + 30)
        for item in page["items"]:
            run.after = max(run.after, int(item["sequence"]))
            painter.event(run, item)
        if page["exit"] is not None:
            run.ending = page["ending"]
            run.take(self._client.get(path_of("runs", run.id)))
            run.exit = int(page["exit"])
        elif page["items"]:
            run.take(self._client.get(path_of("runs", run.id)))
        return bool(page["items"]) or run.exit is not None

    def _deaf(self, failure: Failure) -> None:
        """The daemon may be restarting: its runs go on when it is back."""
        if failure.exit != exits.UNREACHABLE:
            raise failure
        now = self._monotonic()
        if self._deaf_since is None:
            self._deaf_since = now
            self._session.note("the daemon does not answer; waiting for it to come back")
        if now - self._deaf_since > _DEAF:
            failure.do = tuple(f"rotator runs watch {run.id}" for run in self.runs if run.exit is None)
            raise failure

    def _interrupted(self) -> Failure:
        left = [run for run in self.runs if run.exit is None]
        return Failure(
            "ROT-INTERRUPTED",
            f"stopped waiting; {len(left)} run{'s go' if len(left) != 1 else ' goes'} on in the daemon",
            exits.INTERRUPTED,
            run=left[0].id if len(left) == 1 else "",
            do=tuple(f"rotator runs watch {run.id}" for run in left),
        )


def wait_for(session: Session, answer: Mapping[str, Any], *, wait: bool) -> int:
    """Show an answer with `runs` (and `refused`): after waiting, or at once. The exit code."""
    from rotator.daemon.clock import SystemClock

    system = SystemClock()
    runs, refused = list(answer.get("runs", ())), list(answer.get("refused", ()))
    waiting = Wait(session, runs, system.monotonic, system.sleep)
    in_time = waiting.follow() if wait and runs else True
    codes = [exits.CONFLICT for _ in refused]
    codes += [exits.STILL_RUNNING if run.exit is None else run.exit for run in waiting.runs] if wait else []
    if not wait and runs:
        codes.append(exits.OK)
    code = exits.of_many(codes)
    document = {
        **answer,
        "runs": [
            {**run.view, "ending": run.ending if wait else run.view.get("ending"), "exit": run.exit}
            for run in waiting.runs
        ],
        "exit": code,
    }
    session.show(document, _painter(waiting.runs, refused, wait))
    _tell(session, waiting.runs, in_time=in_time)
    return code


def _painter(runs: Sequence[Watched], refused: Sequence[Mapping[str, Any]], wait: bool) -> Callable[[Screen], None]:
    def paint(screen: Screen) -> None:
        paint_endings(screen, runs, refused, wait=wait)

    return paint


def _tell(session: Session, runs: Sequence[Watched], *, in_time: bool) -> None:
    """What a person must know beside the table."""
    for run in runs:
        if run.exit == exits.UNCERTAIN:
            tell_question(session.err, run.view)
    left = [run for run in runs if run.exit is None]
    if not in_time:
        session.err.line(f"--timeout ended first; {len(left)} of {len(runs)} still run in the daemon")
        for run in left:
            session.err.line(f"  rotator runs watch {run.id}")
