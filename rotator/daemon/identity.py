"""Whose ledger is this, and is the fingerprint key the one it was founded with? Asked once, at the start.

A missing or different key refuses the start: evidence made with two keys could not be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from rotator.effects.fingerprint import Fingerprints, load_key
from rotator.engine.ports import Installation, Ledger, LedgerError
from rotator.plugin_api import Misconfigured
from rotator.settings.models import Configuration

_QUICKER: Final = frozenset({"other_epoch", "other_installation", "other_fingerprint_key"})
"""Another replica founded it at the same moment: what it wrote counts, and is checked like any other."""


def identify(settings: Configuration, ledger: Ledger, new_id: Callable[[], str]) -> tuple[Fingerprints, Installation]:
    """The fingerprint function and the installation; a new ledger is founded. Misconfigured: `fingerprint_key_*`,
    `other_installation`."""
    fingerprints = Fingerprints(load_key(Path(settings.daemon.fingerprint_key.file)))
    known = ledger.installation()
    if known is None:
        known = Installation(settings.installation, new_id(), fingerprints.check())
        try:
            ledger.found(known)
        except LedgerError as error:
            known = ledger.installation()
            if error.code not in _QUICKER or known is None:
                raise
        else:
            return fingerprints, known
    if known.name != settings.installation:
        raise Misconfigured("other_installation")
    if not known.fingerprint_check:
        known = replace(known, fingerprint_check=fingerprints.check())
        ledger.found(known)
    if known.fingerprint_check != fingerprints.check():
        raise Misconfigured("fingerprint_key_other")
    return fingerprints, known
