"""Opens a configured store: the one function that the daemon's bootstrap calls.

It sends nothing and creates nothing; `create_key` and `create_local` make a local store on a person's command.
"""

from __future__ import annotations

from contextlib import suppress

from rotator.plugin_api import PluginError

from .aws_config import AssumeRole, AwsConfig, DefaultChain, WebIdentity
from .contract import Store
from .local import LocalConfig, create_key, create_local, open_local
from .vault import (
    AppRole,
    Auth,
    Certificate,
    Deliveries,
    Jwt,
    Kubernetes,
    TokenFile,
    VaultConfig,
    VaultStore,
    open_vault,
)
from .versioned import Clock

__all__ = [
    "AppRole", "AssumeRole", "Auth", "AwsConfig", "Certificate", "DefaultChain", "Deliveries", "Jwt", "Kubernetes",
    "LocalConfig", "StoreConfig", "TokenFile", "VaultConfig", "WebIdentity", "create_key", "create_local", "open_store",
    "pick_up",
]  # fmt: skip

StoreConfig = VaultConfig | LocalConfig | AwsConfig


def open_store(config: StoreConfig, clock: Clock, deliveries: Deliveries | None = None) -> Store:
    """The store of a configuration; Misconfigured as `open_vault`, `open_local`, `open_aws` say. Close it at the end.
    `deliveries`: the daemon's one memory of wrapped secret ids, over all Vault stores and reloads."""
    match config:
        case VaultConfig():
            return open_vault(config, clock, deliveries)
        case LocalConfig():
            return open_local(config, clock)
        case AwsConfig():
            from .aws import open_aws  # the SDK is slow to import, and most installations have no use for it

            return open_aws(config, clock)


def pick_up(store: Store) -> None:
    """Let a store unwrap a secret id that was delivered to it since; other stores have no deliveries. Raises nothing
    that a store may raise."""
    if isinstance(store, VaultStore):
        with suppress(PluginError):
            store.pick_up()
