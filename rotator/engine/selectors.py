"""Selectors: the one small language that says which credentials are meant. Pure.

Used by freezes and notification routes (through settings), and by every request of a person that takes a selection.
One parser, one meaning; an error names the column. Must never mean "all" by being empty: nothing written is refused.

    team=itsm, tier in (T0, T1), endpoint!=legacy-*

A comma is *and*. `=` and `!=` compare with one value, `in (…)` and `not in (…)` with several. A value is bare text or
stands in double quotes; `*` at its end stands for any rest, so `team=*` has some team and `team!=*` has none. A key is
one of `KEYS` or the name of a label; `label.NAME` is always the label. A credential may have several values of a key
(workflows, endpoints): `=` holds if one of them fits, `!=` if none does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from .inventory import Credential, Tier

LONGEST: Final = 500
"""Characters of a selector."""


class SelectorRefused(ValueError):
    """No selector. `words` say why and never repeat a value; `column` counts from 1."""

    def __init__(self, words: str, column: int) -> None:
        super().__init__(f"column {column}: {words}")
        self.words = words
        self.column = column


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison. `values` may end in `*`; `negated`: none of them may fit. `column` is where the key stands;
    `label`: the key is the name of a label."""

    key: str
    values: tuple[str, ...]
    negated: bool = False
    column: int = 1
    label: bool = False


@dataclass(frozen=True, slots=True)
class Selector:
    """All terms must hold. `text`: as it was written."""

    terms: tuple[Term, ...]
    text: str = ""

    def labels(self) -> tuple[Term, ...]:
        """The terms that ask for a label of the installation's own: a name that no credential has is a slip."""
        return tuple(one for one in self.terms if one.label)


def _endpoints(one: Credential) -> Iterable[str]:
    return [*(ref.endpoint for ref in one.authorities), *(ref.endpoint for ref in one.consumers)]


def _kinds(one: Credential) -> Iterable[str]:
    return [*(ref.kind for ref in one.authorities), *(ref.kind for ref in one.consumers)]


def _principals(one: Credential) -> Iterable[str]:
    return [name for ref in one.authorities for name in ref.principals]


KEYS: Final[Mapping[str, Callable[[Credential], Iterable[str]]]] = {
    "id": lambda one: [one.id],
    "owner": lambda one: [one.owner],
    "tier": lambda one: [one.tier.value],
    "policy": lambda one: [one.policy.name],
    "workflow": lambda one: one.workflows,
    "endpoint": _endpoints,
    "kind": _kinds,
    "principal": _principals,
    "store": lambda one: [one.store.store],
}
"""What every credential has; everything else is a label. Endpoints and kinds are those of authorities and consumers."""

_LABEL: Final = "label."
_TIERS: Final = frozenset(one.value for one in Tier)
_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<op>!=|=|,|\(|\))|(?P<quoted>"[^"]*"?)|(?P<word>[^\s=!,()"]+)|(?P<odd>\S))""", re.VERBOSE
)


def parse(text: str) -> Selector:
    """The selector that a text is. Raises SelectorRefused."""
    if len(text) > LONGEST:
        raise SelectorRefused(f"a selector has at most {LONGEST} characters", LONGEST + 1)
    reader = _Reader(text)
    terms = [_term(reader)]
    while not reader.done():
        reader.take(",", "a comma between two terms, or the end")
        terms.append(_term(reader))
    return Selector(tuple(terms), text.strip())


def matches(selector: Selector | None, one: Credential) -> bool:
    """Whether the selector means this credential; None means every credential."""
    return selector is None or all(_holds(term, one) for term in selector.terms)


def _holds(term: Term, one: Credential) -> bool:
    found = _label(one, term.key) if term.label else KEYS[term.key](one)
    fits = any(_fits(wanted, value) for wanted in term.values for value in found)
    return fits is not term.negated


def _label(one: Credential, name: str) -> Iterable[str]:
    return [value for key, value in one.labels if key == name]


def _fits(wanted: str, value: str) -> bool:
    return value.startswith(wanted[:-1]) if wanted.endswith("*") else value == wanted


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    column: int
    kind: str


class _Reader:
    """The tokens of a text, one after the other."""

    def __init__(self, text: str) -> None:
        self._tokens: list[_Token] = []
        at = 0
        while (found := _TOKEN.match(text, at)) is not None:
            kind = str(found.lastgroup)
            self._tokens.append(_Token(found[kind], found.start(kind) + 1, kind))
            at = found.end()
        self._end = len(text.rstrip()) + 1
        self._at = 0

    def done(self) -> bool:
        return self._at == len(self._tokens)

    def next(self, wanted: str) -> _Token:
        """The next token. Refused at the end: `wanted` says what belongs there."""
        if self.done():
            raise SelectorRefused(f"{wanted} belongs here", self._end)
        self._at += 1
        token = self._tokens[self._at - 1]
        if token.kind == "odd":
            raise SelectorRefused(
                "this character is none of the language: put the value into double quotes", token.column
            )
        return token

    def take(self, text: str, wanted: str) -> _Token:
        """The next token, which is `text`."""
        token = self.next(wanted)
        if token.text != text or token.kind == "quoted":
            raise SelectorRefused(f"{wanted} belongs here", token.column)
        return token


def _term(reader: _Reader) -> Term:
    key = reader.next("a key such as team, tier or workflow")
    if key.kind != "word":
        raise SelectorRefused("a key such as team, tier or workflow belongs here", key.column)
    op = reader.next("one of =, != and in")
    if op.text == "not" and op.kind == "word":
        reader.take("in", "`in` after `not`")
        return _made(key, _list(reader), negated=True)
    if op.text == "in" and op.kind == "word":
        return _made(key, _list(reader), negated=False)
    if op.kind != "op" or op.text not in ("=", "!="):
        raise SelectorRefused("one of =, != and in belongs here", op.column)
    return _made(key, [_value(reader)], negated=op.text == "!=")


def _list(reader: _Reader) -> list[_Token]:
    reader.take("(", "a list of values in brackets")
    values = [_value(reader)]
    while (token := reader.next("a comma or the closing bracket")).text != ")" or token.kind != "op":
        if token.text != "," or token.kind != "op":
            raise SelectorRefused("a comma or the closing bracket belongs here", token.column)
        values.append(_value(reader))
    return values


def _value(reader: _Reader) -> _Token:
    token = reader.next("a value")
    if token.kind == "quoted":
        if len(token.text) < 2 or not token.text.endswith('"'):
            raise SelectorRefused("the closing quote is missing", token.column)
        return _Token(token.text[1:-1], token.column + 1, "quoted")
    if token.kind != "word":
        raise SelectorRefused("a value belongs here", token.column)
    return token


def _made(key: _Token, values: list[_Token], *, negated: bool) -> Term:
    for one in values:
        if "*" in one.text[:-1]:
            column = one.column + one.text.index("*")
            raise SelectorRefused("`*` stands at the end of a value only", column)
        if key.text == "tier" and one.text not in _TIERS and not one.text.endswith("*"):
            raise SelectorRefused(f"a tier is one of {', '.join(sorted(_TIERS))}", one.column)
    name = key.text.removeprefix(_LABEL)
    if not name:
        raise SelectorRefused("the name of the label is missing", key.column)
    label = key.text != name or name not in KEYS
    return Term(name, tuple(one.text for one in values), negated, key.column, label)
