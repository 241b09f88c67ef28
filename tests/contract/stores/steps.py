"""Steps that the contract tests share: a secret with neighbours, adopted; a promote; a value as text."""

from __future__ import annotations

from rotator.effects.stores.contract import Slot, Store, Version
from rotator.plugin_api import Secret
from tests.contract.stores.drivers import Driver

NEIGHBOURS: dict[str, object] = {
    "ключ": "значение – ✓ \u2028 \x00",
    "nested": {"a": [1, {"b": None, "c": [True, False, 1.5]}], "": {}},
    "empty": "",
    "nothing": None,
    "list": [],
    "big": 9007199254740991,
}


def text(secret: Secret | None) -> str | None:
    return None if secret is None else secret.reveal()


def adopt(driver: Driver, store: Store, value: str = "old", **more: object) -> tuple[Slot, Version]:
    """A slot whose current value is `value`, staged as generation 1, beside neighbours."""
    slot = driver.slot()
    driver.seed(slot.path, {"password": value, "username": "svc", **NEIGHBOURS, **more})
    store.stage_current(slot, 1)
    return slot, store.current(slot).version


def promote(store: Store, slot: Slot, generation: int, expected: Version, user: str = "svc") -> Version:
    return store.promote(slot, generation, {"username": user}, expected).version
