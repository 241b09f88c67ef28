"""The four errors that a plugin may raise: slugs, never prose, so that there is no place for a secret.

Plugins raise them, the host translates them into outcomes. A slug must stand in `Plugin.reasons` or in `RESERVED`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

RESERVED: Final = {
    "label_taken": "The label exists already at the platform; the engine looks it up.",
    "no_free_slot": "The platform takes no further value; an old one must be killed first.",
    "policy": "The platform's rules refuse this value: another is made, as often as `patience.values` allows.",
    "history": "The platform refuses a value that was used before; going back by re-install is impossible.",
    "not_found": "The account or object does not exist at the platform.",
    "acting_refused": "The acting (admin) credential is refused: check it and its permissions.",
    "throttled": "The platform asks to wait.",
    "unreachable": "No connection could be made.",
    "connection_lost": "The connection broke before the answer was complete.",
    "deadline": "The call ran out of its time.",
    "unrecognised_answer": "The answer is none that the plugin knows; look at proxies in front of the platform.",
    "incomplete_answer": "The answer lacks a part that it should have.",
    "server_error": "The platform failed inside.",
    "refused": "The platform refuses the call.",
    "redirect": "The platform answers with a redirect: correct the URL, redirects are never followed.",
    "tls": "The server's certificate is not trusted: set `ca`.",
    "too_large": "The answer is larger than allowed.",
    "address_refused": "The address is one that the daemon never calls (link-local, metadata).",
    "route_refused": "The plugin asked for a call that it has not declared.",
    "echo": "The platform or the plugin repeated a secret value where none may stand.",
    "plugin_bug": "The plugin failed; report it to its author.",
    "variable_missing": "Something that the call needs is not known: a parameter, a principal or a handle.",
    "unsendable": "The value holds characters that cannot be sent in that place, such as a line break in a header.",
    "plain_http": "Plain http is refused: use https, or set `insecure: true` at the endpoint.",
    "unexplained": "The plugin gave a reason that it does not declare; report it to its author.",
    "wrong_identity": "The value works, but as somebody else.",
}


class PluginError(Exception):
    """A plugin's answer that is not a response. `status` is a code (`401`, `28P01`), never prose."""

    def __init__(
        self, reason: str, *, status: str = "", retry_after: timedelta | None = None, unsent: bool = False
    ) -> None:
        super().__init__(reason, status)
        self.reason = reason
        self.status = status
        self.retry_after = retry_after
        self.unsent = unsent


class Refused(PluginError):
    """The platform says no and would again. A direction for the engine, never a fact: it may be untrue."""


class Failed(PluginError):
    """The platform says not done; may be repeated. `unsent` marks a request that never left."""


class OutcomeUnknown(PluginError):
    """May have been done."""


class Misconfigured(PluginError):
    """A person must change the configuration or a permission."""


class PluginBug(Exception):
    """The plugin broke its contract (the host raises it, a plugin never does). Carries a slug only."""
