"""The one thread that writes: it drains a queue, commits once, then lets every caller go (group commit).

Many connections that write to one SQLite file wait in sleeps, for seconds; one writer with a queue does not, and one
fsync serves all who came meanwhile. Used by `sqlite` for every write. The rules:

- a caller is let go only when its own item is durable, or surely not recorded;
- each item has a savepoint: one that fails never rolls back its neighbours;
- when the transaction itself breaks (disk full, I/O, a commit that fails), nothing of the group was recorded; the items
  are then done one by one, so that what fits is kept and each caller hears of its own fate;
- an item is therefore a function of the connection alone, and may be called twice; it must have no other effect.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from rotator.engine.ports import LedgerError

from .failures import code_of

T = TypeVar("T")

GROUP: Final = 256
"""Items in one commit at most: bounds how long the first of them waits."""


@dataclass(frozen=True, slots=True)
class WriterFigures:
    """Since the opening: commits made, items in them, the most in one, groups that broke and were done one by one."""

    commits: int = 0
    items: int = 0
    largest: int = 0
    broken: int = 0


class _Item:
    __slots__ = ("failed", "future", "result", "work")

    def __init__(self, work: Callable[[Connection], Any]) -> None:
        self.work = work
        self.future: Future[Any] = Future()
        self.result: Any = None
        self.failed: BaseException | None = None

    def settle(self, error: BaseException | None = None) -> None:
        """Let the caller go."""
        error = error or self.failed
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(self.result)


class _Broken(Exception):
    """The transaction itself is gone, nothing of it was recorded; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Writer:
    """`engine` gives connections whose transactions begin IMMEDIATE; one is used at a time. Ended by `close`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._closing = False
        self._gate = threading.Lock()
        self.figures = WriterFigures()
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    def do(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in the next transaction and wait until it is durable. Raises what `work` raised, or LedgerError:
        then nothing of it was recorded."""
        item = _Item(work)
        with self._gate:
            if self._closing:
                raise LedgerError("closed")
            self._queue.put(item)
        result: T = item.future.result()
        return result

    def close(self) -> None:
        """Finish what is queued, refuse what comes after, end the thread. May be called twice."""
        with self._gate:
            if not self._closing:
                self._closing = True
                self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        last = False
        while not last:
            group, last = self._next_group()
            try:
                if group:
                    self._commit_group(group)
            except BaseException as error:
                # The thread outlives everything, and every caller hears of it.
                self._forget_connection()
                code = error.code if isinstance(error, _Broken) else code_of(error)
                for item in group:
                    if not item.future.done():
                        item.settle(LedgerError(code))
        self._forget_connection()

    def _next_group(self) -> tuple[list[_Item], bool]:
        item = self._queue.get()
        group: list[_Item] = []
        while item is not None:
            group.append(item)
            if len(group) == GROUP:
                return group, False
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    def _commit_group(self, group: list[_Item]) -> None:
        try:
            self._transaction(group)
        except _Broken as broken:
            self._forget_connection()
            if len(group) == 1 or broken.code == "locked":
                raise
            self._count(broken=1)
            for item in group:
                self._alone(item)
            return
        for item in group:
            item.settle()

    def _alone(self, item: _Item) -> None:
        try:
            self._transaction([item])
        except _Broken as broken:
            self._forget_connection()
            item.settle(LedgerError(broken.code))
        else:
            item.settle()

    def _transaction(self, group: list[_Item]) -> None:
        """All items of the group in one transaction, or _Broken and nothing at all."""
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            with self._connection.begin():
                for item in group:
                    self._item(self._connection, item)
        except SQLAlchemyError as error:
            raise _Broken(code_of(error)) from None
        self._count(commits=1, items=len(group), largest=len(group))

    def _item(self, connection: Connection, item: _Item) -> None:
        item.result, item.failed = None, None
        savepoint = connection.begin_nested()
        try:
            item.result = item.work(connection)
        except SQLAlchemyError as error:
            code = code_of(error)
            if not _in_transaction(connection):
                raise _Broken(code) from None  # SQLite has rolled the whole transaction back by itself
            savepoint.rollback()
            item.failed = LedgerError(code)
        except Exception as error:
            # A refusal, or a bug of the caller's: its own, not its neighbours'.
            savepoint.rollback()
            item.failed = error
        else:
            savepoint.commit()

    def _forget_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                connection.invalidate()
            with suppress(SQLAlchemyError):
                connection.close()

    def _count(self, commits: int = 0, items: int = 0, largest: int = 0, broken: int = 0) -> None:
        old = self.figures
        self.figures = WriterFigures(
            old.commits + commits, old.items + items, max(old.largest, largest), old.broken + broken
        )


def _in_transaction(connection: Connection) -> bool:
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw.in_transaction
