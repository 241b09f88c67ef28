"""Reads what is sent: `request` with its `like`, and the `auth` block that is built into it. Called by `reading_calls`.

No secret may come into a route or a query: that is refused here, in words, before the plugin exists.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from . import shapes
from .calls import FormField, JsonText, Sent
from .nodes import Node
from .shapes import Sections
from .templates import (
    ROW,
    SECRETS,
    Scope,
    Template,
    Tree,
    Variable,
    is_secret,
    read_template,
    read_tree,
    variables_in,
)

METHODS: Final = ("get", "post", "put", "patch", "delete")
_REQUEST: Final = (*METHODS, "like", "query", "headers", "json", "form", "text")
_VARIABLE: Final = re.compile(r"\{([^{}]*)\}")
_EMPTY: Final = Node({}, 1, 1)


@dataclass(frozen=True, slots=True)
class Block:
    """An auth block with its variables read. `login` is left to `reading_calls`."""

    header: Mapping[str, Template] = field(default_factory=dict)
    basic: tuple[Template, Template] | None = None
    json: Mapping[str, Tree] = field(default_factory=dict)
    form: Mapping[str, Template] = field(default_factory=dict)


def merged(under: Node, over: Node) -> Node:
    """`over` laid on `under`, mapping by mapping; everything else of `over` replaces."""
    if not isinstance(under.value, dict) or not isinstance(over.value, dict):
        return over
    value = dict(under.value)
    for name, child in over.value.items():
        value[name] = merged(value[name], child) if name in value else child
    return Node(value, over.line, over.column, {**under.keys, **over.keys})


def unfolded(node: Node, sections: Sections, seen: frozenset[str] = frozenset()) -> Node:
    """A request with what it is `like` laid under it."""
    like = node.children.get("like")
    own_method = any(name in node.children for name in METHODS)
    if like is None:
        return node
    name = str(like.value)
    if name in seen:
        sections.report.add(like, "circle", f"{name!r} is like itself")
        return node
    found = sections.named("requests", like)
    if found is None:
        return node
    under = unfolded(found, sections, seen | {name})
    if own_method and isinstance(under.value, dict):
        kept = {key: child for key, child in under.value.items() if key not in METHODS}
        under = Node(kept, under.line, under.column, under.keys)
    return merged(under, node)


def read_request(node: Node, sections: Sections, scope: Scope, base: str) -> Sent | None:
    """A request without its authentication."""
    report = sections.report
    whole = unfolded(node, sections)
    parts = shapes.members(whole, report, "a request", _REQUEST)
    methods = [name for name in METHODS if name in parts]
    if len(methods) != 1:
        report.add(node, "missing_key", f"a request needs one of {', '.join(METHODS)} with its route")
        return None
    bodies = [name for name in ("json", "form", "text") if name in parts]
    if len(bodies) > 1:
        report.add(node, "wrong_value", f"a request has one body, not {' and '.join(bodies)}")
    route, path = _read_route(parts[methods[0]], sections, scope)
    return Sent(
        method=methods[0].upper(),
        route=route,
        base=base,
        path=path,
        query=_read_query(parts.get("query"), sections, scope),
        headers=_templates(shapes.named_headers(parts.get("headers"), report), sections, scope),
        json=read_tree(parts["json"], report, scope) if "json" in parts else None,
        form=_read_form(parts.get("form"), sections, scope),
        text=read_template(parts["text"], report, scope) if "text" in parts else None,
    )


def _read_route(node: Node, sections: Sections, scope: Scope) -> tuple[str, dict[str, Template]]:
    report = sections.report
    route = shapes.text(node, report, "a route")
    template = read_template(Node(route, node.line, node.column), report, scope)
    segments = re.split(r"[/\\]", route.lower().replace("%2e", "."))
    if not route.startswith("/") or set(segments) & {".", ".."} or re.search(r"[?#\\\s]|//", route):
        words = "a route starts with / and has no ?, #, spaces, // or dots for folders; parameters go under `query`"
        report.add(node, "wrong_value", words)
    for one in template.variables:
        if not one.name.startswith(ROW):  # of a row: nothing else names it to the platform
            _refuse_secret(node, sections, one, "the route: addresses are written to the logs of proxies and servers")
        if one.optional:
            report.add(node, "wrong_value", f"{{{one.name}?}}: a variable of the route is never left out")
    return route, {one.name: Template((one,)) for one in template.variables}


def _read_query(node: Node | None, sections: Sections, scope: Scope) -> dict[str, Template]:
    if node is None:
        return {}
    if not isinstance(node.value, dict):
        sections.report.add(node, "wrong_type", "`query` is a mapping (lines `name: text`)")
        return {}
    found = _templates(node.value, sections, scope)
    for name, template in found.items():
        for one in template.variables:
            words = "the query: addresses are written to the logs of proxies and servers"
            _refuse_secret(node.value[name], sections, one, words)
    return found


def _refuse_secret(node: Node, sections: Sections, variable: Variable, where: str) -> None:
    if is_secret(variable.name):
        sections.report.add(node, "secret_in_url", f"{{{variable.name}}} is a secret and must not stand in {where}")


def _templates(parts: Mapping[str, Node], sections: Sections, scope: Scope) -> dict[str, Template]:
    return {name: read_template(child, sections.report, scope) for name, child in parts.items()}


def _read_form(node: Node | None, sections: Sections, scope: Scope) -> Mapping[str, FormField] | Variable:
    if node is None:
        return {}
    report = sections.report
    if isinstance(node.value, str):
        sole = read_template(node, report, scope).sole
        if sole is None or sole.name != "fields":
            report.add(node, "wrong_type", '`form` is a mapping (lines `name: text`), or "{fields}"')
            return {}
        return sole
    if not isinstance(node.value, dict):
        report.add(node, "wrong_type", "`form` is a mapping (lines `name: text`)")
        return {}
    found: dict[str, FormField] = {}
    for name, child in node.value.items():
        if isinstance(child.value, dict):
            inner = shapes.members(child, report, f"the form field {name!r}", ("json",), ("json",))
            found[name] = JsonText(read_tree(inner.get("json", _EMPTY), report, scope))
        else:
            found[name] = read_template(child, report, scope)
    return found


# ---- authentication ------------------------------------------------------------------------------------------------


def read_block(node: Node, sections: Sections, scope: Scope) -> Block:
    """The part of an auth block that is built into the request."""
    report = sections.report
    parts = node.children
    basic = None
    if "basic" in parts:
        pair = shapes.members(parts["basic"], report, "`basic`", ("user", "password"), ("user", "password"))
        if len(pair) == 2:
            basic = (read_template(pair["user"], report, scope), read_template(pair["password"], report, scope))
            for one in basic[0].variables:
                if is_secret(one.name):
                    report.add(pair["user"], "wrong_value", "the user name of `basic` is not a secret")
    block = Block(
        header=_templates(shapes.named_headers(parts.get("header"), report), sections, scope),
        basic=basic,
        json=_read_spots(parts.get("json"), sections, scope),
        form=_templates(parts["form"].children, sections, scope) if "form" in parts else {},
    )
    names = {one.name for one in _block_variables(block)}
    if "value" in names and "acting.value" in names:
        words = "{value} and {acting.value} in one auth block: which of the two was accepted could not be told"
        report.add(node, "mixed_secrets", words)
    if not names & SECRETS:
        report.add(node, "missing_key", "an auth block needs a secret: {acting.value}, {value} or {login.token}")
    return block


def _block_variables(block: Block) -> list[Variable]:
    templates = [*block.header.values(), *(block.basic or ()), *block.form.values()]
    found = [one for template in templates for one in template.variables]
    return found + [one for tree in block.json.values() for one in variables_in(tree)]


def _read_spots(node: Node | None, sections: Sections, scope: Scope) -> dict[str, Tree]:
    if node is None:
        return {}
    if not isinstance(node.value, dict):
        sections.report.add(node, "wrong_type", "`json` of an auth block is a mapping (lines `/place: text`)")
        return {}
    for name in node.value:
        if not shapes.POINTER.fullmatch(name):
            sections.report.add(node.key(name), "wrong_value", f"{name!r} is not a place such as /auth")
    return {name: read_tree(child, sections.report, scope) for name, child in node.value.items()}


def with_block(sent: Sent, block: Block, spot: Node, sections: Sections) -> Sent:
    """The request with an auth block built in."""
    if block.header and (twice := {n.lower() for n in block.header} & {n.lower() for n in sent.headers}):
        sections.report.add(spot, "wrong_value", f"the header {', '.join(sorted(twice))} is in the request already")
    json = sent.json
    for place, tree in block.json.items():
        json = _put(json, place[1:].split("/"), tree)
    form = sent.form
    if block.form:
        if isinstance(form, Variable):
            sections.report.add(spot, "wrong_value", "authentication in the form needs a form that is a mapping")
        else:
            form = {**form, **block.form}
    headers = {**sent.headers, **block.header}
    return replace(sent, headers=headers, basic=block.basic or sent.basic, json=json, form=form)


def _put(tree: Tree, parts: list[str], leaf: Tree) -> Tree:
    name = parts[0].replace("~1", "/").replace("~0", "~")
    inside = dict(tree) if isinstance(tree, Mapping) else {}
    inside[name] = leaf if len(parts) == 1 else _put(inside.get(name), parts[1:], leaf)
    return inside
