"""How an endpoint of the AWS IAM plugin is configured: one account, reached by two services. It never holds a secret.

Read by the host, which builds it, and by `query`. Nothing is taken from the environment, from a profile or from the
machine's metadata service: the only credential that acts is the endpoint's admin key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from rotator.plugin_api import Misconfigured

_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_REGION: Final = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")
_OFFICIAL: Final = re.compile(r"(?P<service>iam|sts)(?:-fips)?(?:\.(?P<region>[a-z0-9-]+))?\.amazonaws\.com(?:\.cn)?")
GLOBAL: Final = {"iam.us-gov": "us-gov-west-1"}
"""Hosts whose middle part is no region, with the region that signatures for them name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One AWS account.

    `account`: its 12 digits. A key of another account is a stranger's, whatever its user is called there.
    `url`: where IAM answers. `sts`: where STS answers; best the region in which the keys are used.
    `region`: what signatures name, for hosts that do not say it themselves (interface endpoints, emulators); it goes
    for both. Raises ValueError on nonsense.
    """

    account: str
    url: str = "https://iam.amazonaws.com"
    sts: str = "https://sts.us-east-1.amazonaws.com"
    region: str = ""

    def __post_init__(self) -> None:
        if not _ACCOUNT.fullmatch(self.account):
            raise ValueError("account: the 12 digits of the AWS account, in quotes")
        if self.region and not _REGION.fullmatch(self.region):
            raise ValueError("region: a name such as eu-central-1")
        for name in ("url", "sts"):
            address = urlsplit(getattr(self, name))
            if address.path not in ("", "/") or (address.hostname or "").endswith("."):
                raise ValueError(f"{name}: https://host[:port] without a path: it is part of what is signed")
            said = _said(address.hostname or "", "iam" if name == "url" else "sts")
            if not said and not self.region:
                raise ValueError(f"region: the host in `{name}` does not say which region it is, so write it")
            if said and self.region and said != self.region:
                raise ValueError(f"region: the host in `{name}` is in {said}; leave `region` out")


def host_of(url: str) -> str:
    """The Host header that a request to `url` bears: part of what is signed."""
    address = urlsplit(url)
    host = address.hostname or ""
    host = f"[{host}]" if ":" in host else host
    usual = {"https": 443, "http": 80}.get(address.scheme)
    return host if address.port in (None, usual) else f"{host}:{address.port}"


def region_of(config: Config, service: str) -> str:
    """The region that a signature for `iam` or `sts` names."""
    url = config.url if service == "iam" else config.sts
    region = config.region or _said(urlsplit(url).hostname or "", service)
    if not region:
        raise Misconfigured("region_unknown", unsent=True)
    return region


def _said(host: str, service: str) -> str:
    """The region that AWS's own host names say; empty for other hosts. IAM and the old STS are global: us-east-1."""
    found = _OFFICIAL.fullmatch(host)
    if found is None or found["service"] != service:
        return ""
    region = found["region"]
    return "us-east-1" if region is None else GLOBAL.get(f"{service}.{region}", region)
