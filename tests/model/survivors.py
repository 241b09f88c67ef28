"""Generated mutants that nothing catches, and why none has to. Data for `mutants`."""

from __future__ import annotations

EXPLAINED: dict[str, str] = {}
