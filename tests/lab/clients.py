"""Clients of the demo: each uses its credential many times a second, reading the store anew, and counts refusals.

They are what the users of a credential are: they know nothing of rotations. At the end each tries every value it ever
held. They ask the servers past every proxy, and read the store as root: they are witnesses, not parts.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from tests.lab.estate import Estate
from tests.lab.process import LabError
from tests.lab.shapes import Roles, Shape


@dataclass(slots=True)
class Refusal:
    """One use that was refused: seconds since the client began."""

    at_s: float


@dataclass(slots=True)
class Client:
    """One user of one credential. `uses` and `refusals` are read when it has stopped."""

    estate: Estate
    shape: Shape
    per_second: float = 12.0
    uses: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _began: float = 0.0
    _ended: float = 0.0

    def start(self) -> None:
        """Begin to use the credential."""
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._loop, name=f"client {self.shape.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the use under way."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(30)
        self._ended = time.monotonic()

    @property
    def rate(self) -> float:
        """Uses a second, as measured."""
        return self.uses / max(0.001, (self._ended or time.monotonic()) - self._began)

    @property
    def out_for_s(self) -> float:
        """Seconds from the first refusal to the last, the single slot's exposure as its user saw it."""
        return self.refusals[-1].at_s - self.refusals[0].at_s if self.refusals else 0.0

    def _loop(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            self._use()
            self._stop.wait(max(0.0, 1 / self.per_second - (time.monotonic() - began)))

    def _use(self) -> None:
        """Read what the store (and for a consumer's user, the file) says now, and use it."""
        try:
            pair = self.shape.current(self.estate)
            if isinstance(self.shape, Roles) and self.shape.alternating:
                pair = self.shape.held(self.estate)  # this user reads the consumer's file
            if pair is None:
                return
            self.shape.watched.see(*pair)
            self.uses += 1
            if not self.shape.accepts(self.estate, *pair):
                # The value may have changed between reading and using: a user reads again, once.
                again = self.shape.current(self.estate)
                if again is not None and again != pair and self.shape.accepts(self.estate, *again):
                    return
                self.refusals.append(Refusal(time.monotonic() - self._began))
        except (OSError, LabError) as trouble:
            self.troubles.append(type(trouble).__name__)

    def still_accepted(self) -> list[str]:
        """Principals whose older values are still accepted: what the client found by trying all it ever held."""
        current = self.shape.current(self.estate)
        return [
            principal
            for principal, value in self.shape.watched.values
            if (principal, value) != current and self.shape.accepts(self.estate, principal, value)
        ]
