"""`python -m rotator.cli`: the same as `rotator`."""

from __future__ import annotations

from .main import main

main()
