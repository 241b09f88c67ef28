"""What each store allows and several together do not: objections beside those of `objections.py`, which calls them.

Pure. Must never look at a file that a reference names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .connections import Store, VaultStore
from .documents import Path_
from .problems import Problem
from .sources import Sources


def unwrapped_twice(stores: Mapping[str, Store], sources: Sources) -> Iterator[Problem]:
    """A wrapping token is good for one unwrapping: the second store would take the first for a thief."""
    first: dict[str, tuple[str, Path_]] = {}
    for name, store in stores.items():
        role = store.auth.approle if isinstance(store, VaultStore) else None
        if role is None or not role.wrapped:
            continue
        path: Path_ = ("stores", name, "auth", "approle", "secret_id", "file")
        if role.secret_id.file in first:
            other, there = first[role.secret_id.file]
            words = f"store `{other}` ({sources.place(there)}) unwraps this file already, and it can be done once only"
            yield sources.problem("CFG-SAME-PLACE", words, path, value=True)
        else:
            first[role.secret_id.file] = (name, path)
