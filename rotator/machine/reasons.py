"""The catalogue of the machine's reason codes: each with one line for people. The runbook is written by these codes.

Read by the command line, the API and the documents. A test holds it complete: every code that the machine can give
stands here, and none that it cannot.
"""

from __future__ import annotations

QUESTIONS: dict[str, str] = {
    "foreign": "the store's current value is not one of ours: take it over, overwrite it, or abandon the run",
    "no_old": "the value in the store is refused, and nothing in our records explains it",
    "no_way_back": "the value in the store was displaced and cannot be set again: go on without a way back, or contain",
    "cannot_install": "the target cannot be put in place: it is not kept, or its endpoint is gone",
    "refused": "a step was refused, or failed until patience was out",
    "misconfigured": "something must be changed before this step can work",
    "in_use": "the only thing to remove may still be in use",
    "no_room": "every slot is taken by something that may be in use",
    "not_verified": "what serves now was not seen alive, so nothing is killed",
    "strangers": "there are secrets in the list that may be the one we lost: name it, or accept it",
    "unproven": "an old value could not be proven dead",
    "cannot_empty": "a consumer cannot be emptied by its plugin",
    "cannot_kill": "nothing ends this value: its handle is unknown, and nothing takes its place",
}
"""Topics of questions."""

DETAILS: dict[str, str] = {
    "out_of_patience": "it went on failing beyond the policy's attempts and span",
    "alive_after_repeat": "it was found alive again after the kill was repeated",
    "serves_not": "what should serve is not in place",
    "rejected": "the probe was refused though the value was acknowledged",
    "stranger": "the value was accepted, but as another principal",
}
"""Why a question is asked, beside what the platform's plugin says."""

TURNS: dict[str, str] = {
    "leg_done": "every rung of the leg holds",
    "current_works": "the value in the store works: the run starts from it",
    "newer_works": "the value in the store does not work, a newer one does: the run starts from that",
    "current_displaced": "the value in the store was displaced by one of ours: it is put in place again",
}
"""Why a run turns; a turn back is named by the step and the topic, as in `install_refused`."""

WAITS: dict[str, str] = {
    "ripe": "the step's own clock is not there yet: back-off, quiet time, settling, grace, or the value's overlap",
    "overlap": "readers may still use the former value",
    "settle": "the platform needs time before a refusal means anything",
}
"""Why a run waits."""

HOLDS: dict[str, str] = {
    "paused": "a person paused it",
    "frozen": "a freeze is in force",
    "outside_window": "the window is closed",
    "brake": "too many at once: the brake is on",
    "approval": "the plan is not approved",
    "breaker": "the endpoint's or store's circuit breaker is open",
    "rate": "the endpoint's rate is used up, or it asked to wait",
    "busy": "as many calls are under way at the endpoint or store as it may have",
    "repeats": "too large a share of the calls to the endpoint are repeats",
    "probe_budget": "no more failing probes are allowed at this home for now",
}
"""What holds a decided step back."""

DUE: dict[str, str] = {
    "retired": "the credential was retired",
    "removed": "the credential is no longer in the configuration",
    "not_adopted": "the credential was not adopted yet",
    "run_open": "a run is open",
    "waits_for_answer": "the open run waits for a person",
    "observing": "the ledger is older than the store: nothing is opened",
    "paused": "a person paused it",
    "frozen": "a freeze is in force",
    "brake": "too many at once: the brake is on",
    "backing_off": "the last run did not succeed: not again yet",
    "outside_window": "the window is closed",
    "due": "the policy's time has come",
    "missed_window": "the window went by while nobody was there, and the policy says to run at once",
    "debts": "something old is not proven dead yet",
    "not_due": "the policy's time has not come",
    "no_schedule": "the policy gives no time",
}
"""Why a run opens, or does not."""

OBJECTIONS: dict[str, str] = {
    "principals": "one principal, or two different ones",
    "alternating_needs_single_slot": "two principals take turns only where each holds one value",
    "alternating_needs_own_values": "two principals cannot take turns where the platform makes the value",
    "many_without_revoke": "many values at once need a revoke",
    "revoke_hits_others": "the revoke would hit values that are in use",
    "issued_without_list": "an issued value needs a list in which a lost one can be found",
}
"""Why a kind cannot be worked with."""

LEGS: dict[str, str] = {
    "adopt": "binding the value that is there",
    "repair": "seeing what works, and putting right what an earlier run left",
    "advance": "putting the new value in force, then ending the old one",
    "return": "putting the old value in force again, then ending the new one",
    "contain": "ending the leaked value first, then putting a new one in force",
    "give_up": "ending everything, without a new value",
    "retire": "ending everything, for good",
}

ENDINGS: dict[str, str] = {
    "succeeded": "the new value serves everywhere, everything old is proven dead or accepted",
    "owed": "the new value serves everywhere, something old could not be proven dead yet",
    "rolled_back": "failed safe: the old value serves, nothing new is alive",
    "contained": "the compromised value is proven dead; there is no working value",
    "abandoned": "a person ended the run: what it left is known, and repaired by the next",
}

ALL: dict[str, dict[str, str]] = {
    "question": QUESTIONS,
    "detail": DETAILS,
    "turn": TURNS,
    "wait": WAITS,
    "hold": HOLDS,
    "due": DUE,
    "objection": OBJECTIONS,
    "leg": LEGS,
    "ending": ENDINGS,
}
"""Every catalogue, by its kind."""


def meaning(kind: str, code: str) -> str:
    """One line for people; the code itself where the platform's plugin gave it."""
    return ALL[kind].get(code, code)
