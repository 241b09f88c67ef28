"""Source lines that may be shown: everything that could be a secret is masked.

Called when a problem is made. Judges by place first (a value under `value`, `token`, `secret_id`, or under a key that
nobody knows, is hidden) and by looks second. Must never show a scalar that it does not know to be harmless.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

from ruamel.yaml.nodes import ScalarNode

MASK: Final = "***"
WIDEST: Final = 160

# Keys of ours whose values are names, words, spans and paths. What is not in here is not shown.
_HARMLESS: Final = frozenset(  # one paragraph reads better than sixty lines
    """
    apiVersion installation ledger socket listen tick workers deadline landing allow type url ca mount namespace role_id
    file path in plugin pack principal principals store field insecure per failures live settle allow_uids backoff
    backoff_max old_lives derived_live every cron zone from to missed jitter min_age overlap attempts span fresh times
    share at_least per_hour expiring only except channels routes events host port user tls sender debt_after
    expiry_before give_up_after runbook over grade history by reason until owner purpose workflows expires tier policy
    endpoint kind scopes handle fields sweep heartbeat
    """.split()  # noqa: SIM905
)
_OURS: Final = _HARMLESS | frozenset(
    """
    daemon plugins stores endpoints policies credentials freezes notify brake login fingerprint_key auth approle
    secret_id token key value admin config traits probe_limit window patience kill_patience proof pause labels params
    authority authorities consumers
    """.split()  # noqa: SIM905
)
_HIDDEN_NAMES: Final = re.compile(
    r"(?i)pass(word|wd|phrase)?$|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credential$|^key$|^pin$|^value$"
)
_PREFIXES: Final = re.compile(
    r"-----BEGIN|AGE-SECRET-KEY-|\b(?:hv[sbr]\.|s\.[A-Za-z0-9]{20}|AKIA|ASIA|gh[pousr]_|github_pat_|glpat-|xox[abprs]-"
    r"|sk[-_](?:live|test|proj)|eyJ[A-Za-z0-9_-]{8}|ya29\.|npm_[A-Za-z0-9]{20}|ATATT|shpat_)"
)
_USERINFO: Final = re.compile(r"://[^/\s@]*:[^/\s@]+@")
_RUN: Final = re.compile(r"[A-Za-z0-9+/=~!$%^&*]{20,}")


def hides(name: str) -> bool:
    """Whether a key of this name is likely to hold a secret."""
    return bool(_HIDDEN_NAMES.search(name))


def looks_secret(text: str) -> bool:
    """Whether a text looks like a secret: a known beginning, a password in a URL, or twenty characters of noise.

    32 hexadecimal digits and UUIDs are not noise: half of the platforms number their records so.
    """
    if _PREFIXES.search(text) or _USERINFO.search(text):
        return True
    return any(_noise(run) for run in _RUN.findall(text))


def _noise(run: str) -> bool:
    if re.fullmatch(r"[0-9a-fA-F]+", run):
        return len(run) >= 40
    # Base64 may hold a slash; in a path no part of some length mixes small and capital letters with digits.
    parts = [part for part in run.split("/") if len(part) >= 8]
    return any(_classes(part) >= 3 and re.search(r"[0-9]", part) for part in parts) and _entropy(run) > 3.4


def _classes(text: str) -> int:
    return sum(bool(re.search(one, text)) for one in (r"[a-z]", r"[A-Z]", r"[0-9]", r"[^A-Za-z0-9]"))


Scalars = Iterable[tuple[tuple[str | int, ...], ScalarNode]]


class SourceText:
    """The text of a file, from which masked lines are cut. Built cheaply; the index of what to hide on first use."""

    __slots__ = ("_hidden", "_lines", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines: list[str] | None = None
        self._hidden: dict[int, list[ScalarNode]] | None = None

    def line(self, number: int) -> str:
        """The raw line (from 1), for masking only."""
        if self._lines is None:
            self._lines = self._text.replace("\r\n", "\n").split("\n")
        return self._lines[number - 1] if 0 < number <= len(self._lines) else ""

    def excerpt(self, line: int, column: int, scalars: Scalars) -> tuple[str, int]:
        """The line with every value masked that is not known to be harmless, and the caret's column in it."""
        raw = self.line(line)
        if self._hidden is None:
            self._hidden = {}
            for path, node in scalars:
                if not _harmless(path, node.value):
                    for number in range(node.start_mark.line + 1, node.end_mark.line + 2):
                        self._hidden.setdefault(number, []).append(node)
        spans = sorted(_span(node, line, len(raw)) for node in self._hidden.get(line, ()))
        return _cut(*_masked(_without_comment(raw, spans), spans, column))

    def blind_excerpt(self, line: int, column: int) -> tuple[str, int]:
        """The line of a file that is no YAML, and where nothing is known: every word is masked but keys of ours."""
        raw = self.line(line).split("#")[0]
        spans = [
            (found.start(), found.end())
            for found in re.finditer(r"[^\s{}\[\],:'\"]+", raw)
            if found.group() != "-" and not (found.group() in _OURS and re.match(r":(\s|$)", raw[found.end() :]))
        ]
        return _cut(*_masked(raw, spans, column))


def _harmless(path: tuple[str | int, ...], value: str) -> bool:
    names = [step for step in path if isinstance(step, str)]
    if looks_secret(value):
        return False
    name = names[-1] if names else ""
    if len(names) >= 2 and names[-2:] == ["store", "value"]:
        return True  # the name of the value's field in the store, not the value
    if len(names) >= 2 and names[-2] in ("config", "labels", "params", "fields"):
        return not hides(name)
    return name in _HARMLESS


def _span(node: ScalarNode, line: int, width: int) -> tuple[int, int]:
    start = node.start_mark.column if node.start_mark.line == line - 1 else 0
    end = node.end_mark.column if node.end_mark.line == line - 1 else width
    return start, end


def _without_comment(raw: str, spans: list[tuple[int, int]]) -> str:
    """A comment may hold anything, an old password too: it is cut off (a `#` inside a masked value is no comment)."""
    for found in re.finditer(r"(?:^|\s)#", raw):
        inside = any(start <= found.start() < end for start, end in spans)
        quoted = raw[: found.start()].count('"') % 2 or raw[: found.start()].count("'") % 2
        if not inside and not quoted:
            return raw[: found.start()].rstrip()
    return raw


def _masked(raw: str, spans: list[tuple[int, int]], column: int) -> tuple[str, int]:
    built, at, caret = "", 0, column
    for start, end in spans:
        if start < at or start >= len(raw):
            continue
        built += raw[at:start] + MASK
        if column - 1 >= end:
            caret += len(MASK) - (end - start)
        elif column - 1 > start:
            caret = len(built) - len(MASK) + 1
        at = end
    return built + raw[at:], caret


def _cut(text: str, caret: int) -> tuple[str, int]:
    """At most WIDEST characters around the caret."""
    text = text.replace("\t", " ")
    begin = max(0, caret - WIDEST // 2) if len(text) > WIDEST else 0
    return text[begin : begin + WIDEST].rstrip(), max(1, min(caret - begin, WIDEST))


def _entropy(text: str) -> float:
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())
