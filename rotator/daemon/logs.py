"""The log: structured lines on one stream, with nothing in them that could be a secret.

Set up once by the bootstrap; every room logs with `structlog.get_logger()`. The order is context, level, time, *gate*
(event and fields must be in the catalogue, values must be scalars), exceptions, rendering. What a library logs comes in
through the standard library and leaves as one event with its template, never with its text: texts of libraries carry
addresses, headers and answers. Must never print locals, messages of exceptions, or anything below WARNING of a library.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, MutableMapping
from types import TracebackType
from typing import Any, Final, TextIO

import structlog

from rotator.engine.ports import Clock

from .catalogue import CONTEXT, EVENTS

LIBRARIES: Final = (
    "urllib3", "requests", "hvac", "boto3", "botocore", "apscheduler", "sqlalchemy", "psycopg", "tzlocal",
)  # fmt: skip
LEVELS: Final = ("debug", "info", "warning", "error")
_LONGEST: Final = 300
_FRAMES: Final = 30
_RESERVED: Final = frozenset({"event", "level", "at", "exc_info"})

Line = MutableMapping[str, Any]
_HOOKS: Final = (threading.excepthook, sys.unraisablehook, sys.excepthook)


class LogRefused(Exception):
    """A log line that the catalogue does not know. Raised where `strict`, so that a test fails; names fields only."""


def configure_logs(
    clock: Clock, *, level: str = "info", console: bool = False, strict: bool = False, stream: TextIO | None = None
) -> None:
    """Set the pipeline of the whole process. `strict` raises LogRefused where production leaves out and says so.

    `console`: words for a terminal in place of one JSON object a line. Standard output unless `stream` is given.
    """
    if level not in LEVELS:
        raise ValueError(f"the level is one of {', '.join(LEVELS)}")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _stamp(clock),
            _gate(strict),
            _exception,
            _render_words if console else _render_json,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=stream or sys.stdout),
        cache_logger_on_first_use=False,
    )
    _route_libraries()
    threading.excepthook = _of_thread
    sys.unraisablehook = _of_destructor
    sys.excepthook = _of_main


def unconfigure_logs() -> None:
    """Give the standard library's logging back. For tests and for a process that goes on after the daemon."""
    threading.excepthook, sys.unraisablehook, sys.excepthook = _HOOKS
    logging.captureWarnings(False)
    root = logging.getLogger()
    root.handlers = [one for one in root.handlers if not isinstance(one, _LibraryHandler)]
    logging.disable(logging.NOTSET)
    structlog.reset_defaults()


def _route_libraries() -> None:
    """One handler for all of the standard library's loggers; what a library had set up for itself is taken away."""
    # A level can be set back by anybody (`urllib3.add_stderr_logger()`); this holds whatever they set.
    logging.disable(logging.INFO)
    # Warnings of the interpreter name addresses and would be printed; they come in as a library's.
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.handlers = [one for one in root.handlers if not isinstance(one, logging.StreamHandler)]
    if not any(isinstance(one, _LibraryHandler) for one in root.handlers):
        root.addHandler(_LibraryHandler())
    root.setLevel(logging.WARNING)
    for name in LIBRARIES:
        logger = logging.getLogger(name)
        logger.setLevel(logging.WARNING)
        logger.handlers = []
        logger.propagate = True


# What nobody caught is printed with its message by the interpreter; here it becomes an event like every other.


def _of_thread(hook: threading.ExceptHookArgs) -> None:
    if hook.exc_type is not SystemExit:
        name = "" if hook.thread is None else hook.thread.name
        structlog.get_logger().error("daemon.uncaught", thread=name[:100], exc_info=hook.exc_value)


def _of_destructor(hook: sys.UnraisableHookArgs) -> None:
    structlog.get_logger().error("daemon.uncaught", thread="destructor", exc_info=hook.exc_value)


def _of_main(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    structlog.get_logger().error("daemon.uncaught", thread="main", exc_info=error)


class _LibraryHandler(logging.Handler):
    """Turns a record of the standard library's logging into an event of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            structlog.get_logger().log(
                max(record.levelno, logging.WARNING),
                "daemon.library.message",
                library=record.name,
                severity=record.levelname.lower(),
                place=f"{record.module}:{record.lineno}",
                # A message with arguments is a template; one without may have been put together of anything.
                template=record.msg if record.args and isinstance(record.msg, str) else "",
                exc_info=record.exc_info or None,
            )
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """The standard one prints the message and its arguments."""


def _stamp(clock: Clock) -> Callable[[Any, str, Line], Line]:
    """UTC, RFC 3339, milliseconds."""
    # Local: views needs the whole machine, and a process that only logs should not load it for a date.
    from rotator.engine.views import instant

    def stamp(_logger: Any, _method: str, line: Line) -> Line:
        line["at"] = instant(clock.now())
        return line

    return stamp


def _gate(strict: bool) -> Callable[[Any, str, Line], Line]:
    """Only events and fields of the catalogue, and scalars, pass."""

    def gate(_logger: Any, _method: str, line: Line) -> Line:
        name = line.get("event")
        known = EVENTS.get(name) if isinstance(name, str) else None
        allowed = CONTEXT if known is None else CONTEXT | known.fields
        bad = sorted(
            key for key, value in line.items() if key not in _RESERVED and (key not in allowed or not _scalar(value))
        )
        if known is not None and not bad:
            return line
        if strict:
            raise LogRefused(
                f"{name if known else 'an event'} is not in the catalogue with: {', '.join(bad) or 'this name'}"
            )
        kept = {key: value for key, value in line.items() if key not in bad}
        if known is None:
            # The name may be anything that somebody put there: it is told only if it looks like one of ours.
            shown = (
                name
                if isinstance(name, str) and len(name) < 64 and name.replace(".", "").replace("_", "").islower()
                else ""
            )
            kept |= {"event": "daemon.log.refused", "name": shown}
        kept["left_out"] = ",".join(bad)[:_LONGEST]
        return kept

    return gate


def _scalar(value: Any) -> bool:
    return value is None or type(value) in {bool, int, float} or (isinstance(value, str) and len(value) <= _LONGEST)


def _exception(_logger: Any, _method: str, line: Line) -> Line:
    """Types and frames only: messages of exceptions carry what vendors put there, locals carry values."""
    given = line.pop("exc_info", None)
    if not given:
        return line
    error = given if isinstance(given, BaseException) else given[1] if isinstance(given, tuple) else sys.exc_info()[1]
    if error is not None:
        line["exception"] = describe_exception(error)
    return line


def describe_exception(error: BaseException) -> str:
    """The chain of types with their frames (`module:line function`), innermost last, without any message."""
    parts: list[str] = []
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        parts.append(f"{type(one).__module__}.{type(one).__qualname__} at {_frames(one.__traceback__)}")
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return " from ".join(parts)


def _frames(traceback: TracebackType | None) -> str:
    frames: list[str] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        module = traceback.tb_frame.f_globals.get("__name__", "?")
        frames.append(f"{module}:{traceback.tb_lineno} {code.co_name}")
        traceback = traceback.tb_next
    return " > ".join(frames[-_FRAMES:]) or "?"


def _render_json(_logger: Any, _method: str, line: Line) -> str:
    ordered = {key: line[key] for key in ("at", "level", "event") if key in line}
    return json.dumps(ordered | {key: line[key] for key in sorted(line) if key not in ordered}, ensure_ascii=True)


def _render_words(_logger: Any, _method: str, line: Line) -> str:
    rest = " ".join(
        f"{key}={json.dumps(line[key]) if isinstance(line[key], str) and not _plain(line[key]) else line[key]}"
        for key in sorted(line)
        if key not in _RESERVED and line[key] is not None
    )
    return f"{line.get('at')} {line.get('level')!s:<8} {line.get('event')}  {rest}".rstrip()


def _plain(text: str) -> bool:
    """Nothing in it that would need quotes or could move a terminal's cursor."""
    return bool(text) and text.isprintable() and not any(one in ' "=' for one in text)
