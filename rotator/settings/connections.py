"""Models of what the daemon connects to: itself, stores, endpoints; and of references to values.

Read by the loader; what leaves the room are these frozen models. A value never stands in a configuration, only a
reference to it: a store's path and field, or a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from .aws_auth import AwsAuth, Region
from .freezes import Brake
from .limits import Limits, StoreLimits
from .values import (
    Count,
    Duration,
    FilePath,
    FileRef,
    LedgerPlace,
    Listen,
    Model,
    Mount,
    Name,
    Names,
    PositiveDuration,
    StorePath,
    Text,
    Uid,
    Url,
    as_tuple,
    format_duration,
    is_loopback,
    refuse,
)
from .vault_auth import VaultAuth, check_transport


class ValueRef(Model):
    """Where a value stands: `{store, path, field}` or `{file}`. Never the value itself."""

    store: Name | None = None
    """Which of `stores`."""
    path: StorePath | None = None
    """Path inside the store's mount."""
    field: Text | None = None
    """Name of the field that holds the value."""
    file: FilePath | None = None
    """Full path of a file (mode 0600, owned by the daemon's user)."""

    @model_validator(mode="after")
    def _one_of_two(self) -> ValueRef:
        store = (self.store, self.path, self.field)
        if self.file is not None:
            if any(part is not None for part in store):
                raise refuse("CFG-CONFLICT", "a reference is either `{store, path, field}` or `{file}`", at="file")
        elif any(part is None for part in store):
            missing = [name for name, part in zip(("store", "path", "field"), store, strict=True) if part is None]
            raise refuse("CFG-MISSING", f"a reference needs {', '.join(f'`{name}`' for name in missing)} (or `file`)")
        return self


class Daemon(Model):
    """The daemon itself."""

    ledger: LedgerPlace
    """The ledger: an SQLite file, or `postgresql://user@host:port/database` for several replicas. It holds no value,
    but a map of handles and principals: keep it private."""
    ledger_password: FileRef | None = None
    """The password at PostgreSQL, read anew at every login."""
    ledger_ca: FilePath | None = None
    """Bundle of the authorities that sign PostgreSQL's certificate; none: the system's."""
    ledger_insecure: bool = False
    """Allows PostgreSQL on another machine without TLS."""
    fingerprint_key: FileRef
    """32 bytes for fingerprints, in a file of their own."""
    socket: FilePath
    """Unix socket of the local API, made 0600 (with `allow_uids` 0666: then the caller's uid decides)."""
    allow_uids: Annotated[tuple[Uid, ...], BeforeValidator(as_tuple)] = ()
    """Numbers of further users that may do everything over the socket, beside the daemon's own and root."""
    listen: Listen = "127.0.0.1:9464"
    """Where health and metrics are served."""
    tick: PositiveDuration = 15_000
    """How often the daemon asks what is due."""
    workers: Annotated[int, Field(ge=1, le=256)] = 16
    """Worker threads: how many runs move at once."""
    deadline: PositiveDuration = 60_000
    """The longest that one effect (one step at one place) may take."""
    landing: Duration = 60_000
    """Quiet time after a deadline in which a lost request may still land; only afterwards is looked."""
    backoff: PositiveDuration = 1_000
    """How soon a passing failure is tried again; doubled after each further one."""
    backoff_max: PositiveDuration = 300_000
    """The longest that it waits so."""
    reconcile: PositiveDuration = 3_600_000
    """How soon after a run what it left owing is worked on; doubled after each reconcile that left some."""
    reconcile_max: PositiveDuration = 86_400_000
    """The longest pause between two reconciles of a credential."""
    brake: Brake = Brake()
    """What slows down a sudden mass of due credentials."""
    deadman: Url | None = None
    """An address that is asked (GET) every minute, only while ticks come and the ledger answers: whoever misses it
    raises the alarm that this daemon cannot raise. It holds no secret but its own path."""
    sweep: Duration = 86_400_000
    """How often each endpoint is swept for values that bear our label and nobody accounts for. `0s`: only by hand."""

    @model_validator(mode="after")
    def _backoff_grows(self) -> Daemon:
        if self.backoff_max < self.backoff:
            words = f"it is shorter than `backoff`, {format_duration(self.backoff)}: write at least as much"
            raise refuse("CFG-OUT-OF-RANGE", words, at="backoff_max")
        if self.reconcile_max < self.reconcile:
            words = f"it is shorter than `reconcile`, {format_duration(self.reconcile)}: write at least as much"
            raise refuse("CFG-OUT-OF-RANGE", words, at="reconcile_max")
        return self


class Plugins(Model):
    """Which plugins may be imported."""

    allow: Names
    """Names of plugins. Nothing else is imported."""


class VaultStore(Model):
    """HashiCorp Vault or OpenBao, KV version 2."""

    type: Literal["vault"]
    url: Url
    """https://host:port of the server."""
    ca: FilePath | None = None
    """Bundle of the authorities that sign the server's certificate; none: the system's."""
    mount: Mount = "secret"
    """Mount of the KV version 2 engine."""
    namespace: StorePath | None = None
    """Namespace, sent as a header."""
    auth: VaultAuth
    """Login."""
    insecure: bool = False
    """Allows plain http to another machine. Values then travel in clear."""
    limits: StoreLimits = StoreLimits()
    """How it is protected from too many calls."""

    @model_validator(mode="after")
    def _encrypted(self) -> VaultStore:
        check_encrypted(self.url, self.insecure)
        check_transport(self.auth, self.url)
        return self


class LocalStore(Model):
    """The embedded store: one encrypted file for each secret."""

    type: Literal["local"]
    path: FilePath
    """Directory of the store."""
    key: FileRef
    """32 bytes, in a file of their own, not beside the store or the ledger."""
    limits: StoreLimits = StoreLimits()
    """How it is protected from too many calls."""


class AwsStore(Model):
    """AWS Secrets Manager: the secrets of one account and region; those of other accounts by their full ARN."""

    type: Literal["aws"]
    region: Region
    """Region, such as eu-central-1."""
    auth: AwsAuth = AwsAuth()
    """Login."""
    kms_key: Text | None = None
    """Key of secrets that the daemon creates: ARN, id or alias; none: AWS's own. What exists keeps its key."""
    url: Url | None = None
    """Address in place of the region's own: a VPC endpoint."""
    sts_url: Url | None = None
    """The same of STS, for taking roles."""
    ca: FilePath | None = None
    """Bundle of the authorities that sign the certificates; none: the system's."""
    insecure: bool = False
    """Allows plain http to another machine. Values then travel in clear."""
    limits: StoreLimits = StoreLimits()
    """How it is protected from too many calls."""

    @model_validator(mode="after")
    def _encrypted(self) -> AwsStore:
        for name in ("url", "sts_url"):
            check_encrypted(getattr(self, name) or "", self.insecure, name)
        return self


Store = Annotated[VaultStore | LocalStore | AwsStore, Field(discriminator="type")]
STORE_TYPES = ("vault", "local", "aws")


class Login(Model):
    """Who the daemon is at an endpoint."""

    principal: Text
    """Account or client on the platform."""
    value: ValueRef
    """Where its secret stands."""
    handle: ValueRef | None = None
    """Where the id of that secret stands, for platforms that want both (AWS: the access key id). It may be a reference
    field that changes with the value."""


class ProbeLimitOverride(Model):
    """How many refused tries a principal survives."""

    failures: Count
    per: PositiveDuration


class TraitOverrides(Model):
    """Numbers of the plugin's traits that this installation of the platform sets otherwise. Words stay the plugin's."""

    settle: Duration | None = None
    """Before this a refusal or an absence means nothing."""
    old_lives: Duration | None = None
    """How long the old value lives after the write, where the platform gives it a grace."""
    live: Count | None = None
    """Values alive at once per principal."""
    derived_live: Duration | None = None
    """How long derived tokens outlive the value."""
    probe_limit: ProbeLimitOverride | None = None
    """How many refused tries a principal survives."""


def _config_value(value: Any) -> Any:
    if isinstance(value, str | bool | int):
        return value
    raise refuse("CFG-WRONG-TYPE", "a text, a whole number, true or false belongs here")


ConfigValue = Annotated[str | bool | int, BeforeValidator(_config_value)]


class Endpoint(Model):
    """A connection to one instance of a platform, through a plugin."""

    plugin: Name
    """Name of the plugin."""
    pack: Text | None = None
    """Pack of the declarative plugin: what describes the platform."""
    config: Mapping[str, ConfigValue] = Field(default_factory=dict)
    """Settings of the plugin: texts, numbers, yes and no. Never a secret."""
    ca: FilePath | None = None
    """Bundle of the authorities that sign the platform's certificate; none: the system's. For HTTP calls only."""
    admin: Login | None = None
    """The account that changes credentials. It is a credential of tier T0 itself."""
    traits: TraitOverrides = TraitOverrides()
    """Numbers of the plugin's traits that are otherwise here."""
    limits: Limits = Limits()
    """How it is protected from too many calls."""
    insecure: bool = False
    """Allows plain http to another machine. Values then travel in clear."""

    @model_validator(mode="after")
    def _encrypted(self) -> Endpoint:
        for name, value in self.config.items():
            if isinstance(value, str) and value.startswith("http://"):
                check_encrypted(value, self.insecure, "config", name)
        return self


def check_encrypted(url: str, insecure: bool, *at: str | int) -> None:
    """Plain http only to this machine, or where `insecure: true` says so."""
    if url.startswith("http://") and not insecure and not is_loopback(url):
        words = "plain http to another machine: write https, or say `insecure: true` and let values travel in clear"
        raise refuse("CFG-CONFLICT", words, at=at or ("url",))
