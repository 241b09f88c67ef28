"""Names that must be defined: policies, stores, endpoints, plugins; ids that must be ids; secrets written in clear.

Called by the loader on the merged data before the models have judged it, so that these are told together with whatever
else is wrong. Must never repeat a value that is not a name of ours.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from .documents import Path_, Plain
from .excerpts import hides, looks_secret
from .models import SECTIONS
from .problems import Problem, nearest
from .sources import Sources
from .values import check_id

_ONE = {"stores": "store", "endpoints": "endpoint", "policies": "policy", "credentials": "credential"}
# Paths and addresses are long and odd by nature; what they may not hold, their own types refuse.
_ODD_BY_NATURE = frozenset({"file", "path", "url", "ca", "ledger", "socket", "mount", "namespace"})


def references(sources: Sources, plugins: Collection[str] | None) -> list[Problem]:
    """Everything that refers to nothing. `plugins`: the names of those installed, None when that is not known."""
    found = [*_ids(sources), *_secrets(sources)]
    for path, section, name in _uses(sources.data):
        defined = sources.data.get(section)
        if isinstance(name, str) and name not in (defined if isinstance(defined, dict) else {}):
            close = nearest(name, defined if isinstance(defined, dict) else ())
            words = f"no {_ONE[section]} of this name is defined under `{section}`"
            found.append(sources.problem("CFG-UNKNOWN-REF", words, path, value=True, suggestion=close))
    found += _plugins(sources, plugins)
    return found


def _ids(sources: Sources) -> Iterator[Problem]:
    words = "an id has 1 to 63 of a-z, 0-9 and . _ - and begins and ends with a letter or digit"
    for section in SECTIONS:
        for name in _mapping(sources.data.get(section)):
            if not check_id(name):
                yield sources.problem("CFG-BAD-ID", words, (section, name))


def _uses(data: dict[str, Plain]) -> Iterator[tuple[Path_, str, Plain]]:
    """Every place that names a store, an endpoint or a policy: path, section, name."""
    for name, endpoint in _mapping(data.get("endpoints")).items():
        admin = _mapping(_mapping(endpoint).get("admin"))
        for part in ("value", "handle"):
            if "store" in _mapping(admin.get(part)):
                yield ("endpoints", name, "admin", part, "store"), "stores", _mapping(admin[part])["store"]
    for name, definition in _mapping(data.get("credentials")).items():
        credential = _mapping(definition)
        here: Path_ = ("credentials", name)
        if "policy" in credential:
            yield (*here, "policy"), "policies", credential["policy"]
        store = _mapping(credential.get("store"))
        if "in" in store:
            yield (*here, "store", "in"), "stores", store["in"]
        authority = _mapping(credential.get("authority"))
        if "endpoint" in authority:
            yield (*here, "authority", "endpoint"), "endpoints", authority["endpoint"]
        for key in ("authorities", "consumers"):
            several = credential.get(key)
            for number, one in enumerate(several if isinstance(several, list) else []):
                if "endpoint" in _mapping(one):
                    yield (*here, key, number, "endpoint"), "endpoints", _mapping(one)["endpoint"]
    yield from _uses_of_channels(_mapping(_mapping(data.get("notify")).get("channels")))


def _uses_of_channels(channels: dict[str, Plain]) -> Iterator[tuple[Path_, str, Plain]]:
    """Where the signing keys and passwords of messages stand."""
    for name, channel in channels.items():
        keys, login = _mapping(channel).get("secrets"), _mapping(_mapping(channel).get("login"))
        here: Path_ = ("notify", "channels", name)
        places: list[tuple[Path_, Plain]] = [((*here, "login", "value"), login.get("value"))]
        places += [
            ((*here, "secrets", number), one) for number, one in enumerate(keys if isinstance(keys, list) else [])
        ]
        for where, one in places:
            if "store" in _mapping(one):
                yield (*where, "store"), "stores", _mapping(one)["store"]


def _plugins(sources: Sources, installed: Collection[str] | None) -> Iterator[Problem]:
    allow = _mapping(sources.data.get("plugins")).get("allow")
    allowed = [name for name in allow if isinstance(name, str)] if isinstance(allow, list) else None
    for number, name in enumerate(allowed or []):
        if installed is not None and name not in installed:
            words = "no plugin of this name is installed"
            yield sources.problem(
                "CFG-UNKNOWN-REF", words, ("plugins", "allow", number), value=True, suggestion=nearest(name, installed)
            )
    for endpoint, definition in _mapping(sources.data.get("endpoints")).items():
        plugin = _mapping(definition).get("plugin")
        path: Path_ = ("endpoints", endpoint, "plugin")
        if not isinstance(plugin, str):
            continue
        if installed is not None and plugin not in installed:
            words = "no plugin of this name is installed"
            close = nearest(plugin, installed)
            yield sources.problem("CFG-UNKNOWN-REF", words, path, value=True, suggestion=close)
        elif allowed is not None and plugin not in allowed:
            words = "this plugin is not allowed: add it to `plugins.allow`, or take the endpoint out"
            yield sources.problem("CFG-UNKNOWN-REF", words, path, value=True, suggestion=nearest(plugin, allowed))


def _secrets(sources: Sources) -> Iterator[Problem]:
    for document, path, text in sources.scalar_paths():
        names = [step for step in path if isinstance(step, str)]
        name = names[-1] if names else ""
        if name in _ODD_BY_NATURE and not (len(names) > 2 and names[-2] in ("config", "params", "labels")):
            continue
        if len(names) == 4 and names[0] == "endpoints" and names[2] == "config" and hides(name) and text:
            words = "a secret never stands in `config`: the endpoint's login is `admin: {principal, value: {…}}`"
            yield document.problem("CFG-SECRET-IN-CLEAR", words, path)
        elif looks_secret(text):
            words = "this looks like a secret: write where it is, `{store: …, path: …, field: …}` or `{file: …}`"
            yield document.problem("CFG-SECRET-IN-CLEAR", words, path)


def _mapping(value: Plain) -> dict[str, Plain]:
    return value if isinstance(value, dict) else {}
