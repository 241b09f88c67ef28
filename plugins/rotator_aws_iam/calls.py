"""The abilities of the kind `access-key`: preflight, probe, issue, list, revoke.

Called by the plugin host through the declaration in `__init__`. Each request is signed by the admin key, but for the
probe's, which is signed by the key under test and by nothing else. A key is ended by deleting it, never by switching it
off: a key that is off holds one of the two places, anybody with the right can switch it on, and STS refuses it in the
same words as one that is gone, so that no probe could tell the two apart.
"""

from __future__ import annotations

import re
from typing import Final

from rotator.plugin_api import (
    Alive,
    Body,
    Endpoint,
    Failed,
    Found,
    Inconclusive,
    Issued,
    IssueRequest,
    ListRequest,
    Misconfigured,
    Page,
    PluginError,
    PreflightRequest,
    Probed,
    ProbeRequest,
    Ready,
    Refused,
    Rejected,
    Response,
    Revoked,
    RevokeRequest,
)

from .config import Config
from .query import DENIED, KEY_ID, KEY_REFUSED, Key, acting, ask, code_of, result, strange

SLOTS: Final = 2
USERS: Final = "users:"
"""What a cursor through the users of the account begins with; the rest is AWS's own marker."""
_USER: Final = re.compile(r"[A-Za-z0-9_+=,.@-]{1,64}")
_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:iam::(?P<account>[0-9]{12}):user/(?:[!-~]*/)?(?P<user>[A-Za-z0-9_+=,.@-]{1,64})"
)


# ---- reads ---------------------------------------------------------------------------------------------------------


def preflight(at: Endpoint[Config], request: PreflightRequest) -> Ready:
    """Who AWS says we are, and what stands in the way of a new key for the user."""
    account, who = _identity(_ask_who(at, acting(at)))
    findings = [] if account == at.config.account else ["other_account"]
    user = request.subject.principal
    if user == at.actor.generation.subject.principal:  # asked about the admin itself
        if who != user:
            findings.append("other_admin")
        return Ready(acting=who, findings=tuple(findings))
    if not _USER.fullmatch(user):
        return Ready(acting=who, findings=(*findings, "not_a_user_name"))
    answer = ask(at, "iam", "ListAccessKeys", acting(at), {"UserName": user})
    code = code_of(answer)
    if code == "NoSuchEntity":
        findings.append("user_missing")
    elif code in DENIED:
        findings.append("may_not_list")
    else:
        ids = [row.text("/AccessKeyId") for row in _members(result(answer), "ListAccessKeys", "AccessKeyMetadata")]
        if len(ids) >= SLOTS:
            findings.append("slots_full")
    return Ready(acting=who, findings=tuple(findings))


def probe(at: Endpoint[Config], request: ProbeRequest) -> Probed:
    """Asks STS who the key is. That needs no permission and cannot be denied, so a refusal is about the key."""
    key_id = request.target.handle or ""
    if not KEY_ID.fullmatch(key_id):
        return Inconclusive(reason="key_id_missing")
    answer = _ask_who(at, Key(key_id, request.value))
    code = code_of(answer)
    if answer.status == 403 and code == KEY_REFUSED:
        return Rejected(reason="key_refused")
    try:
        account, who = _identity(answer)
    except PluginError as error:
        # Right id, wrong secret: or a clock, or a proxy that changes what is signed. It says nothing about the key.
        reason = "signature_refused" if error.reason == "acting_refused" else error.reason
        return Inconclusive(reason=reason, retry_after=error.retry_after)
    if account != at.config.account:
        return Alive(principal=f"{account}:{who}", handle=key_id)
    return Alive(principal=who, handle=key_id)


def listing(at: Endpoint[Config], request: ListRequest) -> Page:
    """A page of the user's keys; without a subject, of all keys of the account, user by user."""
    if request.subject is None:
        return _everybody(at, request.cursor)
    user = request.subject.principal
    if not _USER.fullmatch(user):
        raise Refused("not_a_user_name")
    rows, marker = _keys(at, user, request.cursor or "")
    return Page(items=tuple(_found(at, row, user, last_used=True) for row in rows), next=marker)


# ---- writes --------------------------------------------------------------------------------------------------------


def issue(at: Endpoint[Config], request: IssueRequest) -> Issued:
    """A new key of the user. Sent once: its secret is shown in this answer and never again."""
    user = request.subject.principal
    if not _USER.fullmatch(user):
        raise Refused("not_a_user_name")
    body = result(ask(at, "iam", "CreateAccessKey", acting(at), {"UserName": user}))
    made = "/CreateAccessKeyResponse/CreateAccessKeyResult/AccessKey"
    key_id, secret = body.text(f"{made}/AccessKeyId"), body.secret(f"{made}/SecretAccessKey")
    if body.text(f"{made}/UserName") != user or not KEY_ID.fullmatch(key_id):
        raise strange(writing=True)
    return Issued(value=secret, handle=key_id, principal=user)


def revoke(at: Endpoint[Config], request: RevokeRequest) -> Revoked:
    """Deletes exactly this key. Never the one that acts: nobody could go on after that."""
    user, key_id = request.target.subject.principal, request.target.handle or ""
    if not key_id:
        raise Misconfigured("variable_missing", unsent=True)
    if not KEY_ID.fullmatch(key_id):
        raise Refused("not_a_key_id")
    if not _USER.fullmatch(user):
        raise Refused("not_a_user_name")
    if key_id == acting(at).key_id:
        # By now the store may hold a newer one; if not, another admin must do it.
        raise Failed("acting_key", unsent=True)
    answer = ask(at, "iam", "DeleteAccessKey", acting(at), {"UserName": user, "AccessKeyId": key_id})
    if code_of(answer) != "NoSuchEntity":
        body = result(answer)
        if not body.has("/DeleteAccessKeyResponse"):
            raise strange(writing=True)
        return Revoked()
    # "No such entity" is said of a key that is gone, of a user that is gone, and by a replica that has not heard of a
    # new key yet. The list tells the last from the others; what remains open the proof finds out.
    try:
        rows, _ = _keys(at, user, "", read=True)
    except Refused as error:
        if error.reason != "not_found":
            raise
        return Revoked(already=True)
    if any(row.text("/AccessKeyId") == key_id for row in rows):
        raise Failed("busy")
    return Revoked(already=True)


# ---- parts ---------------------------------------------------------------------------------------------------------


def _ask_who(at: Endpoint[Config], key: Key) -> Response:
    return ask(at, "sts", "GetCallerIdentity", key, {})


def _identity(answer: Response) -> tuple[str, str]:
    """(account, user) of an answer to "who am I". What is no user of an account keeps its whole ARN as its name."""
    body = result(answer)
    said = "/GetCallerIdentityResponse/GetCallerIdentityResult"
    account, arn = body.text(f"{said}/Account"), body.text(f"{said}/Arn")
    found = _ARN.fullmatch(arn)
    if found is None:
        return account, arn
    if found["account"] != account:
        raise strange(writing=False)
    return account, found["user"]


def _keys(at: Endpoint[Config], user: str, marker: str, *, read: bool = False) -> tuple[tuple[Body, ...], str | None]:
    """One page of a user's keys, and the marker of the next."""
    fields = {"UserName": user, "Marker": marker}
    body = result(ask(at, "iam", "ListAccessKeys", acting(at), fields, read=read))
    rows = _members(body, "ListAccessKeys", "AccessKeyMetadata")
    if any(row.text("/UserName") != user for row in rows):
        raise strange(writing=False)
    return rows, _next(body, "ListAccessKeys")


def _members(body: Body, action: str, name: str) -> tuple[Body, ...]:
    """The rows of a list. An answer without the list itself is no empty list."""
    place = f"/{action}Response/{action}Result/{name}"
    body.text(f"/{action}Response/{action}Result/IsTruncated")
    if not body.has(place):
        raise strange(writing=False)
    return body.items(f"{place}/member") if body.has(f"{place}/member") else ()


def _next(body: Body, action: str) -> str | None:
    """The marker of the next page, None on the last. A page that says neither is no page."""
    place = f"/{action}Response/{action}Result"
    more = body.text(f"{place}/IsTruncated")
    if more not in ("true", "false"):
        raise strange(writing=False)
    return body.text(f"{place}/Marker") if more == "true" else None


def _found(at: Endpoint[Config], row: Body, user: str, *, last_used: bool) -> Found:
    """A row of the listing. A key that is switched off is still there: it holds its place and can be switched on."""
    key_id = row.text("/AccessKeyId")
    used = _last_used(at, key_id) if last_used else None
    return Found(
        handle=key_id,
        principal=user,
        active=True,
        created_at=row.when("/CreateDate"),
        last_used_at=None if used is None else used.when(f"{LAST_USED}/LastUsedDate"),
    )


LAST_USED: Final = "/GetAccessKeyLastUsedResponse/GetAccessKeyLastUsedResult/AccessKeyLastUsed"


def _last_used(at: Endpoint[Config], key_id: str) -> Body | None:
    """When a key was used last: evidence that nothing hangs on, so that it may be forbidden or not yet known."""
    answer = ask(at, "iam", "GetAccessKeyLastUsed", acting(at), {"AccessKeyId": key_id})
    if code_of(answer) in DENIED | {"NoSuchEntity"}:
        return None
    return result(answer)


def _everybody(at: Endpoint[Config], cursor: str | None) -> Page:
    """The keys of one page of users. Without last uses: they would be a request each."""
    marker = (cursor or USERS).removeprefix(USERS)
    body = result(ask(at, "iam", "ListUsers", acting(at), {"Marker": marker, "MaxItems": "50"}))
    following = _next(body, "ListUsers")
    rows: list[Found] = []
    for one in _members(body, "ListUsers", "Users"):
        user = one.text("/UserName")
        try:
            keys, more = _keys(at, user, "")
        except (Misconfigured, Refused) as error:
            if error.reason not in ("access_denied", "not_found"):
                raise
            continue  # not ours to see, or gone meanwhile
        if more is not None:
            raise strange(writing=False)  # a user has two at most
        rows += [_found(at, row, user, last_used=False) for row in keys]
    return Page(items=tuple(rows), next=None if following is None else USERS + following)
