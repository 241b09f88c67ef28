"""Exchanges with AWS: one client for a store, one deadline for a call, one request for an attempt.

Made by `aws.open_aws`, used by `aws_secret` and `aws_check`. It must never repeat a write, nor let out an exception of
the SDK: they repeat parameters, values among them.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from rotator.effects.transport import Transport
from rotator.effects.transport_retry import read_patiently
from rotator.plugin_api import Failed, Misconfigured, OutcomeUnknown

from .aws_config import AwsConfig
from .aws_errors import translated
from .aws_login import make_client
from .aws_wire import Wire
from .versioned import Clock

T = TypeVar("T")
Answer = dict[str, Any]


class Line:
    """The one client of a store, shared by its threads: made at the first request, and anew when AWS refused it."""

    def __init__(self, config: AwsConfig, clock: Clock) -> None:
        self.config = config
        self.clock = clock
        self.wire = Wire(_transport(config, clock))
        self._lock = threading.Lock()
        self._client: Any = None

    def call(self) -> Call:
        """A view for one call of the store; its deadline starts now."""
        return Call(self, self.clock.monotonic() + self.config.call_s)

    def client(self) -> Any:
        """The client. Raises what the SDK raises."""
        with self._lock:
            if self._client is None:
                self._client = make_client(self.config, self.wire)
            return self._client

    def refused(self, client: Any) -> None:
        """Forget a client whose login was refused: the next one reads the SDK's sources again."""
        with self._lock:
            if self._client is client:
                self._client = None

    def close(self) -> None:
        """Release connections."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = None


class Call:
    """What one call of the store may still do: requests until its deadline."""

    def __init__(self, line: Line, deadline: float) -> None:
        self._line = line
        self._deadline = deadline
        self._wrote = False

    def read(self, operation: str, **parameters: Any) -> Answer:
        """An answer to a question; repeated within the call when it failed in passing. Never OutcomeUnknown."""
        return self.patiently(lambda: self.ask(operation, **parameters))

    def ask(self, operation: str, **parameters: Any) -> Answer:
        """The same, one request."""
        return self._exchange(operation, parameters, writing=False)

    def write(self, operation: str, **parameters: Any) -> Answer:
        """One request, whatever comes of it. OutcomeUnknown: it may have been done."""
        return self._exchange(operation, parameters, writing=True)

    def patiently(self, read: Callable[[], T]) -> T:
        """A read of several requests, repeated within the call when it failed in passing."""
        return read_patiently(read, self._line.clock, self._deadline)

    def pause(self, seconds: float) -> None:
        """Wait, unless the call would end meanwhile: then the next request fails for its deadline."""
        if self._line.clock.monotonic() + seconds < self._deadline:
            self._line.clock.sleep(seconds)

    def _exchange(self, operation: str, parameters: Answer, *, writing: bool) -> Answer:
        left = self._deadline - self._line.clock.monotonic()
        if left <= 0:
            raise Failed("deadline", unsent=not self._wrote)
        self._line.wire.allow(min(left, self._line.config.request_s))
        failure: Exception
        client: Any = None
        try:
            client = self._line.client()
            answer = getattr(client, operation)(**parameters)
        except Exception as error:  # whatever the SDK raises may repeat a parameter
            failure = translated(error, writing=writing)
        else:
            # A body that is no whole JSON comes as an empty answer without an error.
            if isinstance(answer, dict) and isinstance(answer.get("ARN"), str):
                self._wrote = self._wrote or writing
                return answer
            failure = OutcomeUnknown("incomplete_answer") if writing else Failed("incomplete_answer")
        if isinstance(failure, Misconfigured) and failure.reason in {"store_login_refused", "store_login_missing"}:
            self._line.refused(client)
        if isinstance(failure, Failed) and failure.unsent:
            failure.unsent = not self._wrote  # this request never left, but one before it did
        else:
            self._wrote = self._wrote or writing
        raise failure


def _transport(config: AwsConfig, clock: Clock) -> Transport:
    """Misconfigured("store_ca") if the bundle of authorities cannot be read."""
    try:
        return Transport(clock, ca=config.ca, insecure=config.insecure)
    except (OSError, ssl.SSLError):
        failure = Misconfigured("store_ca")
    raise failure
