"""How the tests of the kubernetes-secret pack call it: through the real host, a fault proxy, and the FAKE API server.

Used by `test_pack_kubernetes*`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rotator_http import load_pack
from ruamel.yaml import YAML

from rotator.daemon.clock import SystemClock
from rotator.effects.host import Connection, Gateway, HostedPlatform
from rotator.effects.platforms import Call
from rotator.plugin_api import (
    CheckRequest,
    Generation,
    Installed,
    InstallRequest,
    PreflightRequest,
    Probed,
    Ready,
    Revoked,
    RevokeRequest,
    Secret,
    Subject,
)
from tests.fakes.kubernetes_api import KubernetesFake
from tests.lab.proxy import Proxy

ROOT = Path(__file__).resolve().parents[2]
USER = "system:serviceaccount:rotator-system:rotator"
TOKEN = "canary-token-of-the-daemon"
CANARY = "canary-value-\n\"ü'{}"
INTO = Subject(principal="orders-db", params={"namespace": "shop"})
APP = Subject(principal="orders_a")
NEW = Generation(subject=APP, label="rot-t-2")
PATCH = r"^/api/v1/namespaces/shop/secrets/orders-db"


def role(**replaced: str) -> list[dict[str, Any]]:
    """The shipped rights, filled in as its first lines say."""
    text = (ROOT / "config/kubernetes-role.yaml").read_text()
    names = {"NAMESPACE": "shop", "SECRET": "orders-db", "ROTATOR": "rotator-system", **replaced}
    body = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for word, name in names.items():
        body = body.replace(word, name)
    return list(YAML(typ="safe").load_all(body))


@dataclass
class Bench:
    fake: KubernetesFake
    proxy: Proxy

    def platform(self, kind: str = "secret", token: str = TOKEN) -> HostedPlatform:
        connection = Connection(
            name="k8s", plugin=load_pack("kubernetes-secret"), config={"url": self.proxy.url}, admin=USER
        )
        return Gateway(SystemClock(), "0").platform(connection, kind, lambda: Secret(token))

    def install(
        self,
        value: str = CANARY,
        *,
        label: str = "rot-t-2",
        kind: str = "secret",
        fields: Mapping[str, str] | None = None,
        seconds: float = 8.0,
        token: str = TOKEN,
        into: Subject = INTO,
    ) -> Installed:
        texts = {"PASS": value, "USER": "orders_a"} if fields is None else fields
        rows = {name: Secret(text) for name, text in texts.items()}
        of = Generation(subject=APP, label=label)
        request = InstallRequest(into=into, value=Secret(value), of=of, label=label, fields=rows)
        return self.platform(kind, token).install(Call("unit", seconds), request)

    def check(self, of: Generation = NEW) -> Probed:
        return self.platform().check(Call("unit", 8.0), CheckRequest(into=INTO, of=of))

    def empty(self, kind: str = "secret", fields: tuple[str, ...] = ("PASS", "USER")) -> Revoked:
        request = RevokeRequest(target=Generation(subject=INTO), fields=fields)
        return self.platform(kind).revoke(Call("unit", 8.0), request)

    def preflight(self, subject: Subject = INTO, token: str = TOKEN) -> Ready:
        return self.platform(token=token).preflight(Call("unit", 8.0), PreflightRequest(subject=subject))

    def values(self) -> dict[str, str]:
        return self.fake.values("shop", "orders-db")


def started(fake: KubernetesFake, proxy: Proxy) -> Bench:
    """A bench over a fake that has one Secret with a key of somebody else."""
    fake.create("shop", "orders-db", {"OTHER": "theirs"})
    return Bench(fake, proxy)
