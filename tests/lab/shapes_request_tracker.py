"""The shape of a Request Tracker password in the laboratory: one at a time, slow to try, errors under status 200.

Like `tests.lab.shapes`: prepared as an administrator would, judged by asking the server itself. A Request Tracker is no
part of every estate: the shape brings its endpoint and its proxy along. Used by tests/real, the demo and the soak.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from tests.lab.estate import Estate
from tests.lab.proxy import Answer, Fault, Proxy
from tests.lab.request_tracker import ADMIN, RequestTracker
from tests.lab.shapes import Watched, stored

ENDPOINT = "tracker"
LOGIN, LOGOUT, WRITE = r"^/REST/1\.0/$", r"^/NoAuth/Logout\.html$", r"^/REST/1\.0/edit$"
WHO, USERS = r"^/REST/2\.0/user/", r"^/REST/2\.0/users"
"""Paths, as a proxy's rule knows them, of what the pack calls."""
DEADLINE = "6s"
"""What a call needs at least: three exchanges, one of them with a login that takes some 0.3 s of a whole core."""


def said(status: str, *lines: str) -> Answer:
    """An answer of REST 1.0."""
    text = "\n".join(lines)
    body = b"RT/5.0.3 " + f"{status}\n\n{text}\n".encode() if text else b"RT/5.0.3 " + f"{status}\n".encode()
    return Answer(200, {"Content-Type": "text/plain; charset=utf-8"}, body)


FAULTS: Final[dict[str, dict[str, Any]]] = {
    "the change, answer lost": {"fault": Fault.ANSWER_LOST, "path": WRITE},
    "the change, request lost": {"fault": Fault.REQUEST_LOST, "path": WRITE},
    "the change, half an answer": {"fault": Fault.HALF_ANSWER, "path": WRITE},
    "the change, late": {"fault": Fault.REQUEST_LATE, "path": WRITE, "seconds": 6.1},
    "the change, 503 though made": {"fault": Fault.REPLACED, "path": WRITE, "answer": Answer(503)},
    "the change, refused though made": {
        "fault": Fault.REPLACED, "path": WRITE, "answer": said("409 Syntax Error", "# password: Something", ""),
    },
    "the change, made up": {
        "fault": Fault.MADE_UP, "path": WRITE, "answer": said("200 Ok", "# User desk updated.", ""),
    },
    "a session that was forgotten": {
        "fault": Fault.MADE_UP, "path": WRITE, "answer": said("401 Credentials required"),
    },
    "a login, answer lost": {"fault": Fault.ANSWER_LOST, "path": LOGIN, "skip": 1},
    "a login, form taken away": {
        "fault": Fault.MADE_UP, "path": LOGIN, "answer": said("401 Credentials required"), "skip": 1,
    },
    "who am I, answer lost": {"fault": Fault.ANSWER_LOST, "path": WHO, "skip": 1},
    "a logout, request lost": {"fault": Fault.REQUEST_LOST, "path": LOGOUT},
}  # fmt: skip
"""What may happen to one call of a rotation, as the arguments of a proxy's rule. Each strikes every rotation."""


def tracker_proxy(estate: Estate, tracker: RequestTracker, seed: int = 0) -> Proxy:
    """The estate's proxy before this server; the first call starts it and adds endpoint and admin password."""
    found = [proxy for proxy in estate.proxies if proxy.upstream_port == tracker.port]
    if found:
        return found[0]
    proxy = Proxy(tracker.port, seed=seed).start()
    estate.proxies.append(proxy)
    path = f"admin-{estate.tag}/tracker"
    estate.servers.openbao.admin.put(path, {"password": tracker.admin_password})
    estate.endpoints[ENDPOINT] = {
        "plugin": "http", "pack": "request-tracker", "config": {"url": proxy.url},
        # Nobody in the laboratory keeps sessions that began with these passwords.
        "traits": {"derived_live": "0s"},
        "admin": {"principal": ADMIN, "value": {"store": "main", "path": path, "field": "password"}},
    }  # fmt: skip
    return proxy


@dataclass(slots=True)
class TrackerPassword:
    """The password of a user of its own, or of two that take turns. The estate's deadline must be DEADLINE or more."""

    name: str
    tracker: RequestTracker
    alternating: bool = False
    watched: Watched = field(default_factory=Watched)
    neighbour: ClassVar[str] = "url"
    faults: ClassVar[Mapping[str, Mapping[str, Any]]] = FAULTS

    @property
    def in_place(self) -> bool:
        return not self.alternating

    def between(self, estate: Estate) -> Proxy:
        return tracker_proxy(estate, self.tracker)

    def principals(self, estate: Estate) -> list[str]:
        return self.users(estate)

    def strays(self, estate: Estate, debts: Sequence[Mapping[str, Any]]) -> list[str]:
        return []  # a user has one password

    def users(self, estate: Estate) -> list[str]:
        """The principals."""
        stem = f"{self.name}-{estate.tag}"
        return [f"{stem}-a", f"{stem}-b"] if self.alternating else [stem]

    def prepare(self, estate: Estate) -> None:
        """A user with a first password, as an administrator leaves it; the idle one's is nobody's."""
        tracker_proxy(estate, self.tracker)
        users = self.users(estate)
        value, *_ = [self.tracker.create_user(user) for user in users]
        self.watched.see(users[0], value)
        fields = {"password": value, "username": users[0], "url": self.tracker.url}
        estate.servers.openbao.admin.put(estate.path_of(self.name), fields)
        who = {"principals": users} if self.alternating else {"principal": users[0]}
        estate.describe(
            self.name,
            {
                "authority": {"endpoint": ENDPOINT, "kind": "password", **who},
                "store": {
                    "in": "main", "path": estate.path_of(self.name), "value": "password",
                    "fields": {"username": "principal"},
                },
            },
        )  # fmt: skip

    def current(self, estate: Estate) -> tuple[str, str] | None:
        fields = stored(estate, self.name)
        return None if not fields or "password" not in fields else (fields["username"], fields["password"])

    def accepts(self, estate: Estate, principal: str, value: str) -> bool:
        return self.tracker.accepts(principal, value)

    def refusal(self, estate: Estate, principal: str, value: str) -> str:
        return self.tracker.refusal(principal, value)

    def living(self, estate: Estate) -> list[str]:
        return self.users(estate)
