"""Texts with variables: read once with the pack, filled in at each call by value, never by pasting text into text.

A variable is `{name}`, or `{name?}`: then the key that holds it is left out while the variable is empty. A leaf that is
exactly one variable keeps the variable's type. `{{` and `}}` stand for braces. Called by `reading_*` and `render`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from .nodes import Node
from .problems import Report

SECRETS: Final = frozenset({"value", "acting.value", "login.token", "fields"})
ROW: Final = "row."
"""How the names of a row's variables begin: secrets that may stand in a route (docs/packs.md says when)."""
EXPIRY: Final = frozenset({f"expires.{form}" for form in ("date", "iso", "epoch", "days", "seconds")})
_PIECE: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def is_secret(name: str) -> bool:
    """Whether a variable of this name holds a secret."""
    return name in SECRETS or name.startswith(ROW)


@dataclass(frozen=True, slots=True)
class Variable:
    """A place to be filled in; `optional`: its key is dropped when there is nothing."""

    name: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Template:
    """Literal pieces and variables, in order."""

    parts: tuple[str | Variable, ...]

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The variables in it, in order."""
        return tuple(part for part in self.parts if isinstance(part, Variable))

    @property
    def sole(self) -> Variable | None:
        """The variable, if the template is nothing else."""
        return self.parts[0] if len(self.parts) == 1 and isinstance(self.parts[0], Variable) else None


Tree = Template | int | float | bool | None | Mapping[str, "Tree"] | list["Tree"]


@dataclass(frozen=True, slots=True)
class Scope:
    """Which variables a call has. `where` names the call in messages; `loose`: names that may be empty in it."""

    where: str
    names: frozenset[str]
    loose: frozenset[str] = frozenset()


def read_template(node: Node, report: Report, scope: Scope) -> Template:
    """The template of a text leaf. Problems: braces, unknown variables, variables that may be empty without a `?`."""
    text = node.value
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        report.add(node, "wrong_type", "a text is expected here (put it in quotes)")
        return Template(())
    parts: list[str | Variable] = []
    end = 0
    source = str(text)
    for found in _PIECE.finditer(source):
        parts.append(source[end : found.start()])
        end = found.end()
        piece = found.group()
        if piece in {"{{", "}}"}:
            parts.append(piece[0])
        elif found.group(1) is None:
            report.add(node, "braces", f"a lone {piece!r} in {source!r}: write it twice if it is meant as a brace")
        else:
            parts.append(_variable(found.group(1), node, report, scope))
    parts.append(source[end:])
    template = Template(_joined(parts))
    _check_secrets(template, node, report)
    return template


def _joined(parts: list[str | Variable]) -> tuple[str | Variable, ...]:
    joined: list[str | Variable] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    return tuple(joined)


def _variable(text: str, node: Node, report: Report, scope: Scope) -> Variable:
    name, optional = text.removesuffix("?"), text.endswith("?")
    if name not in scope.names:
        report.unknown(node, "unknown_variable", name, f"a variable that {scope.where} has", scope.names)
    elif name in scope.loose and not optional:
        words = f"{scope.where} may be called without {name!r}: write {{{name}?}}, then its key is left out"
        report.add(node, "needs_question_mark", words)
    return Variable(name, optional)


def _check_secrets(template: Template, node: Node, report: Report) -> None:
    secret = [one.name for one in template.variables if is_secret(one.name)]
    if len(secret) > 1:
        report.add(node, "mixed_secrets", f"two secrets in one text ({', '.join(secret)}): one at a time")
    if "fields" in secret and template.sole is None:
        report.add(
            node, "wrong_value", "{fields} is a set of names and values: it stands alone, without text around it"
        )
    if secret and any("{}" in part for part in template.parts if isinstance(part, str)):
        report.add(node, "braces", "no empty pair of braces beside a secret")


def read_tree(node: Node, report: Report, scope: Scope) -> Tree:
    """The JSON value of a node, with a template for each text."""
    if isinstance(node.value, dict):
        return {name: read_tree(child, report, scope) for name, child in node.value.items()}
    if isinstance(node.value, list):
        return [read_tree(child, report, scope) for child in node.value]
    if isinstance(node.value, str):
        return read_template(node, report, scope)
    return node.value


def variables_in(tree: Tree) -> Iterator[Variable]:
    """Every variable of a tree."""
    if isinstance(tree, Template):
        yield from tree.variables
    elif isinstance(tree, Mapping):
        for child in tree.values():
            yield from variables_in(child)
    elif isinstance(tree, list):
        for child in tree:
            yield from variables_in(child)
