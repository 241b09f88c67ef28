"""One daemon a ledger: a lock on a file beside it, held while the daemon lives. Taken by the daemon's bootstrap.

The kernel lets it go when the process ends, however it ends. The lock file is never removed: a second process could
then lock a file that nobody sees. It protects against a second *daemon*; that two processes on one file do no harm to
the data is the business of transactions and fencing.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rotator.engine.ports import LedgerError

from .failures import translated


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Hold the lock of the ledger at `path`. Raises LedgerError("second_daemon")."""
    lock = path.with_name(path.name + ".lock")
    with translated():
        descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LedgerError("second_daemon") from None
        except OSError:
            raise LedgerError("unavailable") from None
        yield
    finally:
        os.close(descriptor)
