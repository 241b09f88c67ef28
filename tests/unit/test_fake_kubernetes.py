"""The fake of a Kubernetes API server refuses what a server refuses: asked by hand, without Rotator."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.kubernetes_api import MERGE, PARTIAL, REVIEW, KubernetesFake, merged
from tests.unit.kubernetes_bench import TOKEN, USER, role

PATH = "/api/v1/namespaces/shop/secrets/orders-db"


@pytest.fixture
def fake() -> Iterator[KubernetesFake]:
    with KubernetesFake(tokens={TOKEN: USER}, documents=role()) as made:
        made.create("shop", "orders-db", {"A": "one"})
        yield made


def ask(fake: KubernetesFake, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", fake.port, timeout=5)
    sent = {"Authorization": f"Bearer {TOKEN}", "Content-Type": MERGE} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    try:
        connection.request(method, path, None if body is None else json.dumps(body), sent)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": 1}, ["c"], ["c"]),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ],
)
def test_merge_patch_is_that_of_rfc_7396(target: Any, patch: Any, result: Any) -> None:
    assert merged(target, patch) == result


def test_patch_changes_what_it_names(fake: KubernetesFake) -> None:
    status, found = ask(fake, "PATCH", PATH, {"stringData": {"B": "two"}})
    assert (status, found["kind"], "stringData" in found) == (200, "Secret", False)
    assert fake.values("shop", "orders-db") == {"A": "one", "B": "two"}
    ask(fake, "PATCH", PATH, {"stringData": {"B": None}})
    assert fake.values("shop", "orders-db") == {"A": "one", "B": "two"}  # null there does nothing
    ask(fake, "PATCH", PATH, {"data": {"B": None}})
    assert fake.values("shop", "orders-db") == {"A": "one"}
    both = {"data": {"A": base64.b64encode(b"data").decode()}, "stringData": {"A": "string"}}
    ask(fake, "PATCH", PATH, both)
    assert fake.values("shop", "orders-db") == {"A": "string"}


def test_version_moves_only_when_something_changed_and_stayed(fake: KubernetesFake) -> None:
    version = fake.version("shop", "orders-db")
    ask(fake, "PATCH", PATH, {})
    ask(fake, "PATCH", f"{PATH}?dryRun=All", {"stringData": {"A": "two"}})
    assert fake.version("shop", "orders-db") == version
    assert fake.values("shop", "orders-db") == {"A": "one"}
    ask(fake, "PATCH", PATH, {"stringData": {"A": "two"}})
    assert fake.version("shop", "orders-db") != version


def test_only_metadata_where_that_is_asked_for(fake: KubernetesFake) -> None:
    _, found = ask(fake, "PATCH", PATH, {}, Accept=PARTIAL)
    assert (found["kind"], "data" in found) == ("PartialObjectMetadata", False)
    _, found = ask(fake, "PATCH", PATH, {}, Accept="application/json")
    assert (found["kind"], "data" in found) == ("Secret", True)


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "code", "reason"),
    [
        ("PATCH", PATH, {}, {"Content_Type": "application/json"}, 415, "UnsupportedMediaType"),
        ("PATCH", PATH, {"data": {"A": "not base64!"}}, {}, 400, "BadRequest"),
        ("PATCH", PATH, {"stringData": {"A": 1}}, {}, 400, "BadRequest"),
        ("PATCH", PATH, {"stringData": {"a b": "x"}}, {}, 422, "Invalid"),
        ("PATCH", PATH, {"metadata": {"annotations": {"a/b/c": "x"}}}, {}, 422, "Invalid"),
        ("PATCH", PATH, {"metadata": {"annotations": {"a": 1}}}, {}, 422, "Invalid"),
        ("PATCH", PATH, {"metadata": {"name": "other"}}, {}, 422, "Invalid"),
        ("PATCH", PATH, {"type": "kubernetes.io/tls"}, {}, 422, "Invalid"),
        ("PATCH", PATH, {"metadata": {"resourceVersion": "1"}}, {}, 409, "Conflict"),
        ("PATCH", f"{PATH}?dryRun=Some", {}, {}, 422, "Invalid"),
        ("PATCH", f"{PATH}?fieldManger=x", {}, {}, 400, "BadRequest"),
        ("PATCH", "/api/v1/namespaces/shop/secrets/other", {}, {}, 403, "Forbidden"),
        ("GET", PATH, None, {}, 403, "Forbidden"),
        ("PATCH", PATH, {}, {"Authorization": "Bearer canary-other"}, 401, "Unauthorized"),
        ("PATCH", "/api/v1/namespaces/shop/configmaps/orders-db", {}, {}, 404, "NotFound"),
        ("DELETE", PATH, None, {}, 404, "NotFound"),
        ("POST", REVIEW, {"kind": "SelfSubjectReview"}, {}, 400, "BadRequest"),
    ],
)
def test_refusals_are_statuses(
    fake: KubernetesFake, method: str, path: str, body: Any, headers: dict[str, str], code: int, reason: str
) -> None:
    before = fake.values("shop", "orders-db")
    status, found = ask(fake, method, path, body, **headers)
    assert (status, found["kind"], found["reason"], found["code"]) == (code, "Status", reason, code)
    assert fake.values("shop", "orders-db") == before


def test_review_names_who_asks(fake: KubernetesFake) -> None:
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    status, found = ask(fake, "POST", REVIEW, asked)
    assert (status, found["status"]["userInfo"]["username"]) == (201, USER)
