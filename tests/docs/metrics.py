"""The table of docs/metrics.md, from the daemon's catalogue of metrics."""

from __future__ import annotations

from rotator.daemon.metrics import METRICS, PREFIX

from .blocks import table

NAME = "metrics"


def body() -> str:
    """The Markdown of the block."""
    return table(("metric", "type", "says"), [(f"`{PREFIX}{one.name}`", one.kind, one.says) for one in METRICS])
