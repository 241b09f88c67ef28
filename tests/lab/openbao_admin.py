"""Prepares a test OpenBao and looks into it behind our back: policies, roles, tokens, secrets, quotas, the seal.

Called by tests and by the demonstration, with the root token. Every method is one or two calls of the server's HTTP
API; a refusal is `Refused` with status and the server's errors. It must never be used by the code under test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.lab import wire


class Refused(RuntimeError):
    """The server said no; `status` is the HTTP status, the text its `errors`."""

    def __init__(self, status: int, errors: Sequence[str]) -> None:
        """Keep the status and the errors."""
        super().__init__(f"HTTP {status}: {'; '.join(errors)}")
        self.status = status
        self.errors = tuple(errors)


class AppRole(NamedTuple):
    """What an AppRole login needs, and the accessor by which its secret id can be destroyed."""

    role_id: str
    secret_id: str
    accessor: str


class Version(NamedTuple):
    """One version of a KV v2 secret: its number and its fields (None if deleted or destroyed)."""

    number: int
    data: Mapping[str, Any] | None


class BaoAdmin:
    """An administrator's hands on one OpenBao node."""

    def __init__(self, url: str, token: str, ca: Path | None = None, timeout_s: float = 10.0) -> None:
        """`url` without /v1, `token` with full rights, `ca` the bundle of an https server."""
        self.url, self.token = url, token
        self._ca, self._timeout_s = ca, timeout_s

    def reply(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> wire.Reply:
        """Send one call to /v1/`path` and return the answer, whatever its status. No retry, no redirect."""
        sent = {"X-Vault-Token": self.token, **(headers or {})}
        return wire.call(method, f"{self.url}/v1/{path}", body, sent, ca=self._ca, timeout_s=self._timeout_s)

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send one call and return the answer's JSON (None if empty); Refused unless the status is 2xx."""
        answer = self.reply(method, path, body)
        if not 200 <= answer.status < 300:
            try:
                errors = answer.json().get("errors", [])
            except (ValueError, AttributeError):
                errors = ["(the body is not JSON)"]
            raise Refused(answer.status, errors)
        return answer.json()

    def as_token(self, token: str) -> BaoAdmin:
        """Return the same hands with another token."""
        return BaoAdmin(self.url, token, self._ca, self._timeout_s)

    def health(self) -> int:
        """Return the status of sys/health: 200 active, 429 standby, 501 not initialised, 503 sealed."""
        return self.reply("GET", "sys/health").status

    # --- access ---

    def write_policy(self, name: str, text: str) -> None:
        """Create or replace the ACL policy `name`; `text` is its HCL."""
        self.ask("PUT", f"sys/policies/acl/{name}", {"policy": text})

    def enable_auth(self, kind: str, at: str | None = None) -> None:
        """Enable an auth method; harmless if it is there already."""
        self._mount(f"sys/auth/{at or kind}", {"type": kind})

    def enable_kv(self, at: str, version: int = 2) -> None:
        """Mount a KV engine at `at`; harmless if something is mounted there already."""
        self._mount(f"sys/mounts/{at}", {"type": "kv", "options": {"version": str(version)}})

    def enable_transit(self, key: str, kind: str = "hmac", at: str = "transit") -> None:
        """Mount transit at `at` and create the key `key`; an hmac key has 32 bytes."""
        self._mount(f"sys/mounts/{at}", {"type": "transit"})
        self.ask("POST", f"{at}/keys/{key}", {"type": kind, **({"key_size": 32} if kind == "hmac" else {})})

    def _mount(self, path: str, body: Mapping[str, Any]) -> None:
        try:
            self.ask("POST", path, body)
        except Refused as refusal:
            if "already in use" not in str(refusal):
                raise

    def make_approle(self, role: str, policies: Sequence[str], ttl: str = "1h", at: str = "approle") -> AppRole:
        """Enable AppRole, create or replace the role, and return it with a new secret id."""
        self.enable_auth("approle", at)
        self.ask("POST", f"auth/{at}/role/{role}", {"token_policies": list(policies), "token_ttl": ttl})
        return self.new_secret_id(role, at)

    def new_secret_id(self, role: str, at: str = "approle") -> AppRole:
        """Return the role with one more secret id; the older ones stay valid."""
        role_id = self.ask("GET", f"auth/{at}/role/{role}/role-id")["data"]["role_id"]
        made = self.ask("POST", f"auth/{at}/role/{role}/secret-id", {})["data"]
        return AppRole(role_id, made["secret_id"], made["secret_id_accessor"])

    def destroy_secret_id(self, role: str, accessor: str, at: str = "approle") -> None:
        """Destroy a secret id by its accessor; tokens made with it live on."""
        self.ask("POST", f"auth/{at}/role/{role}/secret-id-accessor/destroy", {"secret_id_accessor": accessor})

    def login_approle(self, approle: AppRole, at: str = "approle") -> str:
        """Log in and return the token."""
        body = {"role_id": approle.role_id, "secret_id": approle.secret_id}
        return str(self.ask("POST", f"auth/{at}/login", body)["auth"]["client_token"])

    def make_token(
        self, policies: Sequence[str], *, period: str | None = "24h", ttl: str | None = None, renewable: bool = True
    ) -> str:
        """Return a new orphan token with `policies`; periodic unless `period` is None. Durations like "24h"."""
        body: dict[str, Any] = {"policies": list(policies), "renewable": renewable, "no_parent": True}
        body |= {name: value for name, value in (("period", period), ("ttl", ttl)) if value is not None}
        return str(self.ask("POST", "auth/token/create", body)["auth"]["client_token"])

    def revoke_token(self, token: str) -> None:
        """Revoke a token and its children."""
        self.ask("POST", "auth/token/revoke", {"token": token})

    def limit_rate(
        self, name: str, rate_per_s: float, path: str = "", block_s: int = 0, retry_after: bool = False
    ) -> None:
        """Set a rate-limit quota on `path` ("" is everything, "secret/" a mount); refused calls get 429.

        `block_s`: refuse everything for so long once the rate is exceeded. `retry_after`: send Retry-After (in whole
        seconds, "0" for less than one) and X-Ratelimit-*, which the server does not unless told so.
        """
        self.ask("POST", "sys/quotas/config", {"enable_rate_limit_response_headers": retry_after})
        body: dict[str, Any] = {"rate": rate_per_s, "path": path, "interval": "1s"}
        if block_s:
            body["block_interval"] = f"{block_s}s"
        self.ask("POST", f"sys/quotas/rate-limit/{name}", body)

    def lift_rate_limit(self, name: str) -> None:
        """Remove a rate-limit quota."""
        self.ask("DELETE", f"sys/quotas/rate-limit/{name}")

    # --- secrets (KV v2) ---

    def put(self, path: str, data: Mapping[str, Any], cas: int | None = None, mount: str = "secret") -> int:
        """Write all fields of a secret and return the new version; with `cas` only if that is the current version."""
        body: dict[str, Any] = {"data": dict(data)}
        if cas is not None:
            body["options"] = {"cas": cas}
        return int(self.ask("POST", f"{mount}/data/{path}", body)["data"]["version"])

    def get(self, path: str, version: int = 0, mount: str = "secret") -> Version | None:
        """Read a version (0: the current one); None if it never existed or was evicted."""
        answer = self.reply("GET", f"{mount}/data/{path}?version={version}")
        if answer.status not in {200, 404}:
            raise Refused(answer.status, answer.json().get("errors", []))
        inner = (answer.json() or {}).get("data")
        return None if inner is None else Version(inner["metadata"]["version"], inner["data"])

    def metadata(self, path: str, mount: str = "secret") -> Mapping[str, Any] | None:
        """Return the metadata of a path (current_version, versions, custom_metadata, ...); None if there are none."""
        answer = self.reply("GET", f"{mount}/metadata/{path}")
        if answer.status not in {200, 404}:
            raise Refused(answer.status, answer.json().get("errors", []))
        found: Mapping[str, Any] | None = (answer.json() or {}).get("data")
        return found

    def keys(self, path: str, mount: str = "secret") -> list[str]:
        """List the names under a path (folders end in /); empty if there are none."""
        answer = self.reply("LIST", f"{mount}/metadata/{path}")
        if answer.status not in {200, 404}:
            raise Refused(answer.status, answer.json().get("errors", []))
        return list(((answer.json() or {}).get("data") or {}).get("keys", []))

    def configure(self, path: str, mount: str = "secret", **settings: Any) -> None:
        """Set metadata of a path: max_versions, cas_required, delete_version_after, custom_metadata."""
        self.ask("POST", f"{mount}/metadata/{path}", settings)

    def configure_mount(self, mount: str = "secret", **settings: Any) -> None:
        """Set the defaults of a KV v2 mount: max_versions, cas_required, delete_version_after."""
        self.ask("POST", f"{mount}/config", settings)

    def seal(self) -> None:
        """Seal the node: it answers 503 until it is unsealed."""
        self.ask("PUT", "sys/seal")
