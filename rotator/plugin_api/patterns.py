"""Which patterns may be matched against a platform's answers: those whose time is bounded. No I/O, no state.

Called by the host before it matches, and by pack loaders when they read. Python's engine backtracks: a repeat inside a
repeat takes exponential time on a hostile answer, and every further `.*` multiplies. Both are refused.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

LONGEST_TEXT: Final = 8192
"""Characters of an answer that a pattern may look at."""
LONGEST_PATTERN: Final = 256
MOST_REPEATS: Final = 6
MOST_WIDE: Final = 2

_REPEATS: Final = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})
_REFUSED: Final = {
    "GROUPREF": "a back reference",
    "GROUPREF_EXISTS": "a conditional group",
    "ASSERT": "a look-ahead or look-behind",
    "ASSERT_NOT": "a look-ahead or look-behind",
}


@lru_cache(maxsize=1024)
def objection(pattern: str) -> str:
    """Why `pattern` may not be used, in words; empty if it may."""
    if len(pattern) > LONGEST_PATTERN:
        return f"is longer than {LONGEST_PATTERN} characters"
    try:
        parsed = re._parser.parse(pattern)  # type: ignore[attr-defined]
    except (re.error, RecursionError, OverflowError) as error:
        return f"is no regular expression ({getattr(error, 'msg', 'too deep')})"
    counts = {"repeats": 0, "wide": 0}
    found = _walk(parsed, False, counts)
    if found:
        return found
    if counts["repeats"] > MOST_REPEATS:
        return f"has more than {MOST_REPEATS} repeats"
    if counts["wide"] > MOST_WIDE:
        return f"has more than {MOST_WIDE} repeats of any character, such as `.*`"
    return ""


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern, ready for use. Raises ValueError with the objection."""
    words = objection(pattern)
    if words:
        raise ValueError(f"the pattern {words}")
    return re.compile(pattern)


def _walk(parsed: Any, repeated: bool, counts: dict[str, int]) -> str:
    for operation, argument in parsed:
        name = str(operation)
        if name in _REFUSED:
            return f"has {_REFUSED[name]}, whose time is not bounded"
        if name in _REPEATS:
            least, most, inner = argument
            varies = int(most) != int(least)
            if repeated and varies:
                return "has a repeat inside a repeat, whose time is not bounded"
            if varies and int(most) > 1:
                counts["repeats"] += 1
                counts["wide"] += any(str(one[0]) in {"ANY", "NOT_LITERAL"} for one in inner)
            found = _walk(inner, repeated or int(most) > 1, counts)
        elif name == "BRANCH":
            if repeated:
                return "has alternatives inside a repeat, whose time is not bounded"
            found = next((words for one in argument[1] if (words := _walk(one, repeated, counts))), "")
        elif name in {"SUBPATTERN", "ATOMIC_GROUP"}:
            inner = argument[-1] if name == "SUBPATTERN" else argument
            found = _walk(inner, repeated, counts)
        else:
            found = ""
        if found:
            return found
    return ""
