"""JSON Schema of the whole language, with the part of every plugin: what an editor completes and checks.

Called by `rotator config schema`, by `config init`, and by the generator of config/schema/. Kept inside what the YAML
language server understands (draft 7, no tuples, no `$ref` beside other keys). It says less than `config validate`:
nothing that the loader takes may be wrong here, since a false error in an editor is believed.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from .models import Configuration

Draft = Literal["07", "2020-12"]
DRAFTS: Final[tuple[Draft, ...]] = ("07", "2020-12")
FILE: Final = "rotator-v1.json"
"""Its name has the version of the language: an old schema must not judge a new file."""
_DIALECTS: Final[Mapping[str, str]] = {
    "07": "http://json-schema.org/draft-07/schema#",
    "2020-12": "https://json-schema.org/draft/2020-12/schema",
}
_REFERENCE: Final = r"\$\{"
_PATTERNS: Final[Mapping[str, str]] = {"uri": "^https?://", "date": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
_SPAN: Final = "^P.+$|^([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"
_JSON_TYPES: Final[Mapping[type, str]] = {str: "string", int: "integer", bool: "boolean"}

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One key of an endpoint's `config`. `types`: str, int, bool. `url`: an origin that the plugin calls."""

    name: str
    types: tuple[type, ...]
    needed: bool
    default: str | int | bool | None = None
    description: str = ""
    url: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginPart:
    """What an endpoint of a plugin may have under `config`; of the declarative plugin one part a pack."""

    plugin: str
    pack: str = ""
    description: str = ""
    settings: tuple[Setting, ...] = ()


def schema(parts: Sequence[PluginPart] = (), draft: Draft = "2020-12") -> Schema:
    """The schema of one file of a configuration (a directory's files hold a part each: little is required)."""
    made: Schema = Configuration.model_json_schema(by_alias=True)
    definitions: dict[str, Schema] = made.pop("$defs")
    for name, one in definitions.items():
        definitions[name] = _relaxed(one)
    properties = {name: _relaxed(one) for name, one in made["properties"].items()}
    definitions["Daemon"].pop("required", None)  # several files may hold a part of it each
    _parents(definitions, properties)
    _plugins(definitions, parts)
    whole: Schema = {
        "$schema": _DIALECTS[draft],
        "$id": f"urn:rotator:v1:draft-{draft}",
        "title": "Rotator, version 1 of the language",
        "description": made["description"],
        "type": "object",
        "additionalProperties": False,
        "required": ["apiVersion"],
        "properties": properties,
        "$defs": definitions,
    }
    return _for_draft_7(whole) if draft == "07" else whole


def _relaxed(part: Any) -> Any:
    """What Pydantic says, but every text may be a reference, and nothing is said that editors do not know."""
    if isinstance(part, list):
        return [_relaxed(one) for one in part]
    if not isinstance(part, dict):
        return part
    made = {key: _relaxed(one) for key, one in part.items() if key not in ("discriminator", "title")}
    if "properties" in part:
        made["properties"] = {name: _relaxed(one) for name, one in part["properties"].items()}
    if isinstance(made.get("description"), str):
        made["description"] = " ".join(made["description"].split())
    if "$ref" in made and len(made) > 1:
        made = {"allOf": [{"$ref": made.pop("$ref")}], **made}
    if made.get("type") == "string":
        _text(made)
    return made


def _text(made: Schema) -> None:
    words = made.pop("enum", None)
    pattern = _PATTERNS.get(made.pop("format", ""), made.pop("pattern", ""))
    if "30d" in made.get("examples", ()):
        pattern = _SPAN
    if words is not None:
        made["anyOf"] = [{"enum": words}, {"pattern": _REFERENCE}]
    elif pattern:
        made["pattern"] = f"{pattern}|{_REFERENCE}"


def _parents(definitions: dict[str, Schema], properties: dict[str, Schema]) -> None:
    """A policy with a parent needs nothing, may leave out parts of a mapping, and may write `null`."""
    todo = ["Policy"]
    while todo:
        name = todo.pop()
        partial = copy.deepcopy(definitions[name])
        partial.pop("required", None)
        for key, one in partial["properties"].items():
            inner = [ref for ref in _refs(one) if f"{ref}OfParent" not in definitions]
            todo += inner
            redirected = _redirected(one)
            partial["properties"][key] = redirected if key == "parent" else _or_null(redirected)
        definitions[f"{name}OfParent"] = partial
    definitions["AnyPolicy"] = {
        "if": {"required": ["parent"]},
        "then": {"$ref": "#/$defs/PolicyOfParent"},
        "else": {"$ref": "#/$defs/Policy"},
    }
    properties["policies"]["additionalProperties"] = {"$ref": "#/$defs/AnyPolicy"}


def _refs(part: Any) -> Iterable[str]:
    if isinstance(part, list):
        for one in part:
            yield from _refs(one)
    elif isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"].rpartition("/")[2]
        for one in part.values():
            yield from _refs(one)


def _redirected(part: Any) -> Any:
    if isinstance(part, list):
        return [_redirected(one) for one in part]
    if not isinstance(part, dict):
        return part
    return {key: f"{one}OfParent" if key == "$ref" else _redirected(one) for key, one in part.items()}


def _or_null(part: Schema) -> Schema:
    if any(one.get("type") == "null" for one in part.get("anyOf", ())):
        return part
    kept: Schema = {key: part[key] for key in ("description", "default") if key in part}
    return {**kept, "anyOf": [{key: one for key, one in part.items() if key not in kept}, {"type": "null"}]}


def _plugins(definitions: dict[str, Schema], parts: Sequence[PluginPart]) -> None:
    """What stands under `config` depends on the words in `plugin` and `pack`. Unknown plugins are not judged."""
    if not parts:
        return
    endpoint = definitions["Endpoint"]
    names = sorted({one.plugin for one in parts})
    endpoint["properties"]["plugin"] = _suggested(names, endpoint["properties"]["plugin"])
    packs = sorted({one.pack for one in parts if one.pack})
    if packs:
        endpoint["properties"]["pack"] = _suggested(packs, endpoint["properties"]["pack"])
    endpoint["allOf"] = []
    for part in parts:
        name = f"config-{part.plugin}{f'-{part.pack}' if part.pack else ''}"
        definitions[name] = _config(part)
        said: Schema = {"plugin": {"const": part.plugin}}
        if part.pack:
            said["pack"] = {"const": part.pack}
        then: Schema = {"properties": {"config": {"$ref": f"#/$defs/{name}"}}}
        if any(one.needed for one in part.settings):
            then["required"] = ["config"]
        endpoint["allOf"].append({"if": {"properties": said, "required": list(said)}, "then": then})
    for plugin in names:
        if all(one.pack for one in parts if one.plugin == plugin):
            condition = {"properties": {"plugin": {"const": plugin}}, "required": ["plugin"]}
            endpoint["allOf"].append({"if": condition, "then": {"required": ["pack"]}})


def _suggested(words: list[str], part: Schema) -> Schema:
    """Words that an editor offers, beside any other text."""
    kept = {key: part[key] for key in ("description",) if key in part}
    return {**kept, "anyOf": [{"enum": words}, {"type": "string", "minLength": 1}]}


def _config(part: PluginPart) -> Schema:
    made: Schema = {"type": "object", "additionalProperties": False}
    if part.description:
        made["description"] = part.description
    made["properties"] = {one.name: _setting(one) for one in part.settings}
    needed = [one.name for one in part.settings if one.needed]
    if needed:
        made["required"] = needed
    return made


def _setting(one: Setting) -> Schema:
    names = [_JSON_TYPES[kind] for kind in one.types if kind in _JSON_TYPES]
    made: Schema = {"type": names[0]} if len(names) == 1 else {"type": names}
    if one.url:
        made["pattern"] = f"{_PATTERNS['uri']}|{_REFERENCE}"
    if one.description:
        made["description"] = one.description
    if not one.needed and one.default not in (None, ""):
        made["default"] = one.default
    return made


def _for_draft_7(part: Any) -> Any:
    """`definitions` instead of `$defs`; the rest is common to both."""
    if isinstance(part, list):
        return [_for_draft_7(one) for one in part]
    if not isinstance(part, dict):
        return part
    made = {}
    for key, one in part.items():
        if key == "$ref":
            made[key] = one.replace("#/$defs/", "#/definitions/")
        else:
            made["definitions" if key == "$defs" else key] = _for_draft_7(one)
    return made
