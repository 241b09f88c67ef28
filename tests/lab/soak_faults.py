"""The kinds of faults that the soak puts between the daemon and its servers. Each strikes one rotation."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.lab.estate import Estate
from tests.lab.proxy_rules import Answer, Rule
from tests.lab.shapes import AlertaKey, Roles, Shape

KEY, KEYS, DATA = r"^/key(/|$)", r"^/keys", r"/v1/secret/data/"
ALTER = rb"(?i)alter role"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: on which proxy, for which shapes, with what rule."""

    proxy: str
    rule: Callable[[random.Random], dict[str, Any]]

    def fits(self, shape: Shape) -> bool:
        """Whether the shape's rotations pass by that proxy."""
        if self.proxy == "bao":
            return True
        return isinstance(shape, AlertaKey if self.proxy == "web" else Roles)


def _one(fault: str, **more: Any) -> Callable[[random.Random], dict[str, Any]]:
    return lambda rng: {"fault": fault, "times": 1, "skip": rng.randrange(3)} | more


FAULTS: Final[dict[str, Kind]] = {
    # the platform that takes keys
    "create: answer lost": Kind("web", _one("answer_lost", method="POST", path=KEY, skip=0)),
    "create: request lost": Kind("web", _one("request_lost", method="POST", path=KEY, skip=0)),
    "create: half an answer": Kind("web", _one("half_answer", method="POST", path=KEY, skip=0)),
    "create: late": Kind("web", _one("request_late", method="POST", path=KEY, skip=0, seconds=2.1)),
    "create: answer late": Kind("web", _one("answer_late", method="POST", path=KEY, skip=0, seconds=1.5)),
    "create: 503 after the write": Kind("web", _one("replaced", method="POST", path=KEY, skip=0, answer=Answer(503))),
    "create: 429": Kind("web", _one("made_up", method="POST", path=KEY, skip=0, answer=Answer.too_many(1))),
    "create: refused, though done": Kind(
        "web", _one("replaced", method="POST", path=KEY, skip=0, answer=Answer.json(400, {"message": "no"}))
    ),
    "create: made up": Kind(
        "web", _one("made_up", method="POST", path=KEY, skip=0, answer=Answer.json(201, {"data": {"id": "none"}}))
    ),
    "revoke: answer lost": Kind("web", _one("answer_lost", method="DELETE", path=KEY, skip=0)),
    "revoke: made up": Kind("web", _one("made_up", method="DELETE", path=KEY, skip=0, answer=Answer.json(200, {}))),
    "revoke: never done": Kind(
        "web",
        lambda rng: {"fault": "made_up", "method": "DELETE", "path": KEY, "answer": Answer.json(200, {"status": "ok"})},
    ),
    "platform: reset": Kind("web", _one("reset")),
    "platform: hang": Kind("web", _one("hang")),
    "platform: delay": Kind("web", _one("delay", seconds=1.0)),
    "platform: redirect": Kind(
        "web", _one("made_up", path=KEYS, answer=Answer.redirect("http://127.0.0.1:9/elsewhere"))
    ),
    "platform: a page of HTML": Kind("web", _one("made_up", path=KEYS, answer=Answer(200, {}, b"<html>login</html>"))),
    # the database
    "alter: answer lost": Kind("database", _one("answer_lost", content=ALTER, skip=0)),
    "alter: request lost": Kind("database", _one("request_lost", content=ALTER, skip=0)),
    "alter: late": Kind("database", _one("request_late", content=ALTER, skip=0, seconds=2.1)),
    "alter: answer late": Kind("database", _one("answer_late", content=ALTER, skip=0, seconds=1.5)),
    "alter: half an answer": Kind("database", _one("half_answer", content=ALTER, skip=0)),
    "database: reset": Kind("database", _one("reset")),
    "database: hang": Kind("database", _one("hang")),
    "database: delay": Kind("database", _one("delay", seconds=1.0)),
    # the store
    "store: answer lost": Kind("bao", _one("answer_lost", method="POST", path=DATA)),
    "store: request lost": Kind("bao", _one("request_lost", method="POST", path=DATA)),
    "store: late": Kind("bao", _one("request_late", method="POST", path=DATA, seconds=2.1)),
    "store: answer late": Kind("bao", _one("answer_late", method="POST", path=DATA, seconds=1.5)),
    "store: delay": Kind("bao", _one("delay", seconds=0.7)),
    "store: 503 after the write": Kind("bao", _one("replaced", method="POST", path=DATA, answer=Answer(503))),
    "store: half an answer": Kind("bao", _one("half_answer", path=DATA)),
    "store: sealed": Kind(
        "bao",
        lambda rng: {
            "fault": "made_up",
            "for_seconds": 0.7,
            "answer": Answer.json(503, {"errors": ["Vault is sealed"]}),
        },
    ),
    "store: 429": Kind("bao", _one("made_up", answer=Answer.too_many(1))),
    "store: reset": Kind("bao", _one("reset")),
}


def meeting(shape: Shape) -> list[str]:
    """The names of all faults that a shape's rotations can meet: its platform's and the store's."""
    return [name for name, kind in FAULTS.items() if kind.fits(shape)] + sorted(shape.faults)


def strike(estate: Estate, shape: Shape, name: str, rng: random.Random) -> Rule:
    """Put the fault in place for the next rotation."""
    if name in shape.faults:
        return shape.between(estate).rule(**{"times": 1, **shape.faults[name]})
    kind = FAULTS[name]
    proxy = {"web": estate.web, "database": estate.database, "bao": estate.bao}[kind.proxy]
    return proxy.rule(**kind.rule(rng))
