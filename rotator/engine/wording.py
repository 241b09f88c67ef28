"""Steps, events and answers in words, for people. Pure; references and reason codes only, never a value."""

from __future__ import annotations

from rotator.machine.events import (
    Accepted,
    Answered,
    AnswerKind,
    Asked,
    Event,
    Finished,
    Intended,
    Opened,
    Outcome,
    Turned,
)
from rotator.machine.facts import FOREIGN
from rotator.machine.ids import ConsumerId, Gen, Handle, Home
from rotator.machine.steps import Answer, CurrentIs, Listed, OutcomeKind, Probed, Step, StepKind

from .views import instant

_DOES: dict[StepKind, str] = {
    StepKind.READ_CURRENT: "read what the store shows its readers",
    StepKind.CHECK_STAGE: "look whether g{gen} is staged",
    StepKind.STAGE: "make g{gen} and stage it in the store",
    StepKind.SNAPSHOT: "list what lives at {home}",
    StepKind.INSTALL: "install g{gen} at {home}",
    StepKind.ISSUE: "ask {home} to issue g{gen}, and stage it",
    StepKind.VERIFY: "verify g{gen} by using it at {home}",
    StepKind.PROMOTE: "make g{gen} what the store's readers see",
    StepKind.PUSH: "push g{gen} to {consumer}",
    StepKind.FIND: "find the handle of g{gen} at {home}",
    StepKind.REVOKE: "revoke g{gen} at {home}",
    StepKind.NEUTRALISE: "neutralise {home} with a value that nobody keeps",
    StepKind.PROVE: "prove g{gen} dead at {home}, by trying it beside a control",
    StepKind.SWEEP: "end what was derived from g{gen} at {home}",
    StepKind.UNPUSH: "empty {consumer}",
    StepKind.LIST: "list our labels at {home} once more",
    StepKind.DESTROY: "destroy g{gen} in the store",
}

_NOT_DONE: dict[OutcomeKind, str] = {
    OutcomeKind.REFUSED: "refused",
    OutcomeKind.FAILED: "failed, tried again later",
    OutcomeKind.UNSENT: "not sent, tried again later",
    OutcomeKind.UNKNOWN: "unknown: it may have been done, we look",
    OutcomeKind.MISCONFIGURED: "needs a person",
}

_ANSWERED: dict[AnswerKind, str] = {
    AnswerKind.RETRY: "try again",
    AnswerKind.GO_BACK: "go back to the old value",
    AnswerKind.GO_ON: "go on to the new value",
    AnswerKind.ACCEPT: "accept that g{gen} may live at {home}",
    AnswerKind.SKIP: "skip {consumer} for this value",
    AnswerKind.NAME: "{handle} is ours at {home}",
    AnswerKind.GIVE_UP: "give up: nothing shall work",
    AnswerKind.ABANDON: "end here, with things as they are",
    AnswerKind.CONTAIN_NOW: "contain now: kill everything but a new value",
    AnswerKind.OVERWRITE: "put our value back over the foreign one",
    AnswerKind.TAKE: "adopt the foreign value as a new generation",
}


def step_in_words(step: Step) -> str:
    """What the step does."""
    if step.kind is StepKind.STAGE and step.from_current:
        return f"stage g{step.gen}: keep what the store shows now"
    text = _DOES[step.kind]
    if step.gen is None:
        text = text.replace("g{gen}", "a new value")
    return text.format(gen=step.gen, home=step.home, consumer=step.consumer)


def answer_in_words(answer: Answered) -> str:
    """What a person's answer means."""
    return _ANSWERED[answer.kind].format(
        gen=answer.gen, home=answer.home, consumer=answer.consumer, handle=answer.handle
    )


def event_in_words(event: Event) -> str:
    """One journal row."""
    match event:
        case Accepted(gen=gen, home=home, until=until):
            return f"accepted until {instant(until)}: g{gen} may live at {home}"
        case Opened(kind=kind):
            return f"{kind.value} opened"
        case Intended(step=step):
            return f"going to {step_in_words(step)}"
        case Outcome():
            return _outcome(event)
        case Turned(legs=legs, why=why):
            return f"now {legs[0].value.replace('_', ' ')} ({why})"
        case Asked(question=question):
            return f"a person is asked: {question.topic.value.replace('_', ' ')}"
        case Finished(ending=ending):
            return f"ended: {ending.value.replace('_', ' ')}"
        case Answered():
            return f"answered: {answer_in_words(event)}"


def _outcome(event: Outcome) -> str:
    does = step_in_words(event.step)
    if event.kind is not OutcomeKind.DONE:
        return f"{does}: {_NOT_DONE[event.kind]}" + (f" ({event.reason})" if event.reason else "")
    match event.found:
        case Probed(answer=Answer.REJECTED, grade=grade):
            with_grade = f", grade {int(grade)}" if grade is not None else ""
            return f"{does}: refused by the platform ({event.reason}{with_grade})"
        case Probed(answer=answer):
            return f"{does}: {answer.value}" + (f" ({event.reason})" if event.reason else "")
        case CurrentIs(gen=gen, foreign=foreign):
            what = "somebody else's value" if foreign or gen == FOREIGN else "nothing" if gen is None else f"g{gen}"
            return f"{does}: {what}"
        case Listed(rows=rows):
            return f"{does}: {len(rows)} found"
        case _:
            return f"{does}: done"


def shown(answer: Answered) -> dict[str, str]:
    """What an answer names, as a person writes it."""
    parts: dict[str, Gen | Home | ConsumerId | Handle | None] = {
        "gen": answer.gen, "home": answer.home, "consumer": answer.consumer, "handle": answer.handle,
    }  # fmt: skip
    return {name: str(part) for name, part in parts.items() if part is not None}
