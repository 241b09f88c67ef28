"""The tables of the present schema, each column with its meaning. Read by every statement of this room.

The file itself is made by `migrations` (numbered, frozen text), never from here; a test holds the two equal. Must never
get a column for a value of a credential: what stands here is references, handles, numbers, times, slugs and
fingerprints. Times are milliseconds since the epoch. JSON columns are written by `rotator.machine.codec`; `format`
beside them is its FORMAT.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, MetaData, Table, Text

SCHEMA = MetaData()
_WHOLE = Integer().with_variant(BigInteger(), "postgresql")


def _text(name: str, says: str, *, null: bool = False, key: bool = False) -> Column[str]:
    return Column(name, Text, nullable=null, primary_key=key, comment=says)


def _number(name: str, says: str, *, null: bool = False, key: bool = False) -> Column[int]:
    return Column(name, _WHOLE, nullable=null, primary_key=key, comment=says)


schema_version = Table(
    "schema_version",
    SCHEMA,
    _number("version", "number of a migration that was applied", key=True),
    _number("applied_at", "when, if a clock was there", null=True),
)

installation = Table(
    "installation",
    SCHEMA,
    _number("id", "always 1: one row", key=True),
    _text("name", "the configured slug"),
    _text("epoch", "changes at a restore"),
    _text("fingerprint_check", "tells a wrong fingerprint key; a keyed digest of a constant, empty until first set"),
)

counters = Table(
    "counters",
    SCHEMA,
    _text("name", "what is counted: serial (labels), format (highest FORMAT ever written)", key=True),
    _number("value", "the last number given"),
)

documents = Table(
    "documents",
    SCHEMA,
    _text("name", "name of an accepted document", key=True),
    _text("text", "its text: configuration with references where values would be"),
)

digests = Table(
    "digests",
    SCHEMA,
    _text("file", "name of a configuration file", key=True),
    _text("digest", "digest of its content when it was accepted"),
)

credentials = Table(
    "credentials",
    SCHEMA,
    _text("id", "the configured name", key=True),
    _number("format", "FORMAT of definition, facts and pause"),
    _text("definition", "JSON of inventory.Credential, as accepted"),
    _text("facts", "JSON of facts.Facts after the journal row facts_sequence"),
    _number("facts_sequence", "the last journal row that the facts contain; 0: none"),
    _number("managed", "1 while the configuration names it"),
    _number("adopted_at", "when it was last adopted", null=True),
    _number("last_success_at", "when a run last renewed its value, since it was adopted", null=True),
    _number("next_due_at", "when a run is next due; NULL: never by itself", null=True),
    _text("due_why", "reason code of next_due_at"),
    _text("pause", "JSON of inventory.Pause: a person's stop", null=True),
    _text("open_run", "id of its open run", null=True),
)

runs = Table(
    "runs",
    SCHEMA,
    _text("id", "UUIDv7 text", key=True),
    Column("credential", Text, ForeignKey("credentials.id"), nullable=False, comment="whose run it is"),
    _text("kind", "facts.RunKind"),
    _number("format", "FORMAT of definition and plan"),
    _text("definition", "JSON of inventory.Credential, frozen at the opening"),
    _text("plan", "JSON of plan.Plan, frozen at the opening"),
    _text("actor", "who opened it"),
    _text("reason", "why, in the opener's words or a reason code"),
    _text("campaign", "binds runs of one request together; may be empty"),
    _number("opened_at", "when it was opened"),
    _number("ended_at", "when it ended; NULL: open", null=True),
    _text("ending", "facts.Ending", null=True),
    _number("wake_at", "when it is to be worked next; NULL: only by a person", null=True),
    _number("woken_at", "a wake that came while a worker had it; minded at the release", null=True),
    _text("held_why", "reason code of what holds it; may be empty"),
    _text("owner", "who has the lease; empty: nobody"),
    _number("fence", "fencing number, higher at every claim"),
    _number("lease_until", "until when nobody else may claim it", null=True),
    _number("last_sequence", "its last journal row"),
    _number("urgent", "1: an emergency, or one that contains: claimed before all others"),
)

journal = Table(
    "journal",
    SCHEMA,
    _number("sequence", "order over the whole ledger, never used again", key=True),
    Column("run", Text, ForeignKey("runs.id"), nullable=False, comment="whose event it is"),
    _number("at", "when it was committed, as the engine saw the clock"),
    _number("fence", "fencing number of who wrote it"),
    _text("actor", "the person, for events that a person caused; may be empty"),
    _number("format", "FORMAT of event and observed"),
    _text("event", "JSON of events.Event: references, handles, reason codes"),
    _text("observed", "JSON of ports.Observed: slugs and fingerprints for the evidence", null=True),
)

placements = Table(
    "placements",
    SCHEMA,
    Column("credential", Text, ForeignKey("credentials.id"), primary_key=True, comment="whose value it is"),
    _number("gen", "number of the generation", key=True),
    _text("endpoint", "the home's endpoint", key=True),
    _text("principal", "the home's principal", key=True),
    _text("state", "facts.State"),
    _number("since", "since when the state stands"),
    _number("owed_since", "since when it is a debt; NULL: it is none", null=True),
    _text("label", "the label that we put on it", null=True),
    _text("handle", "the platform's id of it", null=True),
)

probes = Table(
    "probes",
    SCHEMA,
    _number("sequence", "the journal row of the intent", key=True),
    _text("endpoint", "the home's endpoint"),
    _text("principal", "the home's principal"),
    _number("at", "when the probe was intended"),
)

budgets = Table(
    "budgets",
    SCHEMA,
    _text("sort", "endpoint or store", key=True),
    _text("name", "its configured name", key=True),
    _number("full_us", "when its bucket is full again, in microseconds since the epoch"),
    _text("why", "protection.Why: what the breaker is open for; empty: it is closed"),
    _number("failures", "how many failures in a row opened it"),
    _number("since", "since when it is open", null=True),
    _number("until", "from then on one call may try", null=True),
    _number("opened", "how often in succession it opened"),
    _number("probing_until", "one tries, until then at the latest", null=True),
    _number("wait_until", "what the platform asked to wait, bounded", null=True),
)

heartbeats = Table(
    "heartbeats",
    SCHEMA,
    Column("credential", Text, ForeignKey("credentials.id"), primary_key=True, comment="whose heartbeat it is"),
    _number("next_at", "when it is felt next"),
    _number("at", "when it was last felt; NULL: never", null=True),
    _text("finding", "heartbeat.Drift; empty: never felt"),
    _number("since", "since when the finding stands", null=True),
    _text("place", "the home that told, or store; may be empty"),
    _text("reason", "slug of what told; may be empty"),
)

notices = Table(
    "notices",
    SCHEMA,
    _number("sequence", "order of the outbox, never used again", key=True),
    _text("key", "its own for ever: the same thing is told once"),
    _text("event", "name of an event of engine.notices"),
    _number("at", "when it happened"),
    _text("credential", "whose it is", null=True),
    _text("run", "the run; may be empty"),
    _text("about", "binds what belongs together; may be empty"),
    _text("facts", "JSON object of slugs and numbers"),
    _number("routed_at", "when it was decided who is told; NULL: not yet", null=True),
    _text("body", "JSON of the message, made when it was routed", null=True),
)

deliveries = Table(
    "deliveries",
    SCHEMA,
    _number("id", "number, never used again", key=True),
    Column("notice", _WHOLE, ForeignKey("notices.sequence"), nullable=False, comment="what is told"),
    _text("channel", "by which configured channel"),
    _text("route", "by which configured route it came to it"),
    _text("state", "outbox.DeliveryState"),
    _number("attempts", "how often it was tried"),
    _number("first_at", "since when it waits"),
    _number("next_at", "when it is tried next; NULL: not again", null=True),
    _number("last_at", "when it was tried last", null=True),
    _text("code", "slug of what the last attempt met; empty: nothing"),
)

fingerprints = Table(
    "fingerprints",
    SCHEMA,
    Column("credential", Text, ForeignKey("credentials.id"), primary_key=True, comment="whose value it is"),
    _number("gen", "number of the generation", key=True),
    _text("text", "keyed digest of the value: tells two values apart, gives none away"),
)
