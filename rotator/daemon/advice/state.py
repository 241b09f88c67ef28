"""What a person does about the codes of the machine, the schedule and the ledger. Read by `catalogue` only."""

from __future__ import annotations

from typing import Final

HOLDS: Final[dict[str, str]] = {
    "paused": "`rotator resume ID` ends a pause that a person set; one in the policy ends at its `until`.",
    "frozen": "Wait for its end; `rotator explain ID` names it. See *A freeze* above.",
    "outside_window": "It goes on when the window opens. A run that a person opens is not held by the window.",
    "brake": "Too many fell due at once. See *The brake* above.",
    "approval": "Have the plan approved.",
    "breaker": "It fails, or refuses the acting account. It is tried again by itself, ever more rarely; "
    "`rotator status` says until when. Mend it, then `rotator plugins try ENDPOINT`: what works there closes the "
    "breaker. See [limits](limits.md).",
    "rate": "Passes by itself. Emergencies have tokens of their own. See [limits](limits.md).",
    "busy": "Passes by itself: it is woken when a place is free. More at once: `limits.concurrency` of the endpoint.",
    "repeats": "Passes by itself: first calls come before repeats. See [limits](limits.md).",
    "probe_budget": "Passes by itself: more refused tries would lock the account (`traits.probe_limit`).",
}
DUE: Final[dict[str, str]] = {
    "retired": "Nothing. A retired credential is not rotated again.",
    "removed": "Put it back into the configuration, or retire it. See *Left behind* above.",
    "not_adopted": "`rotator adopt ID`.",
    "run_open": "`rotator runs watch RUN`.",
    "waits_for_answer": "`rotator runs show RUN` has the answers as whole commands.",
    "observing": "The ledger is a restored copy. See *A restored ledger* above.",
    "paused": "`rotator resume ID`.",
    "frozen": "Wait for its end. See *A freeze* above.",
    "brake": "See *The brake* above.",
    "backing_off": "Passes by itself. `rotator runs list --credential ID` shows how the last run ended.",
    "outside_window": "Passes by itself when the window opens.",
    "due": "Nothing: it is opened at the next tick.",
    "missed_window": "Nothing: it is opened at the next tick, outside its window (`missed: now`).",
    "debts": "Nothing: a reconcile works on it. `rotator debts ID` shows what is open.",
    "not_due": "Nothing. To be earlier: `rotator rotate ID --reason TEXT`.",
    "no_schedule": "Give its policy `every` or `cron`.",
}
SCHEDULE: Final[dict[str, tuple[str, str]]] = {
    "policy": ("The next time is the policy's.", "Nothing."),
    "unmanaged": ("It is no longer in the configuration.", "Put it back, or retire it. See *Left behind* above."),
    "contained": (
        "It was contained without a new value: nothing is rotated by itself.",
        "Give it a value: `rotator rotate ID --reason TEXT`.",
    ),
    "after_a_failed_run": (
        "The last run did not succeed: not again before an hour.",
        "Look at it: `rotator runs list --credential ID`.",
    ),
    "unknown_endpoint": ("An endpoint of its definition is not configured.", "Correct it, `rotator config reload`."),
    "bug": (
        "Opening its run failed by a bug; tried again in an hour.",
        "The log has the type (`engine.tick.bug`). Report it.",
    ),
    "waiting_for_you": ("The run asks a person.", "`rotator runs show RUN`."),
}
WAITS: Final[dict[str, str]] = {
    "ripe": "Nothing; `rotator explain ID` and `rotator runs show RUN` say until when.",
    "overlap": "Nothing; without waiting: `rotator emergency ID --mode overlap --reason TEXT` after this run, or "
    "contain now.",
    "settle": "Nothing.",
}
TURNS: Final[dict[str, str]] = {
    "leg_done": "Nothing: the run goes on with its next part.",
    "current_works": "Nothing.",
    "newer_works": "Nothing. An earlier run had got further than its promote.",
    "current_displaced": "Nothing. It is the trace of an earlier run that did not end well.",
}
DETAILS: Final[dict[str, str]] = {
    "out_of_patience": "Find out why it fails (`rotator runs show RUN` has every attempt), then answer `retry`.",
    "alive_after_repeat": "A revoke that is acknowledged does not end it: look at the platform's caches and replicas.",
    "serves_not": "What readers use is not seen in place: look at the platform before you go on.",
    "rejected": "The platform acknowledged the value and refuses it: replication, or another account.",
    "stranger": "The value belongs to somebody else: check principal and scopes.",
}
OBJECTIONS: Final[dict[str, str]] = {
    "principals": "Write one principal, or two different ones.",
    "alternating_needs_single_slot": "Write `principal: …`; the overlap keeps the old value.",
    "alternating_needs_own_values": "Use one principal.",
    "many_without_revoke": "The kind lacks a `revoke`: extend the plugin or pack.",
    "revoke_hits_others": "Use two accounts that take turns, or only list this kind.",
    "issued_without_list": "The kind lacks a `list`: extend the plugin or pack.",
}
LEDGER: Final[dict[str, tuple[str, str]]] = {
    "locked": (
        "Another program holds the file, or rows of the database, locked for too long.",
        "Find it (`fuser LEDGER`; `pg_stat_activity`); copies are made while it works.",
    ),
    "read_only": (
        "The file or its folder cannot be written; or PostgreSQL only reads, or the role may not write.",
        "Owner and mode of the folder; a read-only mount. PostgreSQL: name the primary; the role owns the database.",
    ),
    "disk_full": ("No space is left. Nothing was recorded and nothing was sent.", "Make room; runs go on."),
    "damaged": (
        "The database finds its own files damaged.",
        "Stop the daemon, keep the file, restore the newest copy: *A restored ledger* above.",
    ),
    "constraint": ("A rule of the database was broken: a bug.", "Report it. Nothing was recorded."),
    "missing_directory": ("The folder of `daemon.ledger` does not exist.", "Make it, 0700, of the daemon's user."),
    "unavailable": (
        "The file cannot be used, for a reason of the system; or PostgreSQL does not answer. Nothing was recorded.",
        "Is it a local disk? WAL needs one. PostgreSQL: address, certificate, server. Runs go on when it answers.",
    ),
    "outcome_unknown": (
        "The connection was lost with the answer to a COMMIT, and what became of it could not be found out in time.",
        "Look before it is done again: `rotator runs list`. A worker lets its run go; the next one reads.",
    ),
    "password_missing": (
        "The file of `daemon.ledger_password` cannot be read.",
        "Make it, 0600, of the daemon's user.",
    ),
    "password_mode": ("Others may read the file of `daemon.ledger_password`.", "`chmod 600 FILE`."),
    "password_refused": (
        "PostgreSQL refuses the login.",
        "Compare role, password file and `pg_hba.conf`. A changed password is read at the next login.",
    ),
    "missing_database": (
        "The database of `daemon.ledger` does not exist.",
        "`CREATE DATABASE`, owned by the role; its tables are made by the first start.",
    ),
    "newer_schema": ("The ledger was written by a newer release.", "Start that release, or restore an older copy."),
    "not_a_ledger": (
        "The file, or the schema `rotator` of the database, is something else.",
        "Correct `daemon.ledger`. It was not touched.",
    ),
    "second_daemon": ("Another daemon works on this ledger.", "Stop one of the two."),
    "backup_exists": ("The copy's file exists.", "Choose another name."),
    "missing_file": ("There is no such file.", "Name the copy; `rotator ledger backup FILE` makes one."),
    "same_file": ("The copy is the ledger itself.", "Name a copy that stands elsewhere."),
    "not_founded": ("The copy was never a daemon's ledger: it has no installation.", "Choose another copy."),
    "is_postgresql": (
        "The ledger is in PostgreSQL: a copy by this command would know neither its snapshots nor its roles.",
        "`pg_dump` and `pg_restore` of its database, or the server's own backups: see `docs/restore.md`.",
    ),
    "closed": ("The ledger was closed while somebody waited for it: the daemon stops.", "Nothing."),
    "lease_lost": ("Another worker has the run. This one stopped; nothing was recorded by it.", "Nothing."),
    "run_open": ("The credential has an open run.", "`rotator runs watch RUN`."),
    "run_ended": ("The run had ended.", "`rotator runs show RUN`."),
    "run_exists": ("A run of this id exists: a bug.", "Report it."),
    "unknown_run": ("There is no such run.", "`rotator runs list`."),
    "unknown_credential": ("There is no such credential.", "`rotator credentials`."),
    "duplicate_credential": ("Two definitions have one id: a bug of the loader.", "Report it."),
    "no_events": ("An empty record was to be written: a bug.", "Report it. Nothing was recorded."),
    "stale_facts": ("Facts older than the ledger's were to be written.", "Nothing: the worker reads anew."),
    "other_installation": (
        "The ledger belongs to another installation than the configuration names.",
        "Correct `installation` or `daemon.ledger`. The name is never changed.",
    ),
    "other_epoch": ("The ledger has another epoch.", "See *A restored ledger* above."),
    "other_fingerprint": ("Another fingerprint is kept for this value.", "Report it."),
    "other_fingerprint_key": (
        "The ledger was founded with another fingerprint key.",
        "Put the right key file back. Without it old and new evidence cannot be compared.",
    ),
}
READINESS: Final[dict[str, tuple[str, str]]] = {
    "ticker_dead": (
        "`/livez`: ticks have stopped coming.",
        "Restart the daemon, keep its log. Runs go on from where they were.",
    ),
    "no_installation": ("`/readyz`: the ledger was not founded.", "Look at the daemon's log."),
    "not_ready": (
        "`/readyz`: the daemon is not ready and says no more. A reason of a store (`store_secret_id_taken`, "
        "`store_secret_id_path`) is an incident: see *An incident at the login* above.",
        "Look at the daemon's log.",
    ),
}
