"""Reads a kind: its traits, its value, its calls. Called by `reading`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from typing import Final, TypeVar

from rotator.plugin_api import (
    Acting,
    Expiry,
    Form,
    Full,
    Label,
    Lists,
    Lost,
    Origin,
    ProbeLimit,
    Revokes,
    Role,
    Traits,
    Undo,
    ValueSpec,
)

from . import shapes
from .calls import Call, KindCalls
from .contradictions import Said, contradictions
from .nodes import Node
from .problems import Report
from .reading_calls import read_call, read_found_row, read_labelled, read_listing, read_rows, row_places, scope_of
from .shapes import Sections
from .templates import ROW

ABILITIES: Final = ("preflight", "probe", "install", "reserve", "issue", "read", "list", "revoke", "sweep", "check")
_KIND: Final = (
    "title", "traits", "params", "value", "permissions", "scopes_required", "human_issue", "human_revoke",
    "unsupported", "revoke_by_value", "principal", *ABILITIES,
)  # fmt: skip
_TRAITS: Final = (
    "role", "origin", "lost", "live", "old_lives", "undo", "revokes", "acting", "lists", "identity", "label",
    "handle_is_label", "expiry", "settle", "probe_limit", "derived_live", "last_used", "full", "places",
)  # fmt: skip
E = TypeVar("E", bound=Enum)


@dataclass(frozen=True, slots=True, kw_only=True)
class KindPlan:
    """A kind as read: everything that `reading` needs to make the API's `Kind`."""

    name: str
    title: str
    traits: Traits
    params: dict[str, str]
    permissions: tuple[str, ...]
    value: ValueSpec
    scopes_required: tuple[str, ...]
    unsupported: str
    human_issue: str
    human_revoke: str
    revoke_by_value: bool
    calls: KindCalls


def read_kind(name: str, node: Node, sections: Sections) -> KindPlan | None:
    """One kind, or None if its traits cannot be read."""
    report = sections.report
    parts = shapes.members(node, report, f"the kind {name!r}", _KIND, ("title", "traits"))
    if "traits" not in parts:
        return None
    traits = read_traits(parts["traits"], report)
    params = shapes.named_members(parts.get("params"), report, "`params`", shapes.FIELD)
    if traits is None:
        return None
    by_value = shapes.flag(parts.get("revoke_by_value"), report, "`revoke_by_value`")
    calls = replace(
        _read_calls(parts, sections, tuple(params), traits, by_value),
        principal=shapes.pattern(parts.get("principal"), report, "`principal`"),
    )
    plan = KindPlan(
        name=name,
        title=shapes.text(parts.get("title"), report, "`title`"),
        traits=traits,
        params={key: shapes.text(child, report, f"param {key}") for key, child in params.items()},
        permissions=shapes.texts(parts.get("permissions"), report, "`permissions`"),
        value=_read_value(parts.get("value"), report),
        scopes_required=shapes.texts(parts.get("scopes_required"), report, "`scopes_required`"),
        unsupported=shapes.text(parts.get("unsupported"), report, "`unsupported`"),
        human_issue=shapes.text(parts.get("human_issue"), report, "`human_issue`"),
        human_revoke=shapes.text(parts.get("human_revoke"), report, "`human_revoke`"),
        revoke_by_value=by_value,
        calls=calls,
    )
    present = frozenset(name for name in ABILITIES if name in parts)
    said = Said(
        present=present,
        human_issue=plan.human_issue,
        human_revoke=plan.human_revoke,
        unsupported=plan.unsupported,
        by_value=by_value,
    )
    for spot_key, words in contradictions(plan.traits, calls, said):
        spot = node.key(spot_key) if spot_key in parts else parts["traits"].key(spot_key)
        report.add(spot, "contradiction", words)
    return plan


def _read_calls(
    parts: dict[str, Node], sections: Sections, params: tuple[str, ...], traits: Traits, by_value: bool
) -> KindCalls:
    found: dict[str, Call | None] = dict.fromkeys(ABILITIES)
    calls = KindCalls(handle_is_label=traits.handle_is_label)
    if "list" in parts:
        calls = replace(calls, list=read_listing(parts["list"], sections, scope_of("list", params, sections)))
    for ability in ABILITIES:
        if ability not in parts or ability == "list":
            continue
        extra = frozenset({"handle"}) if ability == "issue" and "reserve" in parts else frozenset()
        extra |= frozenset({"value"}) if ability == "revoke" and by_value else frozenset()
        if ability == "revoke":
            extra |= {f"{ROW}{name}" for name in row_places(parts[ability], sections)}
            extra |= {"fields"} if traits.role is Role.CONSUMER else frozenset()
        scope = scope_of(ability, params, sections, extra)
        found[ability] = read_call(parts[ability], sections, ability, scope)
        if ability in {"revoke", "sweep"}:
            rows = read_rows(parts[ability], calls.list, sections, ability, scope)
            if ability == "sweep":
                calls = replace(calls, sweep_rows=rows)
            else:
                row = read_found_row(parts[ability], calls.list, sections)
                labelled = read_labelled(parts[ability], calls.list, sections)
                calls = replace(calls, revoke_rows=rows, revoke_row=row, revoke_labelled=labelled)
    return replace(
        calls, preflight=found["preflight"], probe=found["probe"], install=found["install"],
        reserve=found["reserve"], issue=found["issue"], read=found["read"], revoke=found["revoke"],
        sweep=found["sweep"], check=found["check"],
    )  # fmt: skip


def _read_value(node: Node | None, report: Report) -> ValueSpec:
    if node is None:
        return ValueSpec()
    parts = shapes.members(node, report, "`value`", ("form", "min", "max", "alphabet"))
    least = shapes.number(parts.get("min"), report, "`min`", 1, 32)
    most = shapes.number(parts.get("max"), report, "`max`", 1, max(64, least))
    if most < least:
        report.add(node, "wrong_value", "`max` is below `min`")
    alphabet = shapes.text(parts.get("alphabet"), report, "`alphabet`")
    if alphabet and len(set(alphabet)) < 10:
        report.add(parts["alphabet"], "wrong_value", "`alphabet` lists every sign that may occur, ten or more")
    return ValueSpec(form=_enum(parts.get("form"), report, "a form", Form, Form.TEXT), min=least, max=most,
                     alphabet=alphabet)  # fmt: skip


# ---- traits --------------------------------------------------------------------------------------------------------


def read_traits(node: Node, report: Report) -> Traits | None:
    """The traits, or None if what cannot be guessed is missing."""
    parts = shapes.members(node, report, "`traits`", _TRAITS, ("role", "origin", "lost"))
    if not {"role", "origin", "lost"} <= set(parts):
        return None
    live = parts.get("live")
    old = parts.get("old_lives")
    many = live is not None and live.value == "many"
    until_revoked = old is not None and old.value == "until_revoked"
    return Traits(
        role=_enum(parts["role"], report, "a role", Role, Role.AUTHORITY),
        origin=_enum(parts["origin"], report, "an origin", Origin, Origin.GENERATED),
        lost=_enum(parts["lost"], report, "a way to resolve a lost answer", Lost, Lost.NONE),
        live=None if many else shapes.number(live, report, "`live` (or `many`)", 1, 1),
        old_lives=None
        if until_revoked
        else shapes.span(old, report, "`old_lives` (or `until_revoked`)") or timedelta(),
        undo=_enum(parts.get("undo"), report, "a way to undo", Undo, Undo.NONE),
        revokes=_enum(parts.get("revokes"), report, "what a revoke hits", Revokes, Revokes.NONE),
        acting=_read_acting(parts.get("acting"), report),
        lists=_enum(parts.get("lists"), report, "what can be listed", Lists, Lists.NONE),
        identity=shapes.flag(parts.get("identity"), report, "`identity`", True),
        label=_read_label(parts.get("label"), report),
        handle_is_label=shapes.flag(parts.get("handle_is_label"), report, "`handle_is_label`"),
        expiry=_read_expiry(parts.get("expiry"), report),
        settle=shapes.span(parts.get("settle"), report, "`settle`") or timedelta(),
        probe_limit=_read_probe_limit(parts.get("probe_limit"), report),
        derived_live=shapes.span(parts.get("derived_live"), report, "`derived_live`") or timedelta(),
        last_used=shapes.span(parts.get("last_used"), report, "`last_used`"),
        full=_enum(parts.get("full"), report, "what a full platform does", Full, Full.REFUSES),
        places=shapes.flag(parts.get("places"), report, "`places`"),
    )


def _enum(node: Node | None, report: Report, what: str, kind: type[E], default: E) -> E:
    word = shapes.choice(node, report, what, [str(one.value) for one in kind], str(default.value))
    return kind(word)


def _read_acting(node: Node | None, report: Report) -> frozenset[Acting]:
    if node is None:
        return frozenset({Acting.ADMIN})
    rows = shapes.elements(node, report, "`acting`")
    return frozenset(_enum(row, report, "who may act", Acting, Acting.ADMIN) for row in rows)


def _read_label(node: Node | None, report: Report) -> Label | None:
    if node is None:
        return None
    parts = shapes.members(node, report, "`label`", ("max", "pattern", "unique"), ("max",))
    most = shapes.number(parts.get("max"), report, "`max`", 1, 24)
    unique = shapes.flag(parts.get("unique"), report, "`unique`")
    pattern = shapes.pattern(parts.get("pattern"), report, "`pattern`")
    return Label(max=most, unique=unique) if pattern is None else Label(max=most, pattern=pattern, unique=unique)


def _read_expiry(node: Node | None, report: Report) -> Expiry | None:
    if node is None:
        return None
    parts = shapes.members(node, report, "`expiry`", ("min", "max", "step"), ("min",))
    least = shapes.span(parts.get("min"), report, "`min`") or timedelta()
    most = shapes.span(parts.get("max"), report, "`max`")
    return Expiry(min=least, max=most, step=shapes.span(parts.get("step"), report, "`step`") or timedelta(seconds=1))


def _read_probe_limit(node: Node | None, report: Report) -> ProbeLimit | None:
    if node is None:
        return None
    names = ("failures", "per", "success_resets")
    parts = shapes.members(node, report, "`probe_limit`", names, ("failures", "per"))
    return ProbeLimit(
        failures=shapes.number(parts.get("failures"), report, "`failures`", 1, 1),
        per=shapes.span(parts.get("per"), report, "`per`") or timedelta(hours=1),
        success_resets=shapes.flag(parts.get("success_resets"), report, "`success_resets`"),
    )
