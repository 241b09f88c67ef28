"""The whole configuration as one frozen model, and how it is kept as plain JSON.

Made by the loader or, when no file changed, from the ledger's copy. Objections that need more than one part of it are
in `objections.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from .connections import Daemon, Endpoint, Plugins, Store
from .freezes import Freeze, strange_labels
from .governance import Credential, Policy
from .notify import Notify, references_of
from .values import Installation, Model, refuse

API_VERSION = "rotator/v1"
SECTIONS = ("stores", "endpoints", "policies", "credentials", "freezes")


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
    freezes: Mapping[str, Freeze] = Field(default_factory=dict)
    """Spans of time in which nothing is changed that can wait."""
    notify: Notify | None = None
    """Who is told of what."""

    @model_validator(mode="after")
    def _labels_that_exist(self) -> Configuration:
        """A selector by a label that no credential has is a slip, and would hold or tell nothing in silence."""
        known = frozenset(label for one in self.credentials.values() for label in one.labels)
        routes = self.notify.routes if self.notify else {}
        asked: list[tuple[tuple[str, ...], str | None]]
        asked = [(("freezes", name, "only"), one.only) for name, one in self.freezes.items()]
        asked += [(("notify", "routes", name, "only"), route.only) for name, route in routes.items()]
        for path, text in asked if self.credentials else []:
            for label in strange_labels(text, known) if text else []:
                raise refuse("CFG-UNKNOWN-REF", f"no credential has a label `{label}`", at=path)
        return self

    @model_validator(mode="after")
    def _stores_that_exist(self) -> Configuration:
        for path, ref in references_of(self.notify):
            if ref.store is not None and ref.store not in self.stores:
                raise refuse("CFG-UNKNOWN-REF", "no store of this name is defined under `stores`", at=(*path, "store"))
        return self

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
