"""Models of how the daemon logs in at Vault or OpenBao: exactly one method, each with a reference to a file.

Used by `connections.VaultStore`. A value never stands here: tokens, secret ids, JWTs and keys are named by their files,
which the daemon reads anew at each login. What the methods ask of each other and of the store is checked here too.
"""

from __future__ import annotations

from pydantic import model_validator

from .values import FilePath, FileRef, Model, Mount, StorePath, Text, refuse

METHODS = ("approle", "token", "jwt", "kubernetes", "cert")
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/token"


class Placed(Model):
    """What every login has beside its own keys."""

    namespace: StorePath | None = None
    """Namespace of the auth method, where it is not the store's; `root` is the outermost."""


class AppRole(Placed):
    """Login by AppRole."""

    role_id: Text
    """The role's id (not a secret)."""
    secret_id: FileRef
    """File with the secret id; with `wrapped`, file with the wrapping token that holds it."""
    mount: Mount = "approle"
    """Where the auth method is mounted."""
    wrapped: bool = False
    """The file holds a response-wrapping token: it is checked, unwrapped once, and never asked about again."""
    role: Text | None = None
    """With `wrapped`: name of the role, compared with the path at which the wrapping token was made; none: any role."""

    @model_validator(mode="after")
    def _role_is_compared(self) -> AppRole:
        if self.role is not None and not self.wrapped:
            words = "`role` is compared with the path of a wrapping token: add `wrapped: true`, or take it out"
            raise refuse("CFG-CONFLICT", words, at="role")
        if self.role is not None and "/" in self.role:
            raise refuse("CFG-BAD-PATH", "write the role's name alone, without `/`", at="role")
        return self


class TokenLogin(FileRef, Placed):
    """A token in a file, kept by somebody else (an agent, a token helper). Read again when the file changes."""


class JwtLogin(Placed):
    """Login by a JWT of an identity provider."""

    role: Text
    """Role of the auth method."""
    token: FileRef
    """File with the JWT; read at each login."""
    mount: Mount = "jwt"
    """Where the auth method is mounted."""


class KubernetesLogin(Placed):
    """Login by the service account of the pod."""

    role: Text
    """Role of the auth method."""
    token: FileRef = FileRef(file=SERVICE_ACCOUNT)
    """File with the service account's token; read at each login, since the kubelet renews it."""
    mount: Mount = "kubernetes"
    """Where the auth method is mounted."""


class CertLogin(Placed):
    """Login by a client certificate (mutual TLS)."""

    certificate: FilePath
    """Full path of the certificate with its chain, PEM; read at each login."""
    key: FileRef
    """File with its private key, PEM, without a passphrase."""
    name: Text | None = None
    """Role of the auth method; none: the server tries all of them."""
    mount: Mount = "cert"
    """Where the auth method is mounted."""


class VaultAuth(Model):
    """How the daemon logs in: exactly one of `approle`, `token`, `jwt`, `kubernetes` and `cert`."""

    approle: AppRole | None = None
    """Login by AppRole; renewed and repeated by the daemon."""
    token: TokenLogin | None = None
    """File with a token that somebody else renews."""
    jwt: JwtLogin | None = None
    """Login by a JWT of an identity provider."""
    kubernetes: KubernetesLogin | None = None
    """Login by the service account of the pod."""
    cert: CertLogin | None = None
    """Login by a client certificate (mutual TLS); needs https."""

    @model_validator(mode="after")
    def _exactly_one(self) -> VaultAuth:
        said = [name for name in METHODS if getattr(self, name) is not None]
        if len(said) > 1:
            words = f"{' and '.join(f'`{name}`' for name in said)} exclude each other: say one way to log in"
            raise refuse("CFG-CONFLICT", words)
        if not said:
            raise refuse("CFG-CONFLICT", f"say exactly one of {', '.join(f'`{name}`' for name in METHODS)}")
        return self

    @property
    def method(self) -> AppRole | TokenLogin | JwtLogin | KubernetesLogin | CertLogin:
        """The one that was said."""
        found = self.approle or self.token or self.jwt or self.kubernetes or self.cert
        if found is None:
            raise AssertionError("the model demands exactly one")
        return found


def check_transport(auth: VaultAuth, url: str) -> None:
    """A certificate is shown in a TLS handshake only."""
    if auth.cert is not None and not url.startswith("https://"):
        words = "a client certificate is shown in the TLS handshake, and the url is plain http: write https"
        raise refuse("CFG-CONFLICT", words, at=("auth", "cert"))
