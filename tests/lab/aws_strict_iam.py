"""IAM's documented rules put back into the emulator, and its eventual consistency on the laboratory's word.

Imported by `aws_strict.py`, in the emulator's own environment; it imports nothing of ours. Sources: the IAM API
reference (errors of ListAccessKeys and DeleteAccessKey), the service authorization reference and the user guide,
"Changes that I make are not always immediately visible".
"""

from __future__ import annotations

import json
import threading
from typing import Any

from ministack import app
from ministack.core import iam_actions, responses
from ministack.services import iam

Answer = Any
_EMULATED: dict[str, Any] = {
    "create": iam._IAM_HANDLERS["CreateAccessKey"], "list": iam._IAM_HANDLERS["ListAccessKeys"],
    "delete": iam._IAM_HANDLERS["DeleteAccessKey"], "resource": iam_actions.extract_resource_arn,
    "shortcuts": app._handle_post_body_shortcuts,
}  # fmt: skip
_lag = 0.0
_dying: set[str] = set()


def no_such_user(user: str) -> Answer:
    """ListAccessKeys, CreateAccessKey, DeleteAccessKey: NoSuchEntity for a user that is not there."""
    if user in iam._users:
        return None
    return iam._error(404, "NoSuchEntity", f"The user with name {user} cannot be found.", ns="iam")


def create_access_key(parameters: dict[str, Any]) -> Answer:
    """A new key is not known everywhere at once: for a while it is in no list and refused as unknown."""
    before = set(iam._access_keys)
    answer = _EMULATED["create"](parameters)
    for key_id in set(iam._access_keys) - before if _lag else ():
        account, record = responses.get_account_id(), iam._access_keys[key_id]
        del iam._access_keys[key_id]
        later(lambda a=account, k=key_id, r=record: iam._access_keys.set_scoped(a, None, k, r))
    return answer


def list_access_keys(parameters: dict[str, Any]) -> Answer:
    return no_such_user(iam._p(parameters, "UserName")) or _EMULATED["list"](parameters)


def delete_access_key(parameters: dict[str, Any]) -> Answer:
    """The key must be this user's. A deleted key is listed and accepted for a while."""
    user, key_id = iam._p(parameters, "UserName"), iam._p(parameters, "AccessKeyId")
    if user not in iam._users:
        return no_such_user(user)
    record = iam._access_keys.get(key_id)
    if record is not None and (record["UserName"] != user or key_id in _dying):
        return iam._error(404, "NoSuchEntity", f"The Access Key with id {key_id} cannot be found.", ns="iam")
    if record is None or not _lag:
        return _EMULATED["delete"](parameters)
    account = responses.get_account_id()
    _dying.add(key_id)
    later(lambda: iam._access_keys.pop_scoped(account, None, key_id, None))
    return iam._xml(200, "DeleteAccessKeyResponse", "", ns="iam")


def resource(service: str, *request: Any) -> str:
    """Service authorization reference: access keys are actions on their user, whose ARN has its path in it."""
    found = str(_EMULATED["resource"](service, *request))
    if service != "iam":
        return found
    asked = {name: iam_actions._query_param(request[4], name) for name in ("Action", "UserName", "AccessKeyId")}
    user = asked["UserName"]
    if asked["Action"] == "GetAccessKeyLastUsed":
        user = (iam._access_keys.get(asked["AccessKeyId"]) or {}).get("UserName")
    return str(iam._users[user]["Arn"]) if user and user in iam._users else found


async def shortcuts(method: str, path: str, headers: Any, body: Any, query_params: Any, request_id: str) -> Answer:
    """On the laboratory's word: how long IAM takes from now on until what it did is seen everywhere."""
    global _lag
    if path != "/_lab/iam":
        return await _EMULATED["shortcuts"](method, path, headers, body, query_params, request_id)
    _lag = float(json.loads(body)["lag"])
    return 200, {"Content-Type": "application/json"}, b"{}"


def later(action: Any) -> None:
    timer = threading.Timer(_lag, action)
    timer.daemon = True
    timer.start()


def restore() -> None:
    """Put the rules into the emulator's tables, in front of those that stand there. Called once, before it serves."""
    _EMULATED["create"] = iam._IAM_HANDLERS["CreateAccessKey"]
    _EMULATED["shortcuts"] = app._handle_post_body_shortcuts
    iam._IAM_HANDLERS["CreateAccessKey"] = create_access_key
    iam._IAM_HANDLERS["ListAccessKeys"] = list_access_keys
    iam._IAM_HANDLERS["DeleteAccessKey"] = delete_access_key
    iam_actions.extract_resource_arn = resource
    app._handle_post_body_shortcuts = shortcuts
