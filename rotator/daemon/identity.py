"""Whose ledger is this, and is the fingerprint key the one it was founded with? Asked once, at the start.

A missing or different key refuses the start: evidence made with two keys could not be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rotator.effects.fingerprint import Fingerprints, load_key
from rotator.engine.ports import Installation, Ledger
from rotator.plugin_api import Misconfigured
from rotator.settings.models import Configuration


def identify(settings: Configuration, ledger: Ledger, new_id: Callable[[], str]) -> tuple[Fingerprints, Installation]:
    """The fingerprint function and the installation; a new ledger is founded. Misconfigured: `fingerprint_key_*`,
    `other_installation`."""
    fingerprints = Fingerprints(load_key(Path(settings.daemon.fingerprint_key.file)))
    known = ledger.installation()
    if known is None:
        known = Installation(settings.installation, new_id(), fingerprints.check())
        ledger.found(known)
        return fingerprints, known
    if known.name != settings.installation:
        raise Misconfigured("other_installation")
    if not known.fingerprint_check:
        known = replace(known, fingerprint_check=fingerprints.check())
        ledger.found(known)
    if known.fingerprint_check != fingerprints.check():
        raise Misconfigured("fingerprint_key_other")
    return fingerprints, known
