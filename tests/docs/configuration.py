"""The tables of docs/configuration.md, from the models of `rotator.settings`: every key, type, default, description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rotator.settings.models import schema
from rotator.settings.values import format_duration

from .blocks import table

NAME = "configuration"
TITLES = {
    "Configuration": "The whole file",
    "Daemon": "`daemon`",
    "Brake": "`daemon.brake`",
    "FileRef": "A value in a file",
    "Plugins": "`plugins`",
    "VaultStore": "`stores.NAME`, `type: vault`",
    "VaultAuth": "`stores.NAME.auth`",
    "AppRole": "`stores.NAME.auth.approle`",
    "TokenLogin": "`stores.NAME.auth.token`",
    "JwtLogin": "`stores.NAME.auth.jwt`",
    "KubernetesLogin": "`stores.NAME.auth.kubernetes`",
    "CertLogin": "`stores.NAME.auth.cert`",
    "LocalStore": "`stores.NAME`, `type: local`",
    "AwsStore": "`stores.NAME`, `type: aws`",
    "AwsAuth": "`stores.NAME.auth` of `type: aws`",
    "AwsRole": "`stores.NAME.auth.role` of `type: aws`",
    "AwsWebIdentity": "`stores.NAME.auth.web_identity`",
    "Endpoint": "`endpoints.NAME`",
    "Limits": "`endpoints.NAME.limits`",
    "StoreLimits": "`stores.NAME.limits`",
    "Breaker": "`limits.breaker` of an endpoint or store",
    "Ban": "`limits.ban` of an endpoint or store",
    "Login": "`endpoints.NAME.admin`",
    "ValueRef": "A reference to a value",
    "TraitOverrides": "`endpoints.NAME.traits`",
    "ProbeLimitOverride": "`endpoints.NAME.traits.probe_limit`",
    "Policy": "`policies.NAME`",
    "Window": "`policies.NAME.window`",
    "Patience": "`policies.NAME.patience`",
    "KillPatience": "`policies.NAME.kill_patience`",
    "Proof": "`policies.NAME.proof`",
    "Pause": "`policies.NAME.pause`",
    "Credential": "`credentials.NAME`",
    "Authority": "`credentials.NAME.authority`, one of `authorities`",
    "StorePlace": "`credentials.NAME.store`",
    "Consumer": "one of `credentials.NAME.consumers`",
    "Freeze": "`freezes.NAME`",
    "Notify": "`notify`",
    "WebhookChannel": "`notify.channels.NAME`, `type: webhook`",
    "MailChannel": "`notify.channels.NAME`, `type: mail`",
    "MailLogin": "`notify.channels.NAME.login`",
    "Route": "`notify.routes.NAME`",
}
"""Every model, in the order of the document. A test fails when one is missing or dead."""


def models() -> dict[str, Any]:
    """The JSON Schema of each model by its name, the whole file as `Configuration`."""
    whole = schema()
    return {"Configuration": whole, **whole["$defs"]}


def body() -> str:
    """The Markdown of the block."""
    known = models()
    parts = []
    for name, title in TITLES.items():
        model = known[name]
        needed = set(model.get("required", ()))
        rows = []
        for key, field in model["properties"].items():
            default = "needed" if key in needed else _default(field)
            rows.append((f"`{key}`", _type(field), default, _meaning(field, known)))
        head = f"### {title}\n\n{' '.join(str(model.get('description', '')).split())}"
        parts.append(f"{head}\n\n{table(('key', 'type', 'default', 'meaning'), rows)}")
    return "\n\n".join(parts)


def _meaning(field: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    """The key's own description; where it only points at a section, that section's."""
    text = field.get("description") or known.get(str(field.get("$ref", "")).rpartition("/")[2], {}).get(
        "description", ""
    )
    return " ".join(str(text).split())


def _is_span(field: Mapping[str, Any]) -> bool:
    return "30d" in field.get("examples", ())


def _type(field: Mapping[str, Any]) -> str:
    if _is_span(field):
        return "span"
    if "$ref" in field:
        return _link(field["$ref"])
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return " or ".join(f"`{one}`" for one in field["enum"])
    for key in ("anyOf", "oneOf"):
        if key in field:
            kinds = [_type(one) for one in field[key] if one.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds))
    return _plain(field)


def _plain(field: Mapping[str, Any]) -> str:
    kind = field.get("type", "text")
    if kind == "array":
        return f"list of {_type(field.get('items', {}))}"
    if kind == "object":
        inner = field.get("additionalProperties")
        return f"names to {_type(inner)}" if isinstance(inner, Mapping) else "mapping"
    if kind in ("integer", "number"):
        least, most = field.get("minimum"), field.get("maximum")
        return "number" if least is None else f"number from {least}" + ("" if most is None else f" to {most}")
    words = {"string": "text", "boolean": "true or false"}
    shown = words.get(str(kind), str(kind))
    return f"{shown} ({field['format']})" if field.get("format") else shown


def _link(ref: str) -> str:
    name = ref.rpartition("/")[2]
    return TITLES.get(name, name)


def _default(field: Mapping[str, Any]) -> str:
    if "default" not in field:
        return "–"
    value = field["default"]
    if value is None or value in ([], {}, (), ""):
        return "–"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key}: {one}" for key, one in value.items() if one not in (None, {}, []))
        return f"`{{{inner}}}`" if inner else "–"
    return f"`{format_duration(value) if _is_span(field) else value}`"
