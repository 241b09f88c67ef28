"""The bench of the zabbix pack, for values that the platform issues, and what its tests ask the server itself.

Used by `test_zabbix*`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from rotator_http import load_pack

from rotator.effects.host import HostedPlatform
from rotator.plugin_api import Generation, Installed, Issued, IssueRequest, Subject
from tests.conformance.bench import SECONDS, Bench, Credential
from tests.lab.proxy import Proxy
from tests.lab.zabbix import ADMIN, Zabbix

API = r"^/api_jsonrpc\.php$"


@dataclass(frozen=True, slots=True)
class IssuingBench(Bench):
    """A bench whose values come from the platform: `install` issues one and forgets it, `installed` keeps it."""

    def issue(
        self,
        target: Generation,
        platform: HostedPlatform | None = None,
        *,
        expires_at: datetime | None = None,
        seconds: float = SECONDS,
    ) -> Issued:
        """A new value for the target's subject, under its label."""
        request = IssueRequest(subject=target.subject, label=target.label or "", expires_at=expires_at)
        return (platform or self.platform()).issue(self.call(seconds), request)

    def install(
        self,
        credential: Credential,
        platform: HostedPlatform | None = None,
        *,
        scopes: frozenset[str] | None = None,
        expires_at: datetime | None = None,
        seconds: float = SECONDS,
    ) -> Installed:
        issued = self.issue(credential.target, platform, expires_at=expires_at, seconds=seconds)
        return Installed(handle=issued.handle)

    def installed(self, subject: Subject | None = None) -> Credential:
        target = self.fresh(subject).target
        issued = self.issue(target)
        return Credential(issued.value.reveal(), replace(target, handle=issued.handle))


@dataclass(frozen=True, slots=True)
class Site:
    """One user of the server, behind a proxy."""

    zabbix: Zabbix
    proxy: Proxy
    userid: str
    bench: IssuingBench

    def rows(self, userid: str | None = None) -> list[dict[str, Any]]:
        """The server's records of the user's tokens."""
        return self.zabbix.tokens(userid or self.userid)

    def named(self, label: str | None) -> list[dict[str, Any]]:
        """Those that bear this name."""
        return [row for row in self.rows() if row["name"] == label]

    def user(self) -> Subject:
        """Another user of the same server."""
        return new_user(self.zabbix)


def new_user(zabbix: Zabbix) -> Subject:
    """A user of its own, as the subject of a credential."""
    name = f"svc-{secrets.token_hex(4)}"
    return Subject(principal=name, params={"userid": zabbix.create_user(name)})


def make_site(zabbix: Zabbix, proxy: Proxy) -> Site:
    """A fresh user, the pack's kind behind the host, through the proxy; the truth comes from the server."""
    subject = new_user(zabbix)
    userid = subject.params["userid"]
    bench = IssuingBench(
        plugin=load_pack("zabbix"),
        kind="token",
        proxy=proxy,
        admin=ADMIN,
        admin_value=zabbix.admin_token,
        subject=subject,
        scopes=frozenset(),
        write=API,
        probe_path=API,
        refusal="token_refused",
        accepts=zabbix.accepts,
        stored=lambda: [row["tokenid"] for row in zabbix.tokens()],
    )
    return Site(zabbix, proxy, userid, bench)
