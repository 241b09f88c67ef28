"""Statements about credentials, definitions and documents. Called by `sqlite`: writes with the writer's connection,
reads with a reader's. Nothing here begins or ends a transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter

from sqlalchemy import Connection, Select, bindparam, delete, func, insert, literal_column, select, update

from rotator.engine.inventory import CredentialId, Pause
from rotator.engine.notices import Notice
from rotator.engine.ports import Installation, LedgerError
from rotator.machine.codec import FORMAT
from rotator.machine.facts import OWED
from rotator.machine.ids import Gen, Millis

from . import outbox
from .rows import NO_FACTS, AnyRow, to_text
from .tables import counters, credentials, digests, documents, fingerprints, installation, placements

_ONE = 1


def read_installation(connection: Connection) -> Installation | None:
    """Whose ledger this is."""
    row = connection.execute(select(installation)).one_or_none()
    return None if row is None else Installation(row.name, row.epoch, row.fingerprint_check)


def _alone(connection: Connection) -> None:
    """What is looked up and written below is not written by another replica in between. (SQLite has one writer.)"""
    connection.execute(select(counters.c.value).where(counters.c.name == "format").with_for_update())


def found(connection: Connection, wanted: Installation) -> None:
    """Write it once; later only the check may be set, and only where there is none: a wrong key never replaces it."""
    _alone(connection)
    known = read_installation(connection)
    if known is None:
        row = {"id": _ONE, "name": wanted.name, "epoch": wanted.epoch, "fingerprint_check": wanted.fingerprint_check}
        connection.execute(insert(installation).values(row))
        return
    if known.name != wanted.name:
        raise LedgerError("other_installation")
    if known.epoch != wanted.epoch:
        raise LedgerError("other_epoch")
    if known.fingerprint_check not in ("", wanted.fingerprint_check):
        raise LedgerError("other_fingerprint_key")
    connection.execute(update(installation).values(fingerprint_check=wanted.fingerprint_check))


def renew(connection: Connection, epoch: str) -> None:
    """Another epoch. Raises LedgerError("not_founded")."""
    if connection.execute(update(installation).values(epoch=epoch)).rowcount == 0:
        raise LedgerError("not_founded")


def accept(
    connection: Connection, definitions: Mapping[CredentialId, str], files: Mapping[str, str], at: Millis
) -> None:
    """Replace definitions (as JSON text) and digests as a whole; only rows that differ are written. What is no longer
    named and may be alive is told, and so is its return."""
    _alone(connection)
    known = {
        row.id: (row.definition, row.managed)
        for row in connection.execute(select(credentials.c.id, credentials.c.definition, credentials.c.managed))
    }
    new = [
        {
            "id": name,
            "format": FORMAT,
            "definition": text,
            "facts": NO_FACTS,
            "facts_sequence": 0,
            "managed": 1,
            "due_why": "",
        }
        for name, text in definitions.items()
        if name not in known
    ]
    changed = [
        {"name": name, "text": text} for name, text in definitions.items() if name in known and known[name] != (text, 1)
    ]
    gone = [{"name": name} for name, (_, managed) in known.items() if managed and name not in definitions]
    here = credentials.c.id == bindparam("name")
    if new:
        connection.execute(insert(credentials), new)
    if changed:
        values = {"definition": bindparam("text"), "format": FORMAT, "managed": 1}
        connection.execute(update(credentials).where(here).values(values), changed)
    if gone:
        connection.execute(update(credentials).where(here).values(managed=0), gone)
    back = [name for name, (_, managed) in known.items() if not managed and name in definitions]
    outbox.tell(connection, _left_and_returned(connection, [one["name"] for one in gone], back, at))
    connection.execute(delete(digests))
    if files:
        connection.execute(insert(digests), [{"file": name, "digest": digest} for name, digest in files.items()])


def _left_and_returned(
    connection: Connection, gone: Sequence[CredentialId], back: Sequence[CredentialId], at: Millis
) -> Sequence[Notice]:
    alive = select(placements.c.credential).where(placements.c.state.in_([state.value for state in OWED])).distinct()
    living = set(connection.execute(alive).scalars()) if gone else set()
    told = [
        Notice("unmanaged", at, f"unmanaged:{name}:{at}", name, about=f"unmanaged:{name}")
        for name in gone
        if name in living
    ]
    return told + [
        Notice("managed_again", at, f"managed_again:{name}:{at}", name, about=f"unmanaged:{name}") for name in back
    ]


def read_digests(connection: Connection) -> Mapping[str, str]:
    """Digest by file, as accepted."""
    return {row.file: row.digest for row in connection.execute(select(digests))}


def read_document(connection: Connection, name: str) -> str | None:
    """An accepted document's text."""
    text: str | None = connection.execute(select(documents.c.text).where(documents.c.name == name)).scalar_one_or_none()
    return text


def keep_document(connection: Connection, name: str, text: str) -> None:
    """Write or replace a document."""
    _alone(connection)
    done = connection.execute(update(documents).where(documents.c.name == name).values(text=text))
    if done.rowcount == 0:
        connection.execute(insert(documents).values(name=name, text=text))


def read_credentials(connection: Connection, only: CredentialId | None = None) -> Sequence[AnyRow]:
    """All rows by name, or the one."""
    statement = select(credentials).order_by(credentials.c.id)
    if only is not None:
        statement = statement.where(credentials.c.id == only)
    return connection.execute(statement).all()


def set_due(connection: Connection, rows: Sequence[tuple[CredentialId, Millis | None, str]]) -> None:
    """Write due times. Raises LedgerError("unknown_credential"): then none is written."""
    if not rows:
        return
    statement = (
        update(credentials)
        .where(credentials.c.id == bindparam("name"))
        .values(next_due_at=bindparam("at"), due_why=bindparam("why"))
    )
    done = connection.execute(
        statement, [{"name": name, "at": at, "why": why} for name, at, why in sorted(rows, key=itemgetter(0))]
    )
    if done.rowcount != len(rows):
        raise LedgerError("unknown_credential")


# The conditions are spelled as in the partial index `credentials_due`, with literals: with bound parameters SQLite
# could not know that the index holds every row that is asked for.
_DUE = (
    credentials.c.managed == literal_column("1"),
    credentials.c.adopted_at.is_not(None),
    credentials.c.open_run.is_(None),
    credentials.c.next_due_at.is_not(None),
    credentials.c.next_due_at <= bindparam("now"),
)


def due_statement() -> Select[str]:
    """Parameters: now, most."""
    return (
        select(credentials.c.id)
        .where(*_DUE)
        .order_by(credentials.c.next_due_at, credentials.c.id)
        .limit(bindparam("most"))
    )


def count_due_statement() -> Select[int]:
    """Parameter: now."""
    return select(func.count()).select_from(credentials).where(*_DUE)


def pause(connection: Connection, credential: CredentialId, value: Pause | None) -> None:
    """Write or take away a person's stop. Raises LedgerError("unknown_credential")."""
    text = None if value is None else to_text(value)
    done = connection.execute(update(credentials).where(credentials.c.id == credential).values(pause=text))
    if done.rowcount == 0:
        raise LedgerError("unknown_credential")


def serials(connection: Connection, count: int) -> int:
    """Reserve numbers; the first."""
    here = counters.c.name == "serial"
    connection.execute(update(counters).where(here).values(value=counters.c.value + count))
    last: int = connection.execute(select(counters.c.value).where(here)).scalar_one()
    return last - count + 1


def keep_fingerprint(connection: Connection, credential: CredentialId, gen: Gen, text: str) -> None:
    """Write which value a generation was: once. A generation has one value, so another text for it is refused."""
    _alone(connection)
    here = (fingerprints.c.credential == credential, fingerprints.c.gen == gen)
    known = connection.execute(select(fingerprints.c.text).where(*here)).scalar_one_or_none()
    if known is not None:
        if known != text:
            raise LedgerError("other_fingerprint")
        return
    if connection.execute(select(credentials.c.id).where(credentials.c.id == credential)).one_or_none() is None:
        raise LedgerError("unknown_credential")
    connection.execute(insert(fingerprints).values(credential=credential, gen=gen, text=text))


def read_fingerprints(connection: Connection, credential: CredentialId) -> Mapping[Gen, str]:
    """Fingerprint by generation."""
    statement = select(fingerprints).where(fingerprints.c.credential == credential).order_by(fingerprints.c.gen)
    return {Gen(row.gen): row.text for row in connection.execute(statement)}
