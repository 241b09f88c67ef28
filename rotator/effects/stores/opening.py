"""Opens a configured store: the one function that the daemon's bootstrap calls.

It sends nothing and creates nothing; `create_key` and `create_local` make a local store on a person's command.
"""

from __future__ import annotations

from .contract import Store
from .local import LocalConfig, create_key, create_local, open_local
from .vault import AppRole, TokenFile, VaultConfig, open_vault
from .versioned import Clock

__all__ = ["AppRole", "LocalConfig", "TokenFile", "VaultConfig", "create_key", "create_local", "open_store"]

StoreConfig = VaultConfig | LocalConfig


def open_store(config: StoreConfig, clock: Clock) -> Store:
    """The store of a configuration; Misconfigured as `open_vault` and `open_local` say. Close it at the end."""
    return open_vault(config, clock) if isinstance(config, VaultConfig) else open_local(config, clock)
