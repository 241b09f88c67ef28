"""A pack's calls after reading: what is sent, how the answer is judged, what is taken of it. Plain data.

Made by `reading_*`, used by `render`, `exchange`, `listing` and `abilities`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from .templates import Template, Tree, Variable, variables_in

Word = Literal["ok", "gone", "maybe_gone", "refused", "failed", "unknown", "misconfigured", "rejected", "inconclusive"]
As = Literal["text", "iso", "epoch", "words", "digest"]


@dataclass(frozen=True, slots=True)
class JsonText:
    """A form field whose text is JSON."""

    tree: Tree


FormField = Template | JsonText


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request with its authentication already in it. `path`: the variables of the route by name."""

    method: str
    route: str
    base: str = ""
    path: Mapping[str, Template] = field(default_factory=dict)
    query: Mapping[str, Template] = field(default_factory=dict)
    headers: Mapping[str, Template] = field(default_factory=dict)
    basic: tuple[Template, Template] | None = None
    json: Tree = None
    form: Mapping[str, FormField] | Variable = field(default_factory=dict)
    text: Template | None = None

    def variables(self) -> Iterator[Variable]:
        """Every variable of the request."""
        for templates in (self.path, self.query, self.headers):
            for template in templates.values():
                yield from template.variables
        for template in (*(self.basic or ()), *([self.text] if self.text else [])):
            yield from template.variables
        yield from variables_in(self.json)
        if isinstance(self.form, Variable):
            yield self.form
        else:
            for value in self.form.values():
                yield from variables_in(value.tree if isinstance(value, JsonText) else value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What must be seen; everything that is given must hold. `statuses`: (first, last) pairs."""

    statuses: tuple[tuple[int, int], ...] = ()
    at: str | None = None
    equals: str | None = None
    matches: str | None = None
    text: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When the condition holds, the answer means `word`."""

    when: Condition
    word: Word
    reason: str = ""
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """Where something stands in an answer. `whole`: the plain-text body; `none`: the text that means nothing; `cookie`:
    the pattern of a cookie's name."""

    at: str = ""
    header: str = ""
    cookie: str = ""
    whole: bool = False
    form: As = "text"
    none: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A short login before a call. `of_actor`: whose it is, the actor's, or the value under test's."""

    call: Call
    token: Take
    lives: timedelta
    logout: Call | None
    of_actor: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """Take from the one row of `items` that shows, at `same`, the secret that was sent."""

    items: str
    same: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One exchange: the login before it, the request, the rules for the answer, what is taken of it.

    `rehearsal`: of a preflight, a second call that changes nothing and shows what would be refused.
    """

    sent: Sent
    login: Login | None = None
    rules: tuple[Rule, ...] = ()
    take: Mapping[str, Take] = field(default_factory=dict)
    own: Own | None = None
    rehearsal: Call | None = None

    @property
    def says_ok(self) -> bool:
        """Whether success has a rule of its own; then an answer without a rule is never success."""
        return any(rule.word == "ok" for rule in self.rules)

    def variables(self) -> Iterator[Variable]:
        """Every variable of the call and its login."""
        yield from self.sent.variables()
        if self.login is not None:
            yield from self.login.call.variables()


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """How the next page is asked for. `by`: link, next_url, cursor, offset or number."""

    by: str
    at: str = ""
    query: str = ""
    size: int = 0
    first: int = 1
    more: str = ""
    total: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A call whose answer is rows. `active`, `where`: conditions on a row; `same`: where a row shows its value."""

    call: Call
    items: str
    each: Mapping[str, Take]
    active: Condition | None = None
    where: tuple[Condition, ...] = ()
    same: str | None = None
    concealed: tuple[str, ...] = ()
    paging: Paging | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KindCalls:
    """The calls of one kind; None where it lacks the ability. `rows`: revoke or sweep row by row of this listing.

    `revoke_row`: revoke finds its row in `list` first; places of the row by the name of their variable, without `row.`.
    `revoke_labelled`: that row must bear the value's label, where the value has one.
    `principal`: the pattern that a name must have.
    """

    preflight: Call | None = None
    probe: Call | None = None
    install: Call | None = None
    reserve: Call | None = None
    issue: Call | None = None
    read: Call | None = None
    list: Listing | None = None
    revoke: Call | None = None
    revoke_rows: Listing | None = None
    revoke_row: Mapping[str, str] | None = None
    revoke_labelled: bool = False
    sweep: Call | None = None
    sweep_rows: Listing | None = None
    check: Call | None = None
    handle_is_label: bool = False
    principal: str | None = None
