"""A policy that takes from another what it does not say itself: `parent: standard`.

Called by the loader on plain data, before the models judge it. A policy has one parent, the parent may have one too;
mappings (`window`, `proof`) are taken key by key, anything else is replaced whole, no lists are joined; a key written
as `null` takes away what the parent says. Afterwards no policy has a parent: what is kept and shown is what counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from .documents import Path_, Plain
from .problems import Problem, nearest
from .sources import Sources

KEY = "parent"


@dataclass(slots=True)
class _Family:
    """All policies while their parents are followed."""

    sources: Sources
    policies: dict[str, Plain]
    whole: dict[str, dict[str, Plain]] = field(default_factory=dict)
    inherited: dict[Path_, Path_] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)


def resolve(sources: Sources) -> tuple[Sources, list[Problem]]:
    """The same with every policy complete, and what is wrong with parents: unknown ones, circles, empty keys."""
    policies = sources.data.get("policies")
    if not isinstance(policies, dict) or not any(KEY in one for one in policies.values() if isinstance(one, dict)):
        return sources, []
    family = _Family(sources, policies)
    for name in policies:
        _complete(name, family, ())
    data = {**sources.data, "policies": {name: family.whole.get(name, one) for name, one in policies.items()}}
    made = replace(
        sources, data=data, inherited=family.inherited, parents=family.parents, unresolved=frozenset(family.broken)
    )
    return made, family.problems


def echoes(problems: list[Problem], sources: Sources) -> list[Problem]:
    """Without what a policy only repeats: it is told where it is written; and without what a lost parent would say."""
    written = {".".join(map(str, key)): ".".join(map(str, value)) for key, value in sources.inherited.items()}
    told = {(one.code, one.where) for one in problems}
    kept = []
    for one in problems:
        lost = one.code in ("CFG-MISSING", "CFG-EMPTY") and any(
            one.where == f"policies.{name}" or one.where.startswith(f"policies.{name}.") for name in sources.unresolved
        )
        origin = next((f"{written[key]}{rest}" for key, rest in _prefixes(one.where) if key in written), None)
        if not lost and (origin is None or (one.code, origin) not in told):
            kept.append(_with_origin(one, sources))
    return kept


def _with_origin(one: Problem, sources: Sources) -> Problem:
    """Of two keys that exclude each other one may be a parent's: it is not seen where the other is written."""
    found = re.fullmatch(r"policies\.([^ ]+)\.\w+", one.where)
    if one.code != "CFG-CONFLICT" or found is None:
        return one
    for key in re.findall(r"`(\w+)`", one.message):
        above = sources.inherited.get(("policies", found[1], key))
        if above is not None and f"`{found[1]}` has it" not in one.message:
            words = f"; `{key}` is from `{above[1]}` ({sources.place(above)}): take it away with `{key}: null`"
            return replace(one, message=one.message + words)
    return one


def _prefixes(where: str) -> list[tuple[str, str]]:
    ends = [number for number, letter in enumerate(where) if letter == "."] + [len(where)]
    return [(where[:end], where[end:]) for end in reversed(ends)]


def _complete(name: str, family: _Family, below: tuple[str, ...]) -> dict[str, Plain] | None:
    """A policy with what its parents say; None when a parent is missing or the way leads back."""
    if name in family.whole:
        return family.whole[name]
    own = family.policies.get(name)
    if name in family.broken or not isinstance(own, dict):
        return None
    if KEY not in own:
        family.whole[name] = own
        return own
    if name in below:
        family.broken.update(below[below.index(name) :])
        _tell_circle([*below[below.index(name) :], name], family)
        return None
    parent = own[KEY]
    here: Path_ = ("policies", name)
    above = None
    if not isinstance(parent, str):
        words = "the name of one policy belongs here: a policy has one parent"
        family.problems.append(family.sources.problem("CFG-WRONG-TYPE", words, (*here, KEY), value=parent is not None))
    elif parent not in family.policies:
        close = nearest(parent, (one for one in family.policies if one != name))
        words = "no policy of this name is defined under `policies`"
        family.problems.append(
            family.sources.problem("CFG-UNKNOWN-REF", words, (*here, KEY), value=True, suggestion=close)
        )
    else:
        above = _complete(parent, family, (*below, name))
    if above is None:
        family.broken.add(name)
        return None
    mine = {key: value for key, value in own.items() if key != KEY}
    made = _joined(mine, above, here, ("policies", str(parent)), family)
    family.whole[name] = made
    family.parents[name] = str(parent)
    return made


def _joined(
    mine: dict[str, Plain], above: dict[str, Plain], here: Path_, there: Path_, family: _Family
) -> dict[str, Plain]:
    """`mine` over `above`. Keys that come from above are noted with the path at which they are written."""
    made: dict[str, Plain] = {}
    for key, value in above.items():
        if key in mine:
            continue
        made[key] = value
        _note((*here, key), (*there, key), value, family)
    for key, value in mine.items():
        upper = above.get(key)
        if value is None and _is_blank(family, (*here, key)):
            words = "nothing stands here: write `null` to take away what the parent says, or take the key out"
            family.problems.append(family.sources.problem("CFG-EMPTY", words, (*here, key)))
            made[key] = upper
        elif isinstance(value, dict) and isinstance(upper, dict):
            made[key] = _joined(value, upper, (*here, key), (*there, key), family)
        elif value is not None:
            made[key] = value
    return made


def _note(path: Path_, above: Path_, value: Plain, family: _Family) -> None:
    """Where `path` is written: the parent may itself have it, or a part of it, from its own parent."""
    if isinstance(value, dict) and any(key[: len(above)] == above and key != above for key in family.inherited):
        for key, inner in value.items():
            _note((*path, key), (*above, key), inner, family)
    else:
        family.inherited[path] = family.inherited.get(above, above)


def _is_blank(family: _Family, path: Path_) -> bool:
    document = family.sources.document(path)
    return document is not None and document.is_blank(path)


def _tell_circle(names: list[str], family: _Family) -> None:
    steps = [f"`{name}` ({family.sources.place(('policies', name, KEY))})" for name in names[:-1]]
    words = f"the parents go round in a circle: {' takes from '.join([*steps, f'`{names[-1]}`'])}"
    path: Path_ = ("policies", names[0], KEY)
    family.problems.append(family.sources.problem("CFG-PARENT-CYCLE", words, path, value=True))
