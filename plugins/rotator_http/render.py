"""A call's variables, and a pack's request with the variables filled in. Called by `exchange`.

Substitution happens in parsed values: a variable can never add a key, a header, a path segment or a line. The three
places here that open a Secret are `_json_text`, for platforms that want JSON inside a form field, `_segment`, for
those that take an id nowhere but in the path though it works as a credential, and `_one_line`, which only looks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from rotator.plugin_api import Generation, HttpRequest, Json, Misconfigured, Secret, Subject

from .calls import FormField, JsonText, Sent
from .templates import ROW, Template, Tree, Variable

Value = str | int | bool | Secret | tuple[str, ...] | Mapping[str, Secret | None] | None
Values = Mapping[str, Value]


class _Dropped:
    """Stands for a key that is left out."""


DROPPED: Final = _Dropped()


def config_values(config: Any, names: tuple[str, ...]) -> dict[str, Value]:
    """`config.*`."""
    return {f"config.{name}": getattr(config, name) for name in names}


def subject_values(subject: Subject | None) -> dict[str, Value]:
    """`principal` and `param.*`; nothing of nobody."""
    if subject is None:
        return {}
    params: dict[str, Value] = {f"param.{name}": value for name, value in subject.params.items()}
    return {"principal": subject.principal, **params}


def target_values(target: Generation) -> dict[str, Value]:
    """`principal`, `param.*`, `handle`, `label` of a target."""
    return {**subject_values(target.subject), "handle": target.handle, "label": target.label}


def expiry_values(expires_at: datetime | None, now: datetime) -> dict[str, Value]:
    """`expires.*`: nothing without an expiry. Days are rounded up, seconds down; `iso` has milliseconds and a Z."""
    if expires_at is None:
        return {}
    moment = expires_at.astimezone(UTC)
    left = moment - now
    return {
        "expires.date": moment.date().isoformat(),
        "expires.iso": moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z",
        "expires.epoch": int(moment.timestamp()),
        "expires.days": -(-left // timedelta(days=1)),
        "expires.seconds": left // timedelta(seconds=1),
    }


def render(sent: Sent, values: Values, *, read: bool) -> HttpRequest:
    """The request. Raises Misconfigured with missing_variable, unfit_name or unsendable, before anything is sent."""
    return HttpRequest(
        method=sent.method,
        route=sent.route,
        base=sent.base,
        path={name: _segment(template, values) for name, template in sent.path.items()},
        query={k: v for k, t in sent.query.items() if (v := _optional_plain(t, values)) is not None},
        headers=_headers(sent, values),
        json=_tree(sent.json, values),
        form=_form(sent.form, values),
        text=_secret(sent.text, values) if sent.text is not None else None,
        read=read,
    )


def _headers(sent: Sent, values: Values) -> dict[str, str | Secret]:
    headers: dict[str, str | Secret] = {}
    for name, template in sent.headers.items():
        leaf = _leaf(template, values)
        if not isinstance(leaf, _Dropped):
            headers[name] = leaf if isinstance(leaf, Secret) else _as_text(leaf)
    if sent.basic is not None:
        user = _plain(sent.basic[0], values)
        if ":" in user:
            raise Misconfigured("unfit_name", unsent=True)
        headers["Authorization"] = _secret(sent.basic[1], values).basic(user)
    return headers


def _form(form: Mapping[str, FormField] | Variable, values: Values) -> dict[str, str | Secret]:
    if isinstance(form, Variable):
        rows = _needed(form, values)
        assert isinstance(rows, Mapping)
        return {name: "" if one is None else one for name, one in rows.items()}
    found: dict[str, str | Secret] = {}
    for name, value in form.items():
        if isinstance(value, JsonText):
            found[name] = _json_text(_tree(value.tree, values))
            continue
        leaf = _leaf(value, values)
        if not isinstance(leaf, _Dropped):
            found[name] = leaf if isinstance(leaf, Secret) else _as_text(leaf)
    return found


def _json_text(tree: Json) -> Secret:
    def opened(leaf: Any) -> str:
        if isinstance(leaf, Secret):
            return leaf.reveal()
        raise TypeError

    return Secret(json.dumps(tree, default=opened))


def _tree(tree: Tree, values: Values) -> Json:
    if isinstance(tree, Template):
        leaf = _leaf(tree, values)
        return None if isinstance(leaf, _Dropped) else _as_json(leaf)
    if isinstance(tree, Mapping):
        return {name: _tree(child, values) for name, child in tree.items() if not _dropped(child, values)}
    if isinstance(tree, list):
        return [_tree(child, values) for child in tree if not _dropped(child, values)]
    return tree


def _dropped(tree: Tree, values: Values) -> bool:
    return isinstance(tree, Template) and any(one.optional and is_empty(values.get(one.name)) for one in tree.variables)


def _leaf(template: Template, values: Values) -> Value | _Dropped:
    """The value of a leaf: DROPPED, the typed value of a sole variable, or text (a Secret if a secret is in it)."""
    if _dropped(template, values):
        return DROPPED
    if template.sole is not None:
        return _needed(template.sole, values)
    pieces: list[str] = []
    secret: Secret | None = None
    for part in template.parts:
        if isinstance(part, str):
            pieces.append(part)
            continue
        value = _needed(part, values)
        if isinstance(value, Secret):
            secret = _one_line(value)
            pieces.append("{}")
        else:
            # Text with something around it: a line break in a name would start a line of its own.
            pieces.append(_fit(_as_text(value)))
    text = "".join(pieces)
    return text if secret is None else secret.wrap(text)


def _fit(text: str) -> str:
    if _has_controls(text) or "{}" in text:
        raise Misconfigured("unfit_name", unsent=True)
    return text


def _one_line(secret: Secret) -> Secret:
    """The same. Who may set their own value would else write lines of their own into what an administrator sends."""
    if _has_controls(secret.reveal()):
        raise Misconfigured("unsendable", unsent=True)
    return secret


def _has_controls(text: str) -> bool:
    # NEL and the Unicode separators too: many servers split lines at them.
    return any(ord(sign) < 32 or ord(sign) in {127, 0x85, 0x2028, 0x2029} for sign in text)


def _needed(variable: Variable, values: Values) -> Value:
    value = values.get(variable.name)
    # Without fields a consumer's call would change nothing and succeed; no scopes are an answer.
    if is_empty(value) and not isinstance(value, tuple):
        raise Misconfigured("missing_variable", unsent=True)
    return value


def is_empty(value: Value) -> bool:
    """Whether a variable has nothing to say."""
    if value is None:
        return True
    return isinstance(value, str | tuple | Mapping) and len(value) == 0


def _optional_plain(template: Template, values: Values) -> str | None:
    leaf = _leaf(template, values)
    return None if isinstance(leaf, _Dropped) else _as_text(leaf)


def _segment(template: Template, values: Values) -> str:
    """A piece of the path. Of the secrets only a row's own variable, found in this very call, is opened."""
    leaf = _leaf(template, values)
    if isinstance(leaf, Secret) and template.sole is not None and template.sole.name.startswith(ROW):
        return leaf.reveal()
    return "" if isinstance(leaf, _Dropped) else _as_text(leaf)


def _plain(template: Template, values: Values) -> str:
    return _optional_plain(template, values) or ""


def _secret(template: Template, values: Values) -> Secret:
    leaf = _leaf(template, values)
    if isinstance(leaf, Secret):
        return leaf
    return Secret("" if isinstance(leaf, _Dropped) else _as_text(leaf))


def _as_text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    if isinstance(value, tuple):
        return " ".join(sorted(value))
    # A Secret or a set of fields where plain text belongs: reading refuses it, this is the second lock.
    raise Misconfigured("unfit_name", unsent=True)


def _as_json(value: Value) -> Json:
    if isinstance(value, tuple):
        return [*sorted(value)]
    if isinstance(value, Mapping):
        return dict(value)
    return value
