"""The whole configuration as one frozen model, and how it is kept as plain JSON.

Made by the loader or, when no file changed, from the ledger's copy. Objections that need more than one part of it are
in `objections.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from .connections import Daemon, Endpoint, Plugins, Store
from .governance import Credential, Policy
from .values import Installation, Model

API_VERSION = "rotator/v1"
SECTIONS = ("stores", "endpoints", "policies", "credentials")


class Configuration(Model):
    """Everything that is configured."""

    api_version: Literal["rotator/v1"] = Field(alias="apiVersion")
    """Version of this language."""
    installation: Installation
    """Name of this ledger: 1 to 12 of a-z, 0-9 and -. It stands in store paths and labels: never change it."""
    daemon: Daemon
    """The daemon itself."""
    plugins: Plugins | None = None
    """Which plugins may be imported; none said: those that endpoints name."""
    stores: Mapping[str, Store] = Field(default_factory=dict)
    """Where values live."""
    endpoints: Mapping[str, Endpoint] = Field(default_factory=dict)
    """Connections to platforms."""
    policies: Mapping[str, Policy] = Field(default_factory=dict)
    """When credentials change, and how carefully."""
    credentials: Mapping[str, Credential] = Field(default_factory=dict)
    """What is governed."""

    @property
    def allowed_plugins(self) -> frozenset[str]:
        """The plugins that may be imported."""
        if self.plugins is not None:
            return frozenset(self.plugins.allow)
        return frozenset(endpoint.plugin for endpoint in self.endpoints.values())


def to_json(configuration: Configuration) -> str:
    """The effective configuration as JSON text, keys sorted: equal configurations give equal texts. No secret in it."""
    plain = configuration.model_dump(mode="json", by_alias=True, exclude_none=True)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))


def from_json(text: str) -> Configuration:
    """What `to_json` wrote, as the same configuration. Raises pydantic.ValidationError when the language changed."""
    return Configuration.model_validate(json.loads(text))


def schema() -> dict[str, Any]:
    """JSON Schema of the configuration."""
    return Configuration.model_json_schema(by_alias=True)
