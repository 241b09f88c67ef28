"""The plugin host: finds plugins, objects to contradictory ones, and stands between them and everything else.

Called by the daemon's bootstrap (discovery, declarations, shapes) and by `perform` (platforms). Only this room knows a
version of the plugin API. A plugin runs in our process and is as trusted as the daemon; what the host checks protects
against mistakes and against hostile platforms, not against hostile plugins.
"""

from .declare import Objection, objections
from .discovery import BrokenPlugin, Loaded, discover
from .endpoint import Acting, ConfigFault, Connection, make_config
from .gateway import Gateway, HostedPlatform
from .shape import to_core_traits, to_kind_traits
from .trial import Finding, try_endpoint

__all__ = [
    "Acting",
    "BrokenPlugin",
    "ConfigFault",
    "Connection",
    "Finding",
    "Gateway",
    "HostedPlatform",
    "Loaded",
    "Objection",
    "discover",
    "make_config",
    "objections",
    "to_core_traits",
    "to_kind_traits",
    "try_endpoint",
]
