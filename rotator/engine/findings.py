"""The catalogue of what is seen outside runs: each code with what it means and what a person does. Pure data.

Read by the sweep, the heartbeat, the watchdog's views, the notices and the runbook: one place for the words. `{…}` are
filled in by who shows them: endpoint, credential.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

STRAYS: Final[Mapping[str, tuple[str, str]]] = {
    "known_placement": ("Ours and known: it serves, or a debt is worked on.", "Nothing."),
    "accepted_alive": ("Ours; a person accepted that it may live.", "Nothing. `rotator explain ID` shows it."),
    "in_a_run": (
        "Ours; a run of its credential is open and looks after it, or ended it so lately that the list may lag behind.",
        "Nothing.",
    ),
    "listed_though_dead": (
        "Ours by our own intent, and listed as active though nothing of ours says that it lives: a late request, or a "
        "platform that was restored from a backup.",
        "Nothing: a reconcile revokes it and proves it dead. To begin it now: "
        "`rotator strays ENDPOINT --apply --reason TEXT`.",
    ),
    "no_intent": (
        "It bears our label, and no intent of this ledger stands for it: a label that a person wrote, or a ledger that "
        "was restored from before it was made. It is not touched.",
        "Find out who made it (the platform knows when, and for whom); revoke it there by hand if nobody needs it.",
    ),
    "other_principal": (
        "It bears the label of a value of ours, at an account at which we never put that value. It is not touched.",
        "Somebody copied the label, or the account was renamed: look at the platform.",
    ),
    "label_copied": (
        "It bears the label of a value of ours, which the platform knows by another id. It is not touched.",
        "Somebody copied the label: look at the platform, and give that one a name of its own.",
    ),
    "label_twice": (
        "Several bear one label of ours, and we never learnt the id of ours: it is not touched.",
        "Name ours when a run asks (`rotator runs answer RUN name --handle ID`), or end the others at the platform.",
    ),
    "foreign_label": ("Another installation of Rotator made it. It is not touched.", "Nothing here."),
}
"""Why a listed value is what it is (`rotator strays`)."""

NOT_TAKEN: Final[Mapping[str, tuple[str, str]]] = {
    "left_behind": (
        "The credential is no longer configured: no run opens by itself.",
        "`rotator retire --only id=ID` ends it, the stray with it.",
    ),
    "was_contained": (
        "The credential was contained and has no working value: no reconcile can be opened.",
        "`rotator emergency ID --mode contain --reason TEXT` ends everything of it once more.",
    ),
    "held_back": ("A pause, a freeze or the observe mode holds it.", "It is taken by the first sweep after that."),
    "busy": ("A run of the credential has just opened.", "The next sweep looks again."),
    "enough_for_now": ("This sweep has opened as many runs as it may.", "The next one goes on within the hour."),
    "not_configured": ("An endpoint of the credential is not configured.", "Correct it, `rotator config reload`."),
}
"""Why a stray was not brought back into its credential's facts by this sweep."""


DRIFTS: Final[Mapping[str, tuple[str, str]]] = {
    "well": ("What serves is accepted, as the right identity, and the store shows it.", "Nothing."),
    "unreachable_now": ("It could not be felt: nothing is known.", "Nothing: it is felt again within minutes."),
    "changed_elsewhere": (
        "The store shows a value that is not ours: somebody wrote over it, or it is gone. Ours may still be alive.",
        "Find out who writes there. Then `rotator rotate ID --reason TEXT`: it asks whether to take theirs over or to "
        "put ours back.",
    ),
    "restored_from_backup": (
        "Another value of ours than the one that should serve is current again, or lives again: the store or the "
        "platform was restored from a backup.",
        "`rotator rotate ID --reason TEXT` repairs and ends what came back; `rotator strays` shows what else did.",
    ),
    "not_accepted": (
        "The platform refuses the value that the store shows: it was revoked or has expired there, or the platform was "
        "restored from before it was made. Its readers are locked out.",
        "`rotator rotate ID --reason TEXT` now. If nobody knows why it was revoked: "
        "`rotator emergency ID --mode contain --reason TEXT`.",
    ),
    "other_identity": (
        "The platform accepts the value as somebody else than the credential's principal.",
        "Look at the account at the platform (renamed, re-created, merged?), correct `principal`, or contain: "
        "`rotator emergency ID --mode contain --reason TEXT`.",
    ),
    "permission_lost": (
        "The platform accepts the value as the right identity, with fewer scopes than the configuration wants.",
        "Give the scopes back at the platform, or correct `scopes` and `rotator rotate ID --reason TEXT`.",
    ),
}
"""What a heartbeat found, and the next step of each class."""


def means(code: str) -> str:
    """What a code of this catalogue means; the code in words if it is none."""
    return next((kind[code][0] for kind in ALL.values() if code in kind), code.replace("_", " "))


def advice(code: str) -> str:
    """What a person does about it; empty if it is none of this catalogue."""
    return next((kind[code][1] for kind in ALL.values() if code in kind), "")


ALL: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {"stray": STRAYS, "not taken": NOT_TAKEN, "drift": DRIFTS}
"""Every table, by the group that the runbook gives it."""
