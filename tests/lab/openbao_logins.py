"""Prepares a test OpenBao's ways to log in: JWT with a key of our own, Kubernetes, certificates, wrapped secret ids.

Called by tests, with the hands of `openbao_admin.BaoAdmin`. `Issuer` stands for an identity provider: its key exists in
memory only. It must never be used by the code under test.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.lab.openbao_admin import BaoAdmin


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """An identity provider that signs JWTs with a P-256 key (ES256)."""

    def __init__(self) -> None:
        """Make the key."""
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def public_pem(self) -> str:
        """The key by which its JWTs are verified."""
        encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_key().public_bytes(encoding, form).decode()

    def jwks(self) -> bytes:
        """The same key as the JSON document that providers publish (RFC 7517)."""
        numbers = self._key.public_key().public_numbers()
        point = {name: _base64url(one.to_bytes(32, "big")) for name, one in (("x", numbers.x), ("y", numbers.y))}
        return json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", **point}]}).encode()

    def jwt(
        self,
        subject: str,
        *,
        lives_s: float = 300,
        audience: str | list[str] = "openbao",
        more: Mapping[str, Any] | None = None,
    ) -> str:
        """Sign a JWT for `subject`; `lives_s` may be negative: expired. Two are never the same."""
        now = time.time()
        claims = {
            "sub": subject,
            "aud": audience,
            "iat": now - 5,
            "nbf": now - 600,
            "exp": now + lives_s,
            **(more or {}),
        }
        parts = [_base64url(json.dumps(one).encode()) for one in ({"alg": "ES256", "typ": "JWT"}, claims)]
        text = ".".join(parts)
        r, s = decode_dss_signature(self._key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{_base64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


class Logins:
    """Ways to log in at one server; `namespace`: where they are mounted ("": the outermost)."""

    def __init__(self, admin: BaoAdmin, namespace: str = "") -> None:
        """`admin` has full rights."""
        self._admin, self._namespace = admin, namespace

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, **headers: str) -> Any:
        """As `BaoAdmin.ask`, in the namespace; AssertionError unless the answer is 2xx."""
        sent = dict(headers) | ({"X-Vault-Namespace": self._namespace} if self._namespace else {})
        answer = self._admin.reply(method, path, body, sent)
        if not 200 <= answer.status < 300:
            raise AssertionError(f"{method} {path}: {answer.status} {answer.body[:300]!r}")
        return answer.json()

    def mount(self, kind: str, at: str) -> None:
        """Enable an auth method at a path of its own."""
        self.ask("POST", f"sys/auth/{at}", {"type": kind})

    def jwt(
        self, at: str, issuer: Issuer, role: str, subject: str, policies: Sequence[str], ttl: str = "1h", jwks: str = ""
    ) -> None:
        """JWT login for `subject` of `issuer`, audience "openbao". `jwks`: where the server fetches the key; else it is
        given."""
        self.mount("jwt", at)
        config = {"jwks_url": jwks} if jwks else {"jwt_validation_pubkeys": [issuer.public_pem]}
        self.ask("POST", f"auth/{at}/config", config)
        body = {
            "role_type": "jwt", "user_claim": "sub", "bound_audiences": ["openbao"], "bound_subject": subject,
            "token_policies": list(policies), "token_no_default_policy": True, "token_ttl": ttl,
        }  # fmt: skip
        self.ask("POST", f"auth/{at}/role/{role}", body)

    def kubernetes(
        self, at: str, url: str, ca: Path, reviewer: str, role: str, account: tuple[str, str],
        policies: Sequence[str], ttl: str = "1h",
    ) -> None:  # fmt: skip
        """Kubernetes login for the service account (namespace, name), by the TokenReview API at `url`."""
        self.mount("kubernetes", at)
        config = {
            "kubernetes_host": url, "kubernetes_ca_cert": ca.read_text(), "token_reviewer_jwt": reviewer,
            "disable_local_ca_jwt": True,
        }  # fmt: skip
        self.ask("POST", f"auth/{at}/config", config)
        body = {
            "bound_service_account_namespaces": [account[0]], "bound_service_account_names": [account[1]],
            "token_policies": list(policies), "token_no_default_policy": True, "token_ttl": ttl,
        }  # fmt: skip
        self.ask("POST", f"auth/{at}/role/{role}", body)

    def cert(self, at: str, ca: Path, role: str, name: str, policies: Sequence[str], ttl: str = "1h") -> None:
        """Certificate login for common name `name`, signed by the authority in `ca`."""
        self.mount("cert", at)
        body = {
            "certificate": ca.read_text(), "allowed_common_names": [name],
            "token_policies": list(policies), "token_no_default_policy": True, "token_ttl": ttl,
        }  # fmt: skip
        self.ask("POST", f"auth/{at}/certs/{role}", body)

    def approle(self, at: str, role: str, policies: Sequence[str], **settings: Any) -> str:
        """AppRole at a path of its own; its role id."""
        self.mount("approle", at)
        body = {"token_policies": list(policies), "token_no_default_policy": True, "token_ttl": "1h", **settings}
        self.ask("POST", f"auth/{at}/role/{role}", body)
        return str(self.ask("GET", f"auth/{at}/role/{role}/role-id")["data"]["role_id"])

    def wrapped(self, path: str, ttl: str = "60s", body: Mapping[str, Any] | None = None) -> str:
        """POST to `path` with its answer wrapped; the wrapping token."""
        return str(self.ask("POST", path, body or {}, **{"X-Vault-Wrap-TTL": ttl})["wrap_info"]["token"])

    def unwrap(self, token: str) -> Any:
        """Unwrap as a thief would; what was inside."""
        answer = BaoAdmin(self._admin.url, token, self._admin._ca).reply("POST", "sys/wrapping/unwrap", {})
        if answer.status != 200:
            raise AssertionError(f"unwrap: {answer.status}")
        return answer.json()["data"]
