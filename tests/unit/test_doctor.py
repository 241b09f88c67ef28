"""What the doctor says of credentials that share a trouble: told once, and none of them is called good."""

from __future__ import annotations

from rotator.daemon.doctor import _places
from tests.unit.engine_bench import credential

TROUBLE = ("unreachable", "store main: unreachable")


def test_a_trouble_that_several_share_is_told_once_and_nobody_is_called_good_for_it() -> None:
    every = {one.id: one for one in (credential("alpha"), credential("beta"), credential("gamma"))}
    found = list(_places(every, lambda one: () if one.id == "gamma" else (TROUBLE,)))
    assert [(one.subject, one.verdict) for one in found] == [("alpha", "fails"), ("beta", "skipped"), ("gamma", "ok")]
    assert found[0].do
