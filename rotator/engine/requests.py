"""What a person or a program may ask of the daemon: the seam between the local API (`daemon.api`) and the engine.

`Service` in `engine.service` implements it. Answers are JSON-able data (`Json`), built of references and reason codes,
never a value; instants are RFC 3339 text in UTC, spans are seconds. A refused request raises `RequestRefused`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Json = Mapping[str, Any]


class RequestRefused(Exception):
    """The request was not carried out. `code` is a string code of the runbook, `exit` the command line's exit code."""

    def __init__(self, code: str, message: str, *, exit: int, hint: str = "", run: str = "") -> None:  # noqa: A002
        super().__init__(message)
        self.code = code
        self.message = message
        self.exit = exit
        self.hint = hint
        self.run = run


@dataclass(frozen=True, slots=True)
class Selection:
    """Which credentials: ids, or a selector (`selectors`), or a workflow, or all; exactly one way."""

    ids: tuple[str, ...] = ()
    selector: str = ""
    workflow: str = ""
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: `actor` from the peer's uid on the local socket (`uid:1000 (name)`), never from the request."""

    actor: str


class Requests(Protocol):
    """Every request, by the command that makes it. See `docs/api.md` for the shapes."""

    def status(self, selector: str = "") -> Json:
        """One screen, of all or of those selected: {installation, version, now, observe, braked, brake: {since, due,
        per_hour, released, by, reason} | null, freezes: [freeze], counts: {managed, unmanaged, adopted, due, paused,
        open_runs, waiting, debts}, next: [{credential, due, why}], open: [run], waiting: [run], debts: [debt],
        unmanaged: [{credential, owner, values, open_run, command}], drifts: [heartbeat]}. heartbeat = {credential, at,
        next, finding, since, place, reason, says, do}. `freezes`: those in force."""
        ...

    def freezes(self) -> Json:
        """The freeze calendar: {items: [{id, reason, zone, in_force, until, begins, except, credentials}]}."""
        ...

    def release_brake(self, caller: Caller, *, reason: str) -> Json:
        """A person looked at the mass of due credentials: the rest of it may begin. {released: bool, due}."""
        ...

    def credentials(self, selection: Selection) -> Json:
        """{items: [{id, owner, purpose, workflows, tier, expires, policy, managed, adopted, due, why, open_run,
        current, debts}]}."""
        ...

    def explain(self, credential: str) -> Json:
        """Why it is due or not, what holds it, next time, the steps to come: {id, verdict, checks: [{code, says, ok}],
        due, held, display, progress: {holds, all}, steps: [{kind, says, gen, home, consumer}], generations: [{gen,
        label, homes: [{home, state, since, grade}], current, kept, doomed, fingerprint}], freeze: {id, reason, until} |
        null, question}."""
        ...

    def plan(self, selection: Selection, kind: str) -> Json:
        """A dry run with read-only probes: {items: [{credential, kind, digest, steps: [{n, leg, rung, kind, says}],
        exposure: [text], irreversible: [text], findings: [{code, says}], refused: {code, says} | null}]}."""
        ...

    def adopt(self, caller: Caller, ids: Sequence[str], *, source: str, reason: str) -> Json:
        """Open an adopt run for each. `source`: path of a 0600 file with a first value, or empty. {runs: [run]}."""
        ...

    def deposit(self, caller: Caller, endpoint: str, *, source: str, replace: bool, reason: str) -> Json:
        """Take an endpoint's admin value from a 0600 file into its store. {endpoint, store, path, field}."""
        ...

    def rotate(self, caller: Caller, selection: Selection, *, reason: str, ticket: str) -> Json:
        """Open rotate runs now. {campaign, runs: [run], refused: [{credential, code, says}]}."""
        ...

    def emergency(self, caller: Caller, selection: Selection, *, mode: str, reason: str, ticket: str) -> Json:
        """`mode`: overlap or contain. An open run of the credential is told to contain now. As `rotate`."""
        ...

    def retire(self, caller: Caller, workflow: str, *, apply: bool, reason: str, ticket: str) -> Json:
        """`apply` false: {workflow, retire: [credential], shared: [{credential, workflows}]}; true: as `rotate`."""
        ...

    def retire_selected(self, caller: Caller, selection: Selection, *, apply: bool, reason: str, ticket: str) -> Json:
        """The same for a selection, also of what is no longer configured; nothing is left as shared."""
        ...

    def certificate(self, campaign: str) -> Json:
        """{campaign, kind, workflow, opened, ended, complete, credentials: [{id, ending, values: [{gen, fingerprint,
        label, homes: [{home, state, proofs: [{at, refusal, grade, control}]}]}]}]}."""
        ...

    def verify(self, selection: Selection) -> Json:
        """Probe what serves, change nothing. {items: [{credential, ok, homes: [{home, answer, reason}]}]}."""
        ...

    def runs(self, *, credential: str, open_only: bool, limit: int) -> Json:
        """{items: [run]}; run = {id, credential, kind, actor, reason, campaign, opened, ended, ending, display,
        progress: {holds, all}, wake, held, debts: [debt],
        question: {topic, says, known, unknown, answers: [{answer, command}]} | null}."""
        ...

    def run(self, run: str) -> Json:
        """One run."""
        ...

    def events(self, run: str, after: int, wait: float) -> Json:
        """Journal rows after a sequence, waiting up to `wait` seconds for the first: {items: [{sequence, at, actor,
        event, says, display, observed}], ended, ending, exit}. `exit`: the exit code once ended or waiting."""
        ...

    def answer(self, caller: Caller, run: str, answer: str, *, about: Mapping[str, str], reason: str) -> Json:
        """A person's answer; `about`: gen, home, consumer, handle as far as the answer needs them. The run."""
        ...

    def back(self, caller: Caller, run: str, *, reason: str) -> Json:
        """Go back, at any moment before the first kill. The run."""
        ...

    def debts(self, credential: str) -> Json:
        """{items: [{credential, gen, home, state, since, label, handle, fingerprint}]}."""
        ...

    def explain_debts(self, credential: str) -> Json:
        """{credential, current: [number], open_run, reconcile, items: [{gen, home, state, since, label, handle, tried:
        [{at, run, says, reason}], waits: [text], needs, commands: [text]}], accepted: [{gen, home, until, by, run}]}.
        `reconcile`: when the next one opens by itself."""
        ...

    def accept_debt(self, caller: Caller, credential: str, *, gen: int, home: str, until: str, reason: str) -> Json:
        """A person takes the risk of a debt until a moment; then it is one again. The run that holds the record."""
        ...

    def strays(self) -> Json:
        """The last sweep of every endpoint: {items: [sweep]}; sweep = {endpoint, at, next, lists, blind: [{kind,
        reason}], counts: {ours, stray, unaccounted, foreign, unlabelled}, items: [{standing, why, says, do, kind,
        label, handle, principal, installation, credential, gen, run, held, held_says}]}. `items`: what is not simply
        ours. `at` null: never swept; `blind`: kinds that could not be listed to the end; `lists`: kinds that can be
        listed."""
        ...

    def sweep(self, caller: Caller, endpoint: str, *, apply: bool, reason: str) -> Json:
        """List the endpoint now. `apply` false: a sweep that opens and records nothing; true: strays come back into
        their credentials' facts, each by a run that ends and proves them."""
        ...

    def reconcile(self, selection: Selection) -> Json:
        """Compare with the world, change nothing. {observe, items: [{credential, verdict, says, current, shown,
        open_run, staged: [number], homes: [{home, answer, reason}], beyond: [{endpoint, principal, label, handle}],
        unread: [reason], commands: [text]}]}; verdict: match, endpoint_newer, store_newer, unknown."""
        ...

    def repair(self, caller: Caller, ids: Sequence[str], *, reason: str) -> Json:
        """Open a reconcile of each, also while observing; a run that a restored ledger has open is abandoned before it.
        {runs: [run], refused}."""
        ...

    def end_observing(self, caller: Caller, *, reason: str, unseen: bool) -> Json:
        """A restored ledger is worked again. {epoch, abandoned: [run id], unseen: [credential], unread: [store]}."""
        ...

    def backup(self, caller: Caller, path: str) -> Json:
        """A copy of the ledger while it works. {path, sequence}."""
        ...

    def pause(self, caller: Caller, selection: Selection, *, reason: str, until: str) -> Json: ...
    def resume(self, caller: Caller, selection: Selection, *, reason: str) -> Json: ...
    def reload(self, caller: Caller) -> Json:
        """Read the configuration anew, or keep the old one whole. {changed: bool, added, changed_ids, unmanaged}."""
        ...

    def notify(self) -> Json:
        """Who is told of what: {routes: [{route, events, only, channels}], channels: [{channel, type, waiting, dead,
        sent, failing, oldest}], unrouted}. `type` null: no longer configured."""
        ...

    def deliveries(self, *, channel: str, state: str, limit: int) -> Json:
        """Newest first: {items: [{channel, route, state, attempts, since, next, code, event, credential, message}]}.
        `state`: waiting, sent, dead, or empty for all."""
        ...

    def test_route(self, caller: Caller, route: str) -> Json:
        """Send a test by a route. {route, channels, message}; `deliveries` shows by `message` what becomes of it."""
        ...

    def resend(self, caller: Caller, channel: str) -> Json:
        """Everything that was laid aside as dead waits again. {channel, again}."""
        ...

    def plugins(self) -> Json:
        """{items: [{plugin, version, digest, endpoints, kinds: [{kind, title, traits}]}]}."""
        ...

    def attempt(self, endpoint: str) -> Json:
        """`plugins try`: the endpoint's reads against the real thing. {endpoint, steps: [{kind, ability, subject, ok,
        verdict, code, says, do, docs}]}; verdict: works, inconclusive, fails, missing, nothing."""
        ...

    def metrics(self) -> str:
        """Prometheus text."""
        ...

    def ready(self) -> tuple[bool, str]:
        """Whether work can be done, and the reason code if not."""
        ...
