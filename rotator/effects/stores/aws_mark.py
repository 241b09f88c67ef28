"""The ledger's high-water mark in AWS Secrets Manager: the description of a secret of ours that never has a value.

Called by `aws`. A mark is written at both ends of every run; as versions these would meet AWS's quota (what is younger
than a day is never removed, and there are about a hundred), and a description makes none.
"""

from __future__ import annotations

import json

from rotator.plugin_api import Failed

from .aws_errors import Missing
from .aws_names import Names
from .aws_secret import OneSecret
from .contract import Mark

_ROUNDS = 3


def read_mark(secret: OneSecret) -> Mark | None:
    """The mark that stands, or None."""
    described = secret.describe()
    return None if described is None else _mark(described.raw.get("Description"))


def write_mark(secret: OneSecret, names: Names, mark: Mark) -> None:
    """Write the mark over the one that stands (`Mark.over`). Descriptions have no compare-and-set: a request that
    lands late can set it back to what was true a moment before, until the next run's mark."""
    for _ in range(_ROUNDS):
        described = secret.describe()
        if described is None:
            secret.create(names.other_token("mark", ""), "", description=_text(mark))
            continue
        standing = _mark(described.raw.get("Description"))
        wanted = mark.over(standing)
        if wanted == standing:
            return
        try:
            secret.describe_as(_text(wanted))
        except Missing:
            continue
        return
    raise Failed("store_behind")


def _mark(text: object) -> Mark | None:
    try:
        fields = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return None
    if not isinstance(fields, dict):
        return None
    epoch, sequence, serials = fields.get("epoch"), fields.get("sequence"), fields.get("serials", 0)
    if not isinstance(epoch, str) or type(sequence) is not int:
        return None
    return Mark(epoch, sequence, serials if type(serials) is int else 0)


def _text(mark: Mark) -> str:
    return json.dumps({"epoch": mark.epoch, "sequence": mark.sequence, "serials": mark.serials})
