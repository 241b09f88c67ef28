"""The longer screens: status, explain, plan, certificate. Used by `commands.looks`; paints what the API answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .screen import Screen, clean, when
from .telling import debts_table, question_facts


def status_page(screen: Screen, answer: Mapping[str, Any]) -> None:
    """One screen, the urgent first."""
    counts = answer["counts"]
    title = f"{clean(answer['installation'])}  rotator {clean(answer['version'])}  {when(answer['now'])}"
    screen.line(screen.style(title, "bold"))
    if answer.get("observe"):
        screen.line(f"{screen.sign('held')} {screen.style('observing only: nothing is changed', 'yellow')}")
    _holding(screen, answer)
    owes = screen.style(str(counts["debts"]), "yellow") if counts["debts"] else "0"
    waits = screen.style(str(counts["waiting"]), "yellow", "bold") if counts["waiting"] else "0"
    paused = f", {counts['paused']} paused" if counts.get("paused") else ""
    left = f", {counts['unmanaged']} left behind" if counts.get("unmanaged") else ""
    screen.line(
        f"  credentials  {counts['managed']} managed, {counts['adopted']} adopted, {counts['due']} due{paused}{left}"
    )
    screen.line(f"  runs         {counts['open_runs']} open, {waits} waiting for you")
    screen.line(f"  debts        {owes}")
    for run in answer.get("waiting") or ():
        screen.section(f"WAITING FOR YOU  {clean(run['credential'])}")
        screen.line(f"  {clean((run.get('question') or {}).get('says'))}")
        screen.facts(question_facts(run)[1:])
    moving = [run for run in answer.get("open") or () if not run.get("question")]
    if moving:
        screen.section("IN PROGRESS")
        rows = [
            [
                r["credential"],
                r["kind"],
                f"{r['progress']['holds']}/{r['progress']['all']}",
                r["display"],
                when(r["wake"]),
            ]
            for r in moving
        ]
        screen.table(["CREDENTIAL", "KIND", "RUNGS", "DOING", "NEXT"], rows, cut=3, indent="  ")
    if answer.get("next"):
        screen.section("NEXT")
        rows = [[one["credential"], when(one["due"]), str(one["why"]).replace("_", " ")] for one in answer["next"]]
        screen.table(["CREDENTIAL", "DUE", "WHY"], rows, indent="  ")
    if answer.get("debts"):
        screen.section("DEBTS")
        debts_table(screen, answer["debts"])
    if answer.get("drifts"):
        screen.section("DRIFT  changed since the last rotation; nothing is done by itself")
        rows = [
            [one["credential"], str(one["finding"]).replace("_", " "), one["place"], when(one["since"]), one["do"]]
            for one in answer["drifts"]
        ]
        screen.table(["CREDENTIAL", "FINDING", "AT", "SINCE", "DO"], rows, cut=4, indent="  ")
    if answer.get("unmanaged"):
        screen.section("LEFT BEHIND  no longer configured, and perhaps alive")
        rows = [[one["credential"], one["owner"], one["values"], one["command"]] for one in answer["unmanaged"]]
        screen.table(["CREDENTIAL", "OWNER", "VALUES", "TO END IT"], rows, cut=3, indent="  ")


def _holding(screen: Screen, answer: Mapping[str, Any]) -> None:
    """The brake, endpoints that are left alone, and the freezes in force."""
    brake = answer.get("brake") or {}
    if answer.get("braked"):
        pace = f"{brake.get('per_hour', 0)} an hour are begun" if brake.get("per_hour") else "none is begun"
        says = f"brake: too many fell due at once, {pace} (rotator brake release --reason TEXT)"
        screen.line(f"{screen.sign('held')} {screen.style(says, 'yellow')}")
    for one in answer.get("held") or ():
        name = f"{clean(one['sort'])} {clean(one['name'])}"
        says = f"{name} is left alone until {when(one['until'])}: {clean(one['says'])}"
        screen.line(f"{screen.sign('held')} {screen.style(says, 'yellow')}")
    for one in answer.get("freezes") or ():
        until = f"until {when(one['until'])}" if one["until"] else "without an end"
        says = f"frozen {until}: {clean(one['id'])}, {one['credentials']} credential(s), {clean(one['reason'])}"
        screen.line(f"{screen.sign('held')} {screen.style(says, 'yellow')}")


def _words(answer: Mapping[str, Any], name: str) -> str:
    code = str(answer.get(name) or "")
    return str(answer.get(f"{name}_says") or code.replace("_", " "))


def _heartbeat(beat: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """What was felt between rotations, and the next step where something drifted."""
    if not beat:
        return []
    what = str(beat["finding"]).replace("_", " ")
    where = f" at {beat['place']}" if beat["place"] else ""
    rows = [("heartbeat", f"{what}{where} ({when(beat['at'])}), next {when(beat['next'])}")]
    if beat["finding"] not in ("well", "unreachable"):
        rows += [("drift", str(beat["says"])), ("do", str(beat["do"]))]
    return rows


def explain_page(screen: Screen, answer: Mapping[str, Any]) -> None:
    """One credential."""
    screen.line(screen.style(f"{clean(answer['id'])}: {clean(_words(answer, 'verdict'))}", "bold"))
    rows = [("owner", str(answer.get("owner", ""))), ("purpose", str(answer.get("purpose", "")))]
    rows += [("workflows", ", ".join(answer.get("workflows") or ()) or "none")]
    rows += [("policy", f"{answer.get('policy', '')}, tier {answer.get('tier', '')}")]
    rows += [("due", when(answer.get("due")))]
    rows += [("last", f"{when(answer['last_success'])} rotated")] if answer.get("last_success") else []
    rows += [("expires", when(answer["expires"]))] if answer.get("expires") else []
    paused = answer.get("paused")
    if paused:
        until = f" until {when(paused['until'])}" if paused.get("until") else ""
        rows.append(("paused", f"by {paused['by']}{until}: {paused['reason']}"))
    freeze = answer.get("freeze")
    if freeze:
        until = f"until {when(freeze['until'])}" if freeze.get("until") else "without an end"
        rows.append(("frozen", f"{until} by {freeze['id']}: {freeze['reason']}"))
    rows += _heartbeat(answer.get("heartbeat"))
    if _words(answer, "held"):
        rows.append(("held", _words(answer, "held")))
    if answer.get("managed") and not answer.get("adopted") and not answer.get("open_run"):
        rows.append(("do", f"rotator adopt {answer['id']}"))
    screen.facts(rows)
    for check in answer.get("checks") or ():
        screen.line(f"  {screen.sign('done' if check.get('ok') else 'held')} {clean(check.get('says'))}")
    run = answer.get("run")
    if run:
        screen.section(f"RUN  {clean(run['kind'])}: {clean(run['display'])}")
        screen.facts(
            [("run", str(run["id"])), ("rungs", f"{run['progress']['holds']} of {run['progress']['all']} hold")]
        )
        if run.get("question"):
            screen.facts(question_facts(run)[2:])
    if answer.get("steps"):
        screen.section("STEPS TO COME")
        for number, step in enumerate(answer["steps"], 1):
            screen.line(f"  {number:>3}  {clean(step['says'])}")
    if answer.get("generations"):
        screen.section("VALUES")
        generations_table(screen, answer["generations"])


def generations_table(screen: Screen, generations: Sequence[Mapping[str, Any]]) -> None:
    """Every value: where it is and what is known of it."""
    rows = []
    for gen in generations:
        marks = [word for word in ("current", "kept", "doomed", "filler") if gen.get(word)]
        for home in gen.get("homes") or [{"home": "-", "state": "-"}]:
            rows.append(
                [
                    f"g{gen['gen']}",
                    home["home"],
                    home["state"],
                    " ".join(marks) or "-",
                    gen["label"] or "-",
                    gen["fingerprint"] or "-",
                ]
            )
    screen.table(["VALUE", "AT", "STATE", "IN STORE", "LABEL", "FINGERPRINT"], rows, indent="  ")


def plan_page(screen: Screen, plans: Sequence[Mapping[str, Any]]) -> None:
    """What would be done, what it costs, what cannot be undone."""
    for number, one in enumerate(plans):
        if number:
            screen.line()
        digest = f"  plan {clean(one['digest'])[:12]}" if one.get("digest") else ""
        screen.line(
            screen.style(f"{clean(one['credential'])}  {clean(one['kind'])}", "bold") + screen.style(digest, "dim")
        )
        if one.get("refused"):
            screen.line(
                f"  {screen.sign('refused')} refused: {clean(one['refused']['says'])} [{clean(one['refused']['code'])}]"
            )
            continue
        leg = ""
        for step in one.get("steps") or ():
            if step["leg"] != leg:
                leg = step["leg"]
                screen.line(f"  {screen.style(clean(leg).replace('_', ' '), 'cyan')}")
            screen.line(f"  {step['n']:>3}  {clean(step['says'])}")
        if not one.get("steps"):
            screen.line("  nothing to do")
        for title, sign, lines in (
            ("exposure", "failed", one.get("exposure")),
            ("cannot be undone", "held", one.get("irreversible")),
            ("found", "unknown", [f"{f['says']} [{f['code']}]" for f in one.get("findings") or ()]),
        ):
            for line in lines or ():
                screen.line(f"  {screen.sign(sign)} {title}: {clean(line)}")


def certificate_page(screen: Screen, answer: Mapping[str, Any]) -> None:
    """Every value and how it was proven dead."""
    whole = "complete" if answer.get("complete") else screen.style("NOT COMPLETE", "yellow")
    screen.line(f"{screen.style(clean(answer['kind']), 'bold')}  campaign {clean(answer['campaign'])}: {whole}")
    about = [("opened", when(answer["opened"])), ("ended", when(answer["ended"]))]
    about += [("workflow", str(answer["workflow"]))] if answer.get("workflow") else []
    about += [("by", str(answer["actor"]))] if answer.get("actor") else []
    about += [("reason", str(answer["reason"]))] if answer.get("reason") else []
    screen.facts(about)
    for credential in answer["credentials"]:
        screen.section(f"{clean(credential['id'])}: {clean(credential['ending'] or 'open').replace('_', ' ')}")
        rows = []
        for value in credential["values"]:
            for home in value["homes"]:
                proofs = home["proofs"]
                last = proofs[-1] if proofs else {}
                grade = last.get("grade")
                rows.append(
                    [
                        f"g{value['gen']}" + (" filler" if value.get("filler") else ""),
                        value["fingerprint"] or "-",
                        home["home"],
                        home["state"],
                        len(proofs) or "-",
                        grade if grade is not None else "-",
                        last.get("refusal") or "-",
                        last.get("control") or "-",
                        when(last.get("at")),
                    ]
                )
        head = ["VALUE", "FINGERPRINT", "AT", "STATE", "PROOFS", "GRADE", "REFUSED WITH", "CONTROL", "LAST"]
        screen.table(head, rows, cut=6, indent="  ")
