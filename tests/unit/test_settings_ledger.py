"""Where the ledger stands: a file's full path, or a database's address without a password."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from rotator.daemon.ledgers import is_shared, place_in
from rotator.ledger.postgres_place import place_of
from rotator.settings.connections import Daemon
from rotator.settings.values import FileRef


def daemon(ledger: str, **more: object) -> Daemon:
    key = FileRef(file="/etc/rotator/fingerprint.key")
    return Daemon.model_validate({"ledger": ledger, "fingerprint_key": key, "socket": "/run/api.sock", **more})


def test_a_file_is_not_shared_and_a_database_is() -> None:
    assert not is_shared(daemon("/var/lib/rotator/ledger.db"))
    assert is_shared(daemon("postgresql://rotator@db.example/rotator"))


@pytest.mark.parametrize("address", ["postgresql://u@h/db", "postgresql://u@h:6432/db", "postgresql://u@[::1]:5432/db"])
def test_what_the_settings_take_the_ledger_understands(address: str) -> None:
    assert place_in(daemon(address)) == place_of(address)


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("postgresql://u:canary-x@h/db", "CFG-SECRET-IN-CLEAR"),
        ("postgresql://u@h/db?password=canary-x", "CFG-WRONG-TYPE"),
        ("postgresql://u@h", "CFG-WRONG-TYPE"),
        ("mysql://u@h/db", "CFG-WRONG-TYPE"),
        ("ledger.db", "CFG-BAD-PATH"),
    ],
)
def test_other_addresses_are_refused(address: str, code: str) -> None:
    with pytest.raises(ValidationError) as error:
        daemon(address)
    (problem,) = error.value.errors(include_input=False)
    assert problem["type"] == code
    assert "canary" not in problem["msg"]
