"""The ledger: journal and projections in one transaction, on SQLite or PostgreSQL. Used by the daemon's bootstrap; the
engine knows the port only (`rotator.engine.ports.Ledger`). The only room that knows SQLAlchemy. Never holds a value.

PostgreSQL is imported by whoever wants it (`rotator.ledger.postgres`): its driver is not needed on one machine.
"""

from __future__ import annotations

from .sqlite import SqliteLedger, open_ledger

__all__ = ["SqliteLedger", "open_ledger"]
