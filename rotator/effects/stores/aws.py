"""The store on AWS Secrets Manager: versions with staging labels, as AWS's rotation functions leave and expect them.

Opened by `opening.open_store`, called by `effects.perform` through the contract. What readers see is the version with
AWSCURRENT. A staged value is a version of the same secret with a label of ours. A promote writes a new version with
AWSPENDING and moves AWSCURRENT to it, away from the version that it was built on: that is the compare-and-set. It must
never write without labels, never move AWSCURRENT from a version that it has not read, never take AWSPENDING from
somebody else's version, and never touch a label that is neither AWS's nor ours.

AWS has no way to destroy one version: without labels it is *deprecated*, and AWS removes it in its own time. Finalizing
takes the labels away; `docs/stores-aws.md` says what that means.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from rotator.plugin_api import Failed, Misconfigured, PluginError, Refused, Secret

from .address import require_address
from .aws_check import findings
from .aws_client import Line
from .aws_config import AwsConfig
from .aws_errors import Exists, Missing
from .aws_mark import read_mark, write_mark
from .aws_names import CURRENT, PENDING, PREVIOUS, Names, is_arn, secret_id
from .aws_secret import Description, OneSecret, Seen
from .content import EMPTY, Content
from .contract import ABSENT, Current, ForeignError, Mark, Promoted, Slot, Version
from .versioned import Clock

STAGED: Final = "value"
"""The field of a staged version that holds the value. A version without it closes its generation."""

_ROUNDS: Final = 6


def open_aws(config: AwsConfig, clock: Clock) -> AwsStore:
    """Build the store; nothing is sent yet. Misconfigured: store_ca, store_installation, store_url, address_refused,
    store_insecure_url."""
    for url in filter(None, (config.url, config.sts_url)):
        require_address(url, insecure=config.insecure)
    return AwsStore(Line(config, clock), config)


class AwsStore:
    """The contract `Store` on the secrets of one account and region."""

    def __init__(self, line: Line, config: AwsConfig) -> None:
        self._line = line
        self._config = config
        self._names = Names(config.installation)
        self._marking = threading.Lock()

    def close(self) -> None:
        """See the contract."""
        self._line.close()

    def check(self, slot: Slot) -> tuple[str, ...]:
        """See the contract. Permissions to write cannot be asked for; a missing one shows at the first write."""
        return findings(self._line, self._names, slot)

    def _secret(self, path: str) -> OneSecret:
        return OneSecret(self._line.call(), secret_id(path, self._config.region))

    # ---- reads -------------------------------------------------------------------------------------------------------

    def current(self, slot: Slot) -> Current:
        """See the contract. The version also names the latest write of ours, by which a fence is recognised."""
        described, seen = self._now(self._secret(slot.path))
        if described is None or seen is None or seen.version == self._placeholder(slot.path):
            return Current(ABSENT, None, {})
        last = described.labels.get(self._names.last(slot), "")
        content = seen.content or EMPTY
        fields = {name: text for name in slot.fields if (text := content.text(name)) is not None}
        return Current(_version(seen.version, last), content.secret(slot.value), fields)

    def read(self, slot: Slot, generation: int) -> Secret | None:
        """See the contract."""
        return _staged(self._secret(slot.path).settled(self._names.stage(slot, generation)))

    @staticmethod
    def _now(secret: OneSecret) -> tuple[Description | None, Seen | None]:
        """The labels and the current version, of one moment. Misconfigured("store_secret_deleted")."""
        for attempt in range(_ROUNDS):
            if attempt:
                secret.pause(attempt)
            described = secret.describe()
            if described is not None and described.deleted:
                raise Misconfigured("store_secret_deleted")
            holder = "" if described is None else described.labels.get(CURRENT, "")
            seen = secret.current() if holder else None
            if holder == ("" if seen is None else seen.version):
                return described, seen
        raise Failed("store_behind")

    def fetch(self, path: str, name: str) -> Secret | None:
        """See the contract."""
        seen = self._secret(path).current()
        return None if seen is None or seen.content is None else seen.content.secret(name)

    # ---- staging -----------------------------------------------------------------------------------------------------

    def stage(self, slot: Slot, generation: int, value: Secret) -> None:
        """See the contract."""
        self._stage(self._secret(slot.path), slot, generation, value)

    def stage_current(self, slot: Slot, generation: int) -> None:
        """See the contract. A copy, not one more label: a label could be given again late, a token only once."""
        secret = self._secret(slot.path)
        seen = secret.current()
        value = None if seen is None or seen.content is None else seen.content.secret(slot.value)
        if value is None:
            raise Refused("not_found")
        self._stage(secret, slot, generation, value)

    def _stage(self, secret: OneSecret, slot: Slot, generation: int, value: Secret) -> None:
        self._require_no_rotation(self._existing(secret))
        label, token = self._names.stage(slot, generation), self._names.stage_token(slot, generation)
        try:
            held = self._put(secret, token, EMPTY.with_fields(STAGED, value, {}), label)
        except Exists:
            held = ()
        if label in held:
            return
        # The version was there before, with another value or without its label.
        standing = _staged(secret.settled(label))
        if standing is None:
            raise Refused("stage_closed")
        if not standing.matches(value):
            raise Refused("stage_conflict")

    def _existing(self, secret: OneSecret) -> Description:
        """The secret's labels; a secret that is not there, or is empty, gets a first version without fields.

        In an empty secret AWS would make any first version current, a staged one too.
        """
        for _ in range(_ROUNDS):
            described = secret.describe()
            if described is not None and described.deleted:
                raise Misconfigured("store_secret_deleted")
            if described is not None and CURRENT in described.labels:
                return described
            if is_arn(secret.name):
                raise Misconfigured("store_secret_missing")
            token = self._placeholder(secret.name)
            if described is None:
                secret.create(token, self._config.kms_key, content=EMPTY)
            else:
                self._put(secret, token, EMPTY, CURRENT)
        raise Failed("store_behind")

    def _placeholder(self, name: str) -> str:
        return self._names.other_token("create", "", name)

    @staticmethod
    def _put(secret: OneSecret, token: str, content: Content, *labels: str) -> tuple[str, ...]:
        try:
            return secret.put(token, content, labels)
        except Missing:  # removed for good between the two requests
            failure = Refused("not_found")
        raise failure

    def _require_no_rotation(self, described: Description) -> None:
        """Failed("store_rotation_pending") while somebody else's rotation is under way (or was left half done)."""
        pending = described.labels.get(PENDING, "")
        if pending and pending != described.labels.get(CURRENT) and not self._names.wrote(pending):
            raise Failed("store_rotation_pending")

    # ---- promote -----------------------------------------------------------------------------------------------------

    def promote(self, slot: Slot, generation: int, fields: Mapping[str, str], expected: Version) -> Promoted:
        """See the contract."""
        secret = self._secret(slot.path)
        value = _staged(secret.settled(self._names.stage(slot, generation)))
        if value is None:
            raise Refused("not_staged")
        mine = {_parts(expected)[1], self._names.promote_token(slot, generation, _parts(expected)[0], fields)}
        for _ in range(_ROUNDS):
            described, now = self._now(secret)
            if described is None or now is None:
                raise Refused("not_found")
            self._require_no_rotation(described)
            standing = now.content or EMPTY
            wanted = standing.with_fields(slot.value, value, fields)
            if not standing.equals(wanted):
                fenced = described.labels.get(self._names.last(slot), "") not in mine
                self._require_ours(secret, slot, fields, expected, now, fenced=fenced)
            token = self._names.promote_token(slot, generation, now.version, fields)
            mine.add(token)
            if self._write(secret, token, wanted, now.version, self._names.last(slot)):
                return Promoted(_version(token, token))
        raise Failed("store_contended")

    def _write(self, secret: OneSecret, token: str, content: Content, stands_on: str, last: str = "") -> bool:
        """Write a version and make it current in place of the one it stands on, the label `last` on it before that.

        False: not done, that one is not current, or the token was used for another content.
        """
        try:
            held = self._put(secret, token, content, PENDING, *filter(None, [last]))
        except Exists:
            before = _content(secret.read(CURRENT, token))
            if before is None or not before.equals(content):
                return False
            held = ()
        # A version that was there before (an attempt that never became current) gets no labels by being written again.
        if last and last not in held and not secret.move(last, token):
            return False
        if not secret.make_current(token, stands_on):
            return False
        # AWS allows AWSPENDING on the current version, but the next writer would leave it on the one before. If it
        # cannot be taken away it is still ours, and the next promote takes it along.
        with suppress(PluginError):
            secret.unlabel(PENDING, token)
        return True

    def _require_ours(
        self, secret: OneSecret, slot: Slot, fields: Mapping[str, str], expected: Version, now: Seen, *, fenced: bool
    ) -> None:
        """Pass if only neighbours changed since `expected`.

        `fenced`: another promote of ours wrote since then. It went back, perhaps with nothing changed: trying again
        over it would be the stale promote that this fence is there to stop.
        """
        version, _ = _parts(expected)
        if now.version == version:
            return
        names = (slot.value, *slot.fields, *fields)
        before = EMPTY if expected == ABSENT else _content(secret.read(CURRENT, version))
        after = now.content or EMPTY
        if before is not None and not before.same(after, names):
            if before.same(after, (slot.value,)):
                raise ForeignError  # reference fields alone: no promote of ours does that
            self._refuse_foreign(secret, slot, after)
        if before is None or fenced:
            raise Failed("stale_version")

    def _refuse_foreign(self, secret: OneSecret, slot: Slot, standing: Content) -> None:
        """ForeignError unless the value that stands is one that we staged; then Failed("stale_version")."""
        value = standing.secret(slot.value)
        if value is None or not self._staged_by_us(secret, slot, value):
            raise ForeignError
        raise Failed("stale_version")

    def _staged_by_us(self, secret: OneSecret, slot: Slot, value: Secret) -> bool:
        described = secret.describe()
        labels = {} if described is None else self._names.generations(slot, described.labels)
        staged = (_staged(secret.read(label)) for label in labels.values())
        return any(one is not None and one.matches(value) for one in staged)

    # ---- endings -----------------------------------------------------------------------------------------------------

    def finalize(self, slot: Slot, generation: int, *, keep_versions: bool = False) -> None:
        """See the contract. Labels go, versions stay until AWS removes them; a secret that is gone has nothing left."""
        try:
            self._finalize(self._secret(slot.path), slot, generation, keep_versions)
        except Failed as error:
            error.unsent = False  # the last of several writes may be the one that never left
            raise

    def _finalize(self, secret: OneSecret, slot: Slot, generation: int, keep_versions: bool) -> None:
        described = secret.describe()
        if described is None:
            return
        label, token = self._names.stage(slot, generation), self._names.stage_token(slot, generation)
        if label in described.labels:
            value = _staged(secret.read(label))
            if value is not None and not keep_versions:
                self._unlabel_history(secret, slot, described, value)
        else:
            try:
                # Never staged: an empty version takes the token that a late `stage` would need.
                self._put(secret, token, EMPTY, label)
            except Exists:
                return  # closed before
        # The stage last: after a crash in between the value is still known, and the next call goes on.
        secret.unlabel(label, described.labels.get(label, token))

    def _unlabel_history(self, secret: OneSecret, slot: Slot, described: Description, value: Secret) -> None:
        """Take AWS's and our own labels from every version that holds the value, but for current and the stages."""
        stages = set(self._names.generations(slot, described.labels).values())
        for label, version in described.labels.items():
            pending = label == PENDING and self._names.wrote(version)
            mine = label == PREVIOUS or pending or self._names.is_ours(label)
            if label == CURRENT or label in stages or not mine or version == described.labels.get(CURRENT):
                continue
            content = _content(secret.read(label))
            held = None if content is None else content.secret(slot.value)
            if held is not None and held.matches(value):
                secret.unlabel(label, version)

    def clear(self, slot: Slot) -> None:
        """See the contract."""
        secret = self._secret(slot.path)
        names = (slot.value, *slot.fields)
        for _ in range(_ROUNDS):
            described, now = self._now(secret)
            content = _content(now) or EMPTY
            if described is None or now is None or not any(name in content for name in names):
                return
            if slot.value in content:
                value = content.secret(slot.value)
                if value is None or not self._staged_by_us(secret, slot, value):
                    raise ForeignError
            self._require_no_rotation(described)
            token = self._names.other_token("clear", now.version, slot.credential)
            if self._write(secret, token, content.without(names), now.version, self._names.last(slot)):
                return
        raise Failed("store_contended")

    def forget(self, slot: Slot, generation: int) -> None:
        """See the contract. Nothing is left to remove: AWS removes the version without labels by itself."""
        if self.read(slot, generation) is not None:
            raise Refused("not_finalized")

    # ---- values and marks that enter ---------------------------------------------------------------------------------

    def deposit(self, path: str, name: str, value: Secret, fields: Mapping[str, str], *, replace: bool) -> Version:
        """See the contract."""
        secret = self._secret(path)
        for attempt in range(_ROUNDS):
            self._existing(secret)
            described, now = self._now(secret)
            if described is None or now is None:
                continue
            standing = now.content or EMPTY
            wanted = standing.with_fields(name, value, fields)
            if standing.equals(wanted):
                return _version(now.version, "")
            taken = (one for one in (name, *fields) if one in standing)
            if not replace and not all(standing.same(wanted, (one,)) for one in taken):
                raise Refused("occupied")
            self._require_no_rotation(described)
            token = self._names.other_token("deposit", now.version, name, fields, str(attempt))
            if self._write(secret, token, wanted, now.version):
                return _version(token, "")
        raise Failed("store_contended")

    def mark(self, mark: Mark) -> None:
        """See the contract. One at a time: between its read and its write another could be set back."""
        if not self._marking.acquire(timeout=self._config.call_s):
            raise Failed("deadline", unsent=True)
        try:
            write_mark(OneSecret(self._line.call(), self._names.mark), self._names, mark)
        finally:
            self._marking.release()

    def read_mark(self) -> Mark | None:
        """See the contract."""
        return read_mark(OneSecret(self._line.call(), self._names.mark))


def _version(version: str, last: str) -> Version:
    """Current's version id, and the id of the latest version that a promote of the credential wrote ("": none)."""
    return Version(f"{version}/{last}")


def _parts(version: Version) -> tuple[str, str]:
    current, _, last = version.partition("/")
    return current, last


def _content(seen: Seen | None) -> Content | None:
    return None if seen is None else seen.content


def _staged(seen: Seen | None) -> Secret | None:
    content = _content(seen)
    return None if content is None else content.secret(STAGED)
