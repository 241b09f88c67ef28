"""Reasons of platforms, the host and the daemon's own, in words. Read by `catalogue` only.

`RESERVED_DO` adds what to do to the plugin API's catalogue; `RAISED` has meaning and advice of what no catalogue has.
"""

from __future__ import annotations

from typing import Final

RESERVED_DO: Final[dict[str, str]] = {
    "label_taken": "Nothing.",
    "no_free_slot": "Nothing, if an old value can be ended; else a person is asked (`no_room`).",
    "policy": "If it repeats: `value` of the pack, or the platform's password rules.",
    "history": "Nothing now. The way back is closed for this value.",
    "not_found": "Correct `principal`, or create the account. `rotator plugins try ENDPOINT`.",
    "acting_refused": "New admin value: `rotator admin set ENDPOINT --from FILE --replace`. Then answer `retry`.",
    "throttled": "Nothing: it waits as long as the platform says.",
    "unreachable": "Network, address, firewall: `rotator plugins try ENDPOINT`. Nothing was sent.",
    "connection_lost": "Nothing: it is looked at after the quiet time.",
    "deadline": "If it repeats: raise `daemon.deadline`, or look why the platform is slow.",
    "unrecognised_answer": "`rotator plugins try ENDPOINT`. A login page or a proxy's page is a frequent cause.",
    "incomplete_answer": "The same; perhaps another version of the platform than the pack was tried on.",
    "server_error": "Look at the platform's own log.",
    "refused": "The platform's log says why. The message of it is not kept here.",
    "redirect": "Write the final URL into the endpoint's `config`.",
    "tls": "Name the authority (`ca`, `sslrootcert`), or correct the host name. There is no switch to verify nothing.",
    "too_large": "Use a smaller value or page size.",
    "address_refused": "Correct the address. These are never called, on purpose.",
    "route_refused": "Report it to the plugin's author.",
    "echo": "The platform's answer repeated a value where a name was expected: correct the pack's pointers.",
    "plugin_bug": "The daemon's log has type and place.",
    "variable_missing": "Add the parameter, principal or handle at the credential.",
    "unsendable": "Narrow `value` in the pack to characters that fit.",
    "plain_http": "Use https.",
    "unexplained": "Report it to the plugin's author.",
    "wrong_identity": "Check `principal`: the value was made for, or belongs to, another account.",
}

RAISED: Final[dict[str, tuple[str, str]]] = {
    "admin_in_file": (
        "The endpoint's admin value is configured as a file, or it has none: there is no place in a store to put it.",
        "Replace the content of that file yourself, or configure `admin.value: {store, path, field}`.",
    ),
    "admin_changing": (
        "The id and the value of the admin changed while they were read.",
        "Nothing: it is tried again.",
    ),
    "admin_handle_missing": (
        "The id of the endpoint's admin value is not in the store.",
        "Put it into the field that `admin.handle` names, beside the value.",
    ),
    "admin_unreadable": ("The file with the admin value cannot be read.", "It must be 0600 and of the daemon's user."),
    "admin_value_missing": (
        "The endpoint's admin value is not in the store.",
        "`rotator admin set ENDPOINT --from FILE`.",
    ),
    "bug": ("A step failed in a way that nobody foresaw.", "The log has the type. It is looked at like any unknown."),
    "deadline_passed": ("The step was not sent: its time was over before it began.", "Nothing: it is decided anew."),
    "derived_left": (
        "Tokens derived from the old value cannot be ended before their own time.",
        "Nothing: it is asked again when they have died, and only then the proof begins.",
    ),
    "fingerprint_key_length": ("The fingerprint key is not 32 bytes.", "Put the right file back."),
    "fingerprint_key_missing": (
        "The fingerprint key cannot be read.",
        "Mount or restore it. For a first start, make it.",
    ),
    "fingerprint_key_mode": ("Others may read the fingerprint key.", "`chmod 600 FILE`."),
    "fingerprint_key_other": (
        "It is another fingerprint key than the one that the ledger was founded with.",
        "Put the right file back: see *The fingerprint key* above.",
    ),
    "foreign_current": (
        "The store refused our promote: what readers see is not what we had read.",
        "Nothing: it is read again. If the value is not ours, you are asked (`ROT-ASK-FOREIGN`).",
    ),
    "form_unsupported": ("The kind wants a form of value that is not made here (key pairs).", "Use another kind."),
    "handle_unknown": (
        "The platform does not say by which id it knows this value, so it could never be revoked.",
        "Look the id up at the platform and set `authority.handle`. Then adopt again.",
    ),
    "issued_not_staged": (
        "The platform made a value, and the store did not take it. Nobody has it.",
        "Nothing: it is found by label or snapshot and ended, and another one is made.",
    ),
    "kind_unsupported": ("This kind can only be listed.", "The message says why."),
    "no_control": (
        "Nothing was alive to try beside the old value, so the old value was not tried: a refusal would prove nothing.",
        "Passes when a control works. Look at the newest value: `rotator verify ID`.",
    ),
    "no_handle": ("A revoke needs the platform's id of the value, and it is not known.", "`runs answer RUN name …`."),
    "no_such_ability": ("The plugin was asked for an ability that it has not.", "Report it."),
    "no_value": (
        "The field that holds the value is empty in the store.",
        "Correct `store.path` and `store.value`, or bring the value: `rotator adopt ID --from FILE`.",
    ),
    "no_witness": ("The endpoint has no admin value that could serve as witness.", "A control of grade 3 is not had."),
    "not_accepted": ("The value in the store is not accepted.", "`rotator plugins try ENDPOINT`; is it the right one?"),
    "other_installation": (
        "The ledger belongs to another installation.",
        "Correct `installation` or `daemon.ledger`; the name is never changed.",
    ),
    "scopes_missing": ("The value works, but with fewer scopes than configured.", "Correct `scopes`, or the account."),
    "scopes_required": (
        "A value without these scopes cannot be tried, so no death could be proven.",
        "Give the value the scopes at the platform first (alerta: `read:keys`). Then adopt again.",
    ),
    "source_mode": ("The file named by --from may be read by others.", "`chmod 600 FILE`. Treat its value as seen."),
    "source_not_text": ("The file named by --from is no UTF-8 text.", "Write the value as text."),
    "source_owner": ("The file named by --from belongs to another user than the daemon's.", "`chown` it."),
    "source_size": ("The file named by --from is empty or larger than 64 KiB.", "Write the value alone into it."),
    "source_unreadable": (
        "The file named by --from cannot be read by the daemon, is a link, or no plain file.",
        "The daemon reads it, not you: full path, mode 0600, of the daemon's user, on the daemon's machine.",
    ),
    "unknown_consumer": ("A consumer of the run's frozen plan is not in its definition.", "Report it."),
    "unknown_endpoint": ("There is no such endpoint in the configuration.", "`rotator plugins list` names them."),
    "unknown_kind": ("The endpoint's plugin has no such kind.", "`rotator plugins list` names them."),
    "unknown_store": ("There is no such store in the configuration.", "Put it back, `rotator config reload`."),
    "value_specs_differ": ("Two authorities of one value ask for forms that exclude each other.", "Split it into two."),
    "value_too_weak": ("The kind allows only values that could be guessed (less than 128 bits).", "Correct the pack."),
    "worker_lost": (
        "Nobody knows what came out of this step: its worker died, or the daemon was stopped in it.",
        "Nothing: it is looked at after the quiet time.",
    ),
}
