"""How the laboratory reads a store behind Rotator's back, and puts a first value into it. Used by the shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from tests.lab.openbao_admin import BaoAdmin


class Reader(Protocol):
    """One store, past every proxy, with rights that Rotator has not."""

    def get(self, path: str) -> dict[str, Any] | None:
        """All fields of a secret; None: nothing is there."""
        ...

    def put(self, path: str, fields: Mapping[str, Any]) -> None:
        """Write a secret."""
        ...

    def staged(self, name: str) -> Iterator[tuple[int, str]]:
        """(generation, value) of all that is still kept for the credential beside its present value."""
        ...


class BaoReader:
    """OpenBao, as root. `installation`: whose stages are read."""

    def __init__(self, admin: BaoAdmin, installation: str) -> None:
        self._admin, self._installation = admin, installation

    def get(self, path: str) -> dict[str, Any] | None:
        version = self._admin.get(path)
        return None if version is None or version.data is None else dict(version.data)

    def put(self, path: str, fields: Mapping[str, Any]) -> None:
        self._admin.put(path, dict(fields))

    def staged(self, name: str) -> Iterator[tuple[int, str]]:
        folder = f"rotator/{self._installation}/{name}"
        for key in self._admin.keys(folder):
            version = self._admin.get(f"{folder}/{key}")
            if version is not None and version.data:
                yield from ((int(key[1:]), text) for text in version.data.values() if isinstance(text, str))
