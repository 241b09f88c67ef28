"""The ledger: journal and projections in one transaction, on SQLite. Used by the daemon's bootstrap; the engine knows
the port only (`rotator.engine.ports.Ledger`). The only room that knows SQLAlchemy. Must never hold a value.
"""

from __future__ import annotations

from .sqlite import SqliteLedger, open_ledger

__all__ = ["SqliteLedger", "open_ledger"]
