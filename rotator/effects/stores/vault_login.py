"""The ways to log in at Vault or OpenBao, as data, and the one function that goes each of them.

Called by `vault_auth`. Every credential is read from its file at each login, since others renew it. Nothing is ever
taken from the environment, and never from the command line's own token file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hvac.api import auth_methods

from rotator.plugin_api import Secret

from .vault_client import Exchange, present
from .vault_files import read_secret, require_private
from .vault_wrapped import Unwrapping


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A token in a file, which may be replaced at any time (by an agent): read again when it changes or the token dies.

    `namespace`, here and below: where the auth method is; None: the store's, "": the outermost.
    """

    path: Path
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class AppRole:
    """Login by role id and a secret id in a file.

    `wrapped`: the file holds a wrapping token instead, made for `role` ("": for any role of the mount).
    """

    role_id: str
    secret_id: Path
    mount: str = "approle"
    namespace: str | None = None
    wrapped: bool = False
    role: str = ""


@dataclass(frozen=True, slots=True)
class Jwt:
    """Login by a JWT of an identity provider in a file."""

    role: str
    token: Path
    mount: str = "jwt"
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """Login by the token of the pod's service account."""

    role: str
    token: Path
    mount: str = "kubernetes"
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Certificate:
    """Login by a client certificate; `name`: the role, "" lets the server try all. Shown on every connection, since a
    token is renewed only to whoever shows the certificate that it was given for."""

    certificate: Path
    key: Path
    name: str = ""
    mount: str = "cert"
    namespace: str | None = None


Auth = TokenFile | AppRole | Jwt | Kubernetes | Certificate


def log_in(auth: Auth, exchange: Exchange, unwrapping: Unwrapping) -> Any:
    """The `auth` member of the server's answer, whatever it is; a token in a file needs no login and gives None. Errors
    as `Exchange`, `read_secret`, `present` and `Deliveries.secret_id` say."""
    answer = None
    match auth:
        case AppRole(role_id=role_id, mount=mount):
            secret = _secret_id(auth, exchange, unwrapping)
            answer = auth_methods.AppRole(exchange).login(role_id, secret.reveal(), use_token=False, mount_point=mount)
        case Jwt(role=role, mount=mount):
            jwt = read_secret(auth.token)
            answer = auth_methods.JWT(exchange).jwt_login(role, jwt.reveal(), use_token=False, path=mount)
        case Kubernetes(role=role, mount=mount):
            jwt = read_secret(auth.token)
            answer = auth_methods.Kubernetes(exchange).login(role, jwt.reveal(), use_token=False, mount_point=mount)
        case Certificate(mount=mount, name=name):
            require_private(auth.key)
            present(exchange.session, auth.certificate, auth.key)
            # hvac's own method wants a bundle of authorities and would leave the session's.
            answer = exchange.post(f"/v1/auth/{mount}/login", json={"name": name} if name else {})
    return answer.get("auth") if isinstance(answer, dict) else None


def _secret_id(auth: AppRole, exchange: Exchange, unwrapping: Unwrapping) -> Secret:
    if not auth.wrapped:
        return read_secret(auth.secret_id)
    return unwrapping.deliveries.secret_id(unwrapping, exchange, auth.secret_id, auth.mount, auth.role)
