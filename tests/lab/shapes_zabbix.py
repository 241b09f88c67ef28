"""The shape of a Zabbix token in the laboratory: a value that the platform makes, in two calls, under status 200.

Like `tests.lab.shapes`: prepared as an administrator would, judged by asking the server itself. A Zabbix is no part of
every estate: the shape brings its endpoint and its proxy along. Used by tests/real, the demo and the soak.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from tests.lab.estate import Estate
from tests.lab.proxy import Answer, Fault, Proxy
from tests.lab.shapes import Watched, stored
from tests.lab.zabbix import ADMIN, Zabbix

ENDPOINT = "zabbix"
CREATE, GENERATE, DELETE, GET = rb'"token\.create"', rb'"token\.generate"', rb'"token\.delete"', rb'"token\.get"'
"""What the body of each call holds. A listing and a probe hold GET."""


def rpc_error(code: int, data: str, *, batch: bool = False) -> Answer:
    """An answer with an error, as Zabbix gives it: under status 200."""
    one: dict[str, Any] = {"jsonrpc": "2.0", "error": {"code": code, "message": "Error.", "data": data}, "id": 1}
    return Answer.json(200, [one, one] if batch else one)


def _result(result: Any) -> Answer:
    return Answer.json(200, {"jsonrpc": "2.0", "result": result, "id": 1})


def _once(fault: Fault, content: bytes, **more: Any) -> dict[str, Any]:
    return {"fault": fault, "content": content, "times": 1, **more}


FAULTS: Final[dict[str, dict[str, Any]]] = {
    "the record, answer lost": _once(Fault.ANSWER_LOST, CREATE),
    "the record, request lost": _once(Fault.REQUEST_LOST, CREATE),
    "the record, half an answer": _once(Fault.HALF_ANSWER, CREATE),
    "the record, late": _once(Fault.REQUEST_LATE, CREATE, seconds=2.1),
    "the record, answer late": _once(Fault.ANSWER_LATE, CREATE, seconds=1.5),
    "the record, 503 though made": _once(Fault.REPLACED, CREATE, answer=Answer(503)),
    "the record, refused though made": _once(Fault.REPLACED, CREATE, answer=rpc_error(-32602, "Invalid params.")),
    "the value, answer lost": _once(Fault.ANSWER_LOST, GENERATE),
    "the value, request lost": _once(Fault.REQUEST_LOST, GENERATE),
    "the value, half an answer": _once(Fault.HALF_ANSWER, GENERATE),
    "the value, late": _once(Fault.REQUEST_LATE, GENERATE, seconds=2.1),
    "the value, refused though made": _once(Fault.REPLACED, GENERATE, answer=rpc_error(-32500, "Application error.")),
    "the value, no database": _once(Fault.MADE_UP, GENERATE, answer=rpc_error(1, "Error connecting to database.")),
    "the value, made up": _once(Fault.MADE_UP, GENERATE, answer=_result([{"tokenid": "7", "token": "0" * 64}])),
    "the delete, answer lost": _once(Fault.ANSWER_LOST, DELETE),
    "the delete, late": _once(Fault.REQUEST_LATE, DELETE, seconds=2.1),
    "the delete, never done": _once(Fault.MADE_UP, DELETE, answer=_result({"tokenids": ["1"]})),
}
"""Rules for the proxy before a Zabbix (`zabbix_proxy`), each for one rotation."""


def zabbix_proxy(estate: Estate, zabbix: Zabbix, seed: int = 0) -> Proxy:
    """The estate's proxy before this Zabbix; the first call starts it and adds endpoint and admin token."""
    found = [proxy for proxy in estate.proxies if proxy.upstream_port == zabbix.port]
    if found:
        return found[0]
    proxy = Proxy(zabbix.port, seed=seed).start()
    estate.proxies.append(proxy)
    path = f"admin-{estate.tag}/zabbix"
    estate.servers.openbao.admin.put(path, {"token": zabbix.admin_token})
    estate.endpoints[ENDPOINT] = {
        "plugin": "http", "pack": "zabbix", "config": {"url": proxy.url},
        "admin": {"principal": ADMIN, "value": {"store": "main", "path": path, "field": "token"}},
    }  # fmt: skip
    return proxy


@dataclass(slots=True)
class ZabbixToken:
    """An API token of a user of its own: many alive at once, each made and shown by the platform."""

    name: str
    zabbix: Zabbix
    watched: Watched = field(default_factory=Watched)
    userid: str = ""
    user: str = ""
    neighbour: ClassVar[str] = "url"
    in_place: ClassVar[bool] = False
    faults: ClassVar[Mapping[str, Mapping[str, Any]]] = FAULTS

    def between(self, estate: Estate) -> Proxy:
        return zabbix_proxy(estate, self.zabbix)

    def principals(self, estate: Estate) -> list[str]:
        return [self.user]

    def strays(self, estate: Estate, debts: Sequence[Mapping[str, Any]]) -> list[str]:
        known = {debt["handle"] for debt in debts} | {debt["label"] for debt in debts if debt["label"]}
        current = self.current(estate)
        others = self.others(estate, None if current is None else current[1])
        return [f"{tokenid} ({name})" for tokenid, name in others if not {tokenid, name} & known]

    def prepare(self, estate: Estate) -> None:
        """A user with a first token, as an administrator leaves it."""
        zabbix_proxy(estate, self.zabbix)
        self.user = f"{self.name}-{estate.tag}"
        self.userid = self.zabbix.create_user(self.user)
        _, value = self.zabbix.create_token(self.userid, f"first token of {self.name}")
        self.watched.see(self.user, value)
        fields = {"token": value, "url": self.zabbix.url}
        estate.servers.openbao.admin.put(estate.path_of(self.name), fields)
        estate.describe(
            self.name,
            {
                "authority": {
                    "endpoint": ENDPOINT, "kind": "token", "principal": self.user, "params": {"userid": self.userid},
                },
                "store": {
                    "in": "main", "path": estate.path_of(self.name), "value": "token", "fields": {"token_id": "handle"},
                },
            },
        )  # fmt: skip

    def current(self, estate: Estate) -> tuple[str, str] | None:
        fields = stored(estate, self.name)
        return None if not fields or "token" not in fields else (self.user, fields["token"])

    def accepts(self, estate: Estate, principal: str, value: str) -> bool:
        return self.zabbix.whose(value) == principal

    def refusal(self, estate: Estate, principal: str, value: str) -> str:
        return self.zabbix.refusal(value)

    def living(self, estate: Estate) -> list[str]:
        return [row["tokenid"] for row in self.rows(estate)]

    def rows(self, estate: Estate) -> list[dict[str, str]]:
        """The server's records of this user's tokens; values are not among them."""
        return self.zabbix.tokens(self.userid)

    def token_id(self, value: str) -> str:
        """The server's id of a value; "" if it does not have it."""
        rows = self.zabbix.call("token.get", {"token": value, "userids": self.userid})
        return str(rows[0]["tokenid"]) if rows else ""

    def others(self, estate: Estate, value: str | None) -> list[tuple[str, str]]:
        """(id, name) of every token of this user at the server that is not `value`."""
        mine = "" if value is None else self.token_id(value)
        return [(row["tokenid"], row["name"]) for row in self.rows(estate) if row["tokenid"] != mine]
