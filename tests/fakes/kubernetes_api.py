"""A FAKE of a Kubernetes API server: Secrets of namespaces, RBAC, SelfSubjectReview. No cluster stands behind it.

Made from what the API says of itself: paths, parameters, content types and schemas of `api/openapi-spec/v3` (core v1
and authentication.k8s.io v1, as of Kubernetes 1.33), RFC 7396 for merge patches, the documented Role and RoleBinding
for rights. Texts of refusals are written from memory of the server's sources and were not compared with a server. It
proves that our side speaks this contract; that a cluster keeps it is for a run against a cluster, which it does not
replace. It leaves out: managedFields, watches, warnings, aggregation, quotas, all resources but Secrets.

Where it is stricter than a server: a query parameter that the operation does not have is refused.
Used by `test_pack_kubernetes*`. It imports no room of ours.
"""

from __future__ import annotations

import base64
import binascii
import copy
import json
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

Json = Any
MERGE: Final = "application/merge-patch+json"
PATCHES: Final = (MERGE, "application/json-patch+json", "application/strategic-merge-patch+json",
                  "application/apply-patch+yaml")  # fmt: skip
PARTIAL: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
PARAMETERS: Final = {
    "GET": {"pretty"},
    "PATCH": {"pretty", "dryRun", "fieldManager", "fieldValidation", "force"},
    "POST": {"pretty", "dryRun", "fieldManager", "fieldValidation"},
}
SECRET_FIELDS: Final = {"apiVersion", "kind", "metadata", "data", "stringData", "type", "immutable"}
SECRET: Final = re.compile(r"/api/v1/namespaces/([^/]+)/secrets/([^/]+)")
REVIEW: Final = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
DATA_KEY: Final = re.compile(r"[-._a-zA-Z0-9]{1,253}")
ANNOTATION: Final = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
MOST_BYTES: Final = 1024 * 1024


class Refusal(Exception):
    """What the server answers instead: a `Status`."""

    def __init__(self, code: int, reason: str, message: str, details: Mapping[str, Json] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
            "reason": reason, "details": dict(details or {}), "code": code,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it came. `shown`: whether the answer to it had a field of `data`."""

    method: str
    path: str
    query: Mapping[str, str]
    user: str
    answered: int
    shown: bool


@dataclass
class KubernetesFake:
    """Serves on 127.0.0.1. `tokens`: user by bearer token; `documents`: parsed Roles and RoleBindings.

    `conflicts`: so many of the next patches lose against another writer. `denies`: what an admission webhook says.
    """

    tokens: dict[str, str] = field(default_factory=dict)
    documents: Sequence[Mapping[str, Json]] = ()
    secrets: dict[tuple[str, str], dict[str, Json]] = field(default_factory=dict)
    conflicts: int = 0
    denies: str = ""
    partial: bool = True
    seen: list[Seen] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._version = 1000
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> KubernetesFake:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join(5)
        self._server.server_close()

    # -- the truth, for tests --------------------------------------------------------------------------------------

    def create(self, namespace: str, name: str, values: Mapping[str, str], **more: Json) -> None:
        """A Secret as somebody else made it."""
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        self._version += 1
        self.secrets[namespace, name] = {
            "kind": "Secret", "apiVersion": "v1", "type": "Opaque", "data": data, **more,
            "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{self._version}", "annotations": {},
                         "resourceVersion": str(self._version)},
        }  # fmt: skip

    def values(self, namespace: str, name: str) -> dict[str, str]:
        """What stands in a Secret, decoded."""
        data = self.secrets[namespace, name].get("data") or {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def version(self, namespace: str, name: str) -> str:
        return str(self.secrets[namespace, name]["metadata"]["resourceVersion"])

    def annotations(self, namespace: str, name: str) -> dict[str, str]:
        return dict(self.secrets[namespace, name]["metadata"].get("annotations") or {})

    # -- the server ------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes) -> Json:
        """(status, JSON) of a request. Raises Refusal."""
        user = self.user_of(headers)
        if unknown := set(query) - PARAMETERS.get(method, set()):
            raise Refusal(400, "BadRequest", f"unknown parameter {sorted(unknown)}")
        if query.get("dryRun", "All") != "All":
            raise Refusal(422, "Invalid", "dryRun: Unsupported value", {"kind": "PatchOptions"})
        if (method, path) == ("POST", REVIEW):
            return 201, self._review(user, json.loads(body))
        found = SECRET.fullmatch(path)
        if found is None or method not in {"GET", "PATCH"}:
            raise Refusal(404, "NotFound", "the server could not find the requested resource")
        namespace, name = unquote(found[1]), unquote(found[2])
        self._authorize(user, method.lower(), namespace, name)
        if method == "GET":
            return 200, copy.deepcopy(self._stored(namespace, name))
        media = headers.get("content-type", "").partition(";")[0]
        if media != MERGE:
            words = f"the body of the request was in an unknown format - accepted media types include: {PATCHES}"
            raise Refusal(415, "UnsupportedMediaType", words)
        return 200, self._patched(namespace, name, body, dry="dryRun" in query)

    def user_of(self, headers: Mapping[str, str]) -> str:
        user = self.tokens.get(headers.get("authorization", "").removeprefix("Bearer "))
        if user is None:
            raise Refusal(401, "Unauthorized", "Unauthorized")
        return user

    @staticmethod
    def _review(user: str, asked: Json) -> Json:
        if (asked.get("kind"), asked.get("apiVersion")) != ("SelfSubjectReview", "authentication.k8s.io/v1"):
            raise Refusal(400, "BadRequest", "the object provided is unrecognized")
        info = {"username": user, "uid": "u-1", "groups": ["system:authenticated"]}
        return {**asked, "metadata": {"creationTimestamp": None}, "status": {"userInfo": info}}

    def _authorize(self, user: str, verb: str, namespace: str, name: str) -> None:
        if not any(self._allows(rule, verb, name) for rule in self._rules(user, namespace)):
            words = (
                f'secrets "{name}" is forbidden: User "{user}" cannot {verb} resource "secrets" in API group "" '
                f'in the namespace "{namespace}"'
            )
            raise Refusal(403, "Forbidden", words, {"name": name, "kind": "secrets"})

    def _rules(self, user: str, namespace: str) -> list[Mapping[str, Json]]:
        inside = [one for one in self.documents if (one.get("metadata") or {}).get("namespace") == namespace]
        bound = {
            one["roleRef"]["name"]
            for one in inside
            if one.get("kind") == "RoleBinding"
            and one["roleRef"].get("kind") == "Role"
            and one["roleRef"].get("apiGroup") == "rbac.authorization.k8s.io"
            and user in {_subject(each) for each in one.get("subjects") or ()}
        }
        roles = [one for one in inside if one.get("kind") == "Role" and one["metadata"]["name"] in bound]
        return [rule for role in roles for rule in role.get("rules") or ()]

    @staticmethod
    def _allows(rule: Mapping[str, Json], verb: str, name: str) -> bool:
        names = rule.get("resourceNames") or ()
        return (
            {verb, "*"} & set(rule.get("verbs") or ()) != set()
            and {"secrets", "*"} & set(rule.get("resources") or ()) != set()
            and {"", "*"} & set(rule.get("apiGroups") or ()) != set()
            and (not names or name in names)
        )

    def _stored(self, namespace: str, name: str) -> dict[str, Json]:
        if (namespace, name) not in self.secrets:
            raise Refusal(404, "NotFound", f'secrets "{name}" not found', {"name": name, "kind": "secrets"})
        return self.secrets[namespace, name]

    def _patched(self, namespace: str, name: str, body: bytes, *, dry: bool) -> Json:
        with self._lock:
            before = self._stored(namespace, name)
            try:
                patch = json.loads(body)
            except ValueError:
                raise Refusal(400, "BadRequest", "error decoding patch") from None
            after = _decoded(merged(before, patch))
            self._admit(before, after, name)
            changed = after != before
            if changed and not dry:
                self._version += 1
                after["metadata"]["resourceVersion"] = str(self._version)
                self.secrets[namespace, name] = after
            return copy.deepcopy(after)

    def _admit(self, before: Json, after: Json, name: str) -> None:
        details = {"name": name, "kind": "secrets"}
        lost = self.conflicts > 0
        self.conflicts -= lost
        if lost or after["metadata"].get("resourceVersion") != before["metadata"]["resourceVersion"]:
            words = (
                f'Operation cannot be fulfilled on secrets "{name}": the object has been modified; please apply your '
                "changes to the latest version and try again"
            )
            raise Refusal(409, "Conflict", words, details)
        if self.denies and after != before:
            raise Refusal(400, "", f'admission webhook "policy.example" denied the request: {self.denies}')
        causes = [*_causes(after), *_changes(before, after)]
        if causes:
            words = f'Secret "{name}" is invalid: {causes[0]}'
            raise Refusal(422, "Invalid", words, {"name": name, "kind": "Secret", "causes": causes})


def _subject(one: Mapping[str, Json]) -> str:
    if one.get("kind") == "ServiceAccount":
        return f"system:serviceaccount:{one.get('namespace')}:{one.get('name')}"
    return str(one.get("name"))


def merged(target: Json, patch: Json) -> Json:
    """RFC 7396."""
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    result = dict(copy.deepcopy(target)) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def _decoded(document: Json) -> dict[str, Json]:
    """As the server understands a Secret: unknown fields dropped, `stringData` written over `data` and forgotten."""
    known = {key: value for key, value in document.items() if key in SECRET_FIELDS}
    data = dict(known.get("data") or {})
    for key, value in data.items():
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise Refusal(400, "BadRequest", f"illegal base64 data in data.{key}") from None
    for key, value in (known.pop("stringData", None) or {}).items():
        if not isinstance(value, str):
            raise Refusal(400, "BadRequest", f"stringData.{key}: not a string")
        data[key] = base64.b64encode(value.encode()).decode()
    known["data"] = data
    return known


def _causes(after: Json) -> list[str]:
    found = [f"data[{key}]: Invalid value: a valid config key" for key in after["data"] if not DATA_KEY.fullmatch(key)]
    found += [
        f"metadata.annotations: Invalid value: {key!r}: name part must consist of alphanumeric characters"
        for key, value in (after["metadata"].get("annotations") or {}).items()
        if not ANNOTATION.fullmatch(key) or not isinstance(value, str)
    ]
    if sum(len(base64.b64decode(value)) for value in after["data"].values()) > MOST_BYTES:
        found.append(f"data: Too long: may not be more than {MOST_BYTES} bytes")
    if after.get("type") == "kubernetes.io/tls":
        found += [f"data[{key}]: Required value" for key in ("tls.crt", "tls.key") if key not in after["data"]]
    return found


def _changes(before: Json, after: Json) -> list[str]:
    fixed = "field is immutable"
    found = [f"metadata.{key}: {fixed}" for key in ("name", "namespace", "uid")
             if after["metadata"].get(key) != before["metadata"].get(key)]  # fmt: skip
    found += [f"type: Invalid value: {fixed}"] if after.get("type") != before.get("type") else []
    if before.get("immutable") and after["data"] != (before.get("data") or {}):
        found.append(f"data: Forbidden: {fixed} when `immutable` is set")
    return found


def _handler(fake: KubernetesFake) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length") or 0))
            try:
                status, document = fake.answer(self.command, parts.path, query, headers, body)
                if fake.partial and headers.get("accept", "").startswith(PARTIAL) and document.get("kind") == "Secret":
                    kind = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
                    document = {**kind, "metadata": document["metadata"]}
            except Refusal as refusal:
                status, document = refusal.code, refusal.status
            user = fake.tokens.get(headers.get("authorization", "").removeprefix("Bearer "), "")
            fake.seen.append(Seen(self.command, parts.path, query, user, status, bool(document.get("data"))))
            raw = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Says nothing."""

    return Handler
