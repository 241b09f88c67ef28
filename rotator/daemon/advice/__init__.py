"""What each reason code means and what a person does about it: the one catalogue, read by everything that shows a code.

Called by the doctor, by a start that is refused, by `rotator help CODE`, and by the generator of `docs/runbook.md`:
the same text as a page. Must hold nothing that is not known before the program runs.
"""

from __future__ import annotations

from .catalogue import Entry, anchor_of, entries, known, of, place

__all__ = ["Entry", "anchor_of", "entries", "known", "of", "place"]
