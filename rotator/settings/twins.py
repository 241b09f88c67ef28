"""Two names for one place: endpoints that lead to the same platform, stores that are the same store.

Called by `objections`: who changes one principal twice does so under two names too. Compares what is written; that two
addresses lead to one machine cannot be seen here.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from .connections import AwsStore, Endpoint, LocalStore, Store, VaultStore


def same_endpoints(endpoints: Mapping[str, Endpoint]) -> dict[str, str]:
    """Each endpoint -> the first that leads to the same place."""
    return _first({name: _endpoint(one) for name, one in endpoints.items()})


def same_stores(stores: Mapping[str, Store]) -> dict[str, str]:
    """Each store -> the first that is the same."""
    return _first({name: _store(one) for name, one in stores.items()})


def _endpoint(one: Endpoint) -> Hashable:
    config = {key: _address(value) if isinstance(value, str) else value for key, value in one.config.items()}
    return (one.plugin, one.pack, tuple(sorted((key, str(value)) for key, value in config.items())))


def _store(one: Store) -> Hashable:
    match one:
        case VaultStore():
            return ("vault", _address(one.url), one.mount, one.namespace)
        case LocalStore():
            return ("local", one.path.rstrip("/"))
        case AwsStore():
            return ("aws", one.region, _address(one.url or ""), str(one.auth))


def _address(text: str) -> str:
    return text.rstrip("/").lower() if text.startswith(("http://", "https://")) else text


def _first(places: Mapping[str, Hashable]) -> dict[str, str]:
    seen: dict[Hashable, str] = {}
    return {name: seen.setdefault(place, name) for name, place in places.items()}
