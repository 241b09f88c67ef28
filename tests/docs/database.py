"""python -m tests.docs.database: a real PostgreSQL for the walk of README.md, until Ctrl-C.

Writes the variables by which `psql` finds it into a file that only you can read, and prints its path.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from pathlib import Path

from tests.lab.postgres import Postgres, tools


def write_private(path: Path, text: str) -> None:
    """A file of mode 0600, replaced whole; never through a link that somebody else made."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as out:
        out.write(text)


def variables(server: Postgres, passwords: Path) -> dict[str, str]:
    """What `psql` must know. The password stands in a file of its own, as psql expects it, not in the environment."""
    write_private(passwords, f"127.0.0.1:{server.port}:*:{server.superuser}:{server.password}\n")
    return {
        "PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": server.superuser, "PGDATABASE": "postgres",
        "PGPASSFILE": str(passwords), "PATH": f"{tools()}:{os.environ.get('PATH', os.defpath)}",
    }  # fmt: skip


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.docs.database", description="A PostgreSQL for the first walk."
    )
    parser.add_argument("--env", type=Path, default=Path("/tmp/first-database.env"), help="the file to write")
    where = parser.parse_args().env.resolve()
    passwords = where.with_suffix(".pgpass")
    try:
        with Postgres() as server:
            found = variables(server, passwords)
            write_private(where, "".join(f"export {name}={shlex.quote(text)}\n" for name, text in found.items()))
            sys.stdout.write(f"it runs; in the other terminal:  . {where}\n")
            sys.stdout.flush()
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
    finally:
        for path in (where, passwords):
            path.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    sys.exit(main())
