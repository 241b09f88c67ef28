"""Runs, endings, questions and debts as people read them. Used by `waiting` and `commands`; paints, asks nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from . import exits
from .painting import ENDING_STYLES, Watched
from .screen import Screen, clean, when

STANDS: Final = {
    exits.OK: "succeeded",
    exits.FAILED_SAFE: "FAILED SAFE: the old value works, nothing new is alive",
    exits.UNCERTAIN: "UNCERTAIN: a person is needed",
    exits.CONTAINED: "CONTAINED: the old value is proven dead, no value works yet",
    exits.OWING: "SUCCEEDED OWING: the new value serves, an old one is not yet proven dead",
}


def paint_endings(screen: Screen, runs: Sequence[Watched], refused: Sequence[Mapping[str, Any]], *, wait: bool) -> None:
    """The table after a wait, or of what was opened."""
    rows = [
        [
            run.credential,
            run.kind,
            run.result if run.exit is None or not wait else STANDS.get(run.exit, run.result),
            run.id,
        ]
        for run in runs
    ]
    rows += [
        [one.get("credential", ""), "-", f"REFUSED: {one.get('says', '')} [{one.get('code', '')}]", one.get("run", "")]
        for one in refused
    ]
    if rows:
        styles = [ENDING_STYLES.get(run.exit, "red") if wait and run.exit is not None else "" for run in runs]
        styles += ["red" for _ in refused]
        screen.table(["CREDENTIAL", "KIND", "ENDED" if wait else "STATE", "RUN"], rows, styles=styles)
    else:
        screen.line("nothing to do")
    owed = [debt for run in runs if run.exit == exits.OWING for debt in run.view.get("debts") or ()]
    if owed:
        screen.section("OWED")
        debts_table(screen, owed)


def debts_table(screen: Screen, debts: Sequence[Mapping[str, Any]]) -> None:
    """Values not proven dead."""
    rows = [
        [
            d["credential"],
            f"g{d['gen']}",
            d["home"],
            d["state"],
            when(d["since"]),
            d["label"] or "-",
            d["fingerprint"] or "-",
        ]
        for d in debts
    ]
    screen.table(["CREDENTIAL", "VALUE", "AT", "STATE", "SINCE", "LABEL", "FINGERPRINT"], rows, cut=2)


def as_lines(given: object) -> list[str]:
    """A text or a list of texts, as a list."""
    if given is None or given == "":
        return []
    return [str(one) for one in given] if isinstance(given, list | tuple) else [str(given)]


def question_facts(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is known, what is not, and the exact commands that settle it."""
    question: Mapping[str, Any] = run.get("question") or {}
    rows = [("credential", str(run.get("credential", ""))), ("run", str(run.get("id", "")))]
    if question.get("step"):
        rows.append(("step", str(question["step"])))
    if question.get("detail_says") or question.get("detail"):
        rows.append(("because", str(question.get("detail_says") or question.get("detail"))))
    rows += _labelled("known", as_lines(question.get("known"))) + _labelled(
        "not known", as_lines(question.get("unknown"))
    )
    answers = list(question.get("answers") or ())
    commands = [str(one.get("command", "")) for one in answers]
    rows += _labelled("do one of" if len(commands) > 1 else "do", commands)
    return rows


def _labelled(label: str, lines: Sequence[str]) -> list[tuple[str, str]]:
    return [(label if number == 0 else "", line) for number, line in enumerate(lines)]


def tell_question(screen: Screen, run: Mapping[str, Any]) -> None:
    """A run that waits for a person, or that a person abandoned."""
    question = run.get("question")
    if not question:
        says = clean(run.get("display")) or "it ended with something not known"
        screen.headline("uncertain", f"{clean(run.get('credential'))}: {says}", "ROT-UNCERTAIN", "yellow")
        screen.facts(
            [
                ("run", str(run.get("id", ""))),
                ("do", f"rotator explain {run.get('credential', '')}"),
                ("", "rotator debts"),
            ]
        )
        return
    code = "ROT-ASK-" + clean(question.get("topic")).upper().replace("_", "-")
    screen.headline("uncertain", f"{clean(run.get('credential'))}: {clean(question.get('says'))}", code, "yellow")
    screen.facts([*question_facts(run), ("more", f"docs/runbook.md#{code.lower()}")])


def runs_table(screen: Screen, runs: Sequence[Mapping[str, Any]]) -> None:
    """One line a run."""
    rows = [
        [
            one["credential"],
            one["kind"],
            str(one.get("ending") or one.get("display") or "").replace("_", " "),
            "-" if one.get("ended") else f"{one['progress']['holds']}/{one['progress']['all']}",
            when(one["opened"]),
            when(one.get("ended")),
            one["id"],
        ]
        for one in runs
    ]
    screen.table(["CREDENTIAL", "KIND", "STATE", "RUNGS", "OPENED", "ENDED", "RUN"], rows, cut=2)


def run_page(screen: Screen, run: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> None:
    """One run, its question, its debts, its journal."""
    state = str(run.get("ending") or run.get("display") or "").replace("_", " ")
    screen.line(screen.style(f"{clean(run['credential'])}  {clean(run['kind'])}: {clean(state)}", "bold"))
    progress = run["progress"]
    rows = [("run", str(run["id"])), ("opened", f"{when(run['opened'])} by {run['actor']}")]
    rows += [("reason", str(run["reason"]))] if run.get("reason") else []
    rows += [("campaign", str(run["campaign"]))] if run.get("campaign") else []
    if run.get("ended"):
        rows.append(("ended", when(run["ended"])))
    else:
        rows.append(("rungs", f"{progress['holds']} of {progress['all']} hold"))
        rows += [("held", str(run["held"]).replace("_", " "))] if run.get("held") else []
        rows += [("next", when(run["wake"]))] if run.get("wake") else []
    screen.facts(rows)
    if run.get("question"):
        screen.section("WAITING FOR YOU")
        screen.line(f"  {clean(run['question'].get('says'))}")
        screen.facts(question_facts(run)[2:])
    if run.get("debts"):
        screen.section("DEBTS")
        debts_table(screen, run["debts"])
    if events:
        screen.section("JOURNAL")
        for item in events:
            seen = item.get("observed") or {}
            extra = "".join(
                f"  {name} {clean(seen[name])}"
                for name in ("refusal", "grade", "control", "identity")
                if seen.get(name)
            )
            who = f"  by {clean(item['actor'])}" if item.get("actor") else ""
            screen.line(f"  {clean(item['at'])[:19].replace('T', ' ')}Z  {clean(item['says'])}{extra}{who}")
