"""Reads a pack: one YAML file in, the plugin and all of its problems out. Called by the package's entry points."""

from __future__ import annotations

import dataclasses
import keyword
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from rotator.plugin_api import RESERVED, Kind, Plugin

from . import shapes
from .abilities import KindFunctions
from .calls import Call, KindCalls, Listing, Sent
from .nodes import MAX_BYTES, Node, parse
from .problems import PackProblem, Place, Report
from .reading_kinds import KindPlan, read_kind
from .reading_replies import report_unheard
from .shapes import Sections

VERSION: Final = 1
_TOP: Final = ("pack", "name", "version", "tested", "config", "requests", "auth", "replies", "reasons", "kinds")
_TYPES: Final[Mapping[str, type]] = {"url": str, "text": str, "int": int, "bool": bool}
_OWN_REASONS: Final = {
    "missing_variable": "The pack's request needs something that this call does not have (a handle, a label, a param).",
    "holds_another": "The holder shows the label of another value.",
    "holds_nothing": "The holder shows no label of ours.",
    "other_label": "The platform's record with this id bears another name: it is another's, or was renamed.",
    "no_label": "It is not known by which label the value was put in place.",
    "unfit_name": "A name or handle cannot be sent here: a line break, braces, a colon, or what the pack excludes.",
}


def read_pack(path: Path) -> tuple[Plugin[Any] | None, list[PackProblem]]:
    """The plugin of the pack in a file, and everything that is wrong with it: one of the two is empty."""
    report = Report(str(path))
    text = _content(path, report)
    root = None if text is None else parse(text, report)
    plugin = None if root is None else _read(root, report)
    return plugin, report.sorted()


def _content(path: Path, report: Report) -> str | None:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            report.add(Place(), "syntax", f"the file is larger than {MAX_BYTES // 1024} KiB")
            return None
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        report.add(Place(), "syntax", "the file is not UTF-8 text")
    except OSError as error:
        report.add(Place(), "no_such_pack", f"the file cannot be read: {error.strerror or type(error).__name__}")
    return None


def _read(root: Node, report: Report) -> Plugin[Any] | None:
    parts = shapes.members(root, report, "a pack", _TOP, ("pack", "name", "version", "config", "kinds"))
    if "pack" in parts and parts["pack"].value != VERSION:
        report.add(parts["pack"], "wrong_value", f"`pack` is the version of this vocabulary: {VERSION}")
    config, urls = _read_config(parts.get("config"), report)
    sections = Sections(
        report=report,
        config=frozenset(config),
        urls=frozenset(urls),
        requests=shapes.named_members(parts.get("requests"), report, "`requests`"),
        auth=shapes.named_members(parts.get("auth"), report, "`auth`"),
        replies=shapes.named_members(parts.get("replies"), report, "`replies`"),
        reasons=_read_reasons(parts.get("reasons"), report),
    )
    kinds = shapes.named_members(parts.get("kinds"), report, "`kinds`")
    plans = [plan for name, node in kinds.items() if (plan := read_kind(name, node, sections)) is not None]
    if "kinds" in parts and not kinds:
        report.add(parts["kinds"], "missing_key", "a pack has at least one kind")
    _check_tested(parts.get("tested"), report)
    _report_unused(parts, sections)
    report_unheard(sections)
    name = shapes.text(parts.get("name"), report, "`name`")
    if "name" in parts and not shapes.NAME.fullmatch(name):
        report.add(parts["name"], "wrong_value", "`name` is lower case letters, digits, - and _")
    if not plans or report.found:
        return None
    return Plugin(
        name=name,
        version=shapes.text(parts.get("version"), report, "`version`"),
        config=_config_class(name, config),
        kinds=tuple(_kind(plan, tuple(config)) for plan in plans),
        routes=tuple(sorted({route for plan in plans for route in _routes(plan.calls)})),
        urls=urls,
        reasons={**_OWN_REASONS, **sections.reasons},
    )


def _check_tested(node: Node | None, report: Report) -> None:
    if node is None:
        return
    if not isinstance(node.value, dict):
        report.add(node, "wrong_type", '`tested` is a mapping (lines `server: ["version", ...]`)')
        return
    for name, child in node.value.items():
        shapes.texts(child, report, f"the tested versions of {name}")


def _report_unused(parts: Mapping[str, Node], sections: Sections) -> None:
    for section in ("requests", "auth", "replies", "reasons"):
        for name in parts[section].children if section in parts else ():
            if (section, name) not in sections.used:
                words = f"nothing refers to {name!r} under `{section}:`: remove it, or correct who should"
                sections.report.add(parts[section].key(name), "unused", words)


def _read_reasons(node: Node | None, report: Report) -> dict[str, str]:
    found = shapes.named_members(node, report, "`reasons`", shapes.SLUG)
    for name in found:
        if name in RESERVED and node is not None:
            report.add(node.key(name), "wrong_value", f"{name!r} always exists and cannot be given another meaning")
    return {name: shapes.text(child, report, f"the reason {name}") for name, child in found.items()}


# ---- configuration -------------------------------------------------------------------------------------------------


def _read_config(node: Node | None, report: Report) -> tuple[dict[str, tuple[type, Any]], tuple[str, ...]]:
    """Settings by name: (type, default or MISSING); and which of them are URLs."""
    found: dict[str, tuple[type, Any]] = {}
    urls: list[str] = []
    for name, child in shapes.named_members(node, report, "`config`", shapes.FIELD).items():
        parts = shapes.members(child, report, f"the setting {name!r}", ("is", "default"), ("is",))
        kind = shapes.choice(parts.get("is"), report, "a type of a setting", _TYPES, "text")
        default: Any = dataclasses.MISSING
        if "default" in parts:
            default = parts["default"].value
            if type(default) is not _TYPES[kind]:
                report.add(parts["default"], "wrong_type", f"the default of {name!r} is not of the type {kind}")
        if keyword.iskeyword(name):
            report.add(child, "wrong_value", f"{name!r} is a word of Python and cannot be the name of a setting")
        if re.search(r"secret|password|passwd|api_?key|(^|_)token($|_)", name):
            words = f"{name!r} sounds like a secret: the acting credential is the endpoint's `admin`, never a setting"
            report.add(child, "wrong_value", words)
        found[name] = (_TYPES[kind], default)
        if kind == "url":
            urls.append(name)
    if node is not None and "url" not in urls:
        report.add(node, "missing_key", "`config` needs `url: {is: url}`: where the platform is")
    return found, tuple(urls)


def _config_class(name: str, config: Mapping[str, tuple[type, Any]]) -> type[Any]:
    fields = [(key, kind, dataclasses.field(default=default)) for key, (kind, default) in config.items()]
    title = name.title().replace("-", "").replace("_", "")
    made: type[Any] = dataclasses.make_dataclass(f"{title}Config", fields, frozen=True, slots=True, kw_only=True)
    return made


# ---- the plugin ----------------------------------------------------------------------------------------------------


def _kind(plan: KindPlan, config: tuple[str, ...]) -> Kind[Any]:
    calls = plan.calls
    functions = KindFunctions(calls, config)
    return Kind(
        name=plan.name,
        title=plan.title,
        traits=plan.traits,
        params=plan.params,
        permissions=plan.permissions,
        value=plan.value,
        scopes_required=plan.scopes_required,
        unsupported=plan.unsupported,
        human_issue=plan.human_issue,
        human_revoke=plan.human_revoke,
        revoke_by_value=plan.revoke_by_value,
        preflight=functions.preflight if calls.preflight else None,
        probe=functions.probe if calls.probe else None,
        install=functions.install if calls.install else None,
        issue=functions.issue if calls.issue else None,
        read=functions.read if calls.read else None,
        list=functions.list if calls.list else None,
        revoke=functions.revoke if calls.revoke else None,
        sweep=functions.sweep if calls.sweep else None,
        check=functions.check if calls.check else None,
    )


def _routes(calls: KindCalls) -> Iterator[str]:
    for sent in _all_sent(calls):
        yield f"{sent.method} {sent.route}"


def _all_sent(calls: KindCalls) -> Iterator[Sent]:
    for one in dataclasses.fields(calls):
        slot = getattr(calls, one.name)
        call = slot.call if isinstance(slot, Listing) else slot
        if isinstance(call, Call):
            yield from _sent_of(call)


def _sent_of(call: Call) -> Iterator[Sent]:
    yield call.sent
    if call.rehearsal is not None:
        yield from _sent_of(call.rehearsal)
    if call.login is not None:
        yield from _sent_of(call.login.call)
        if call.login.logout is not None:
            yield from _sent_of(call.login.logout)
