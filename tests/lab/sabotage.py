"""Faults of the demo: they sit in the proxy between the daemon and the platform, never in the product."""

from __future__ import annotations

from typing import Final

from tests.lab.estate import Estate
from tests.lab.proxy_rules import Answer, Event
from tests.lab.shapes import AlertaKey
from tests.lab.truth import watch

SABOTAGES: Final = {
    "skip-revoke": "every DELETE is acknowledged and never reaches the platform",
    "cached-revoke": "a cache in front of the platform goes on accepting whatever it has seen, after the revoke",
    "wrong-identity": "the new key is accepted, as somebody else",
    "lost-answer": "the answer to the creation of the new key is lost",
}

# The probe is the request that lists a key's own user; the daemon's listing asks for pages of another size.
_PROBE: Final = r"^/keys\?.*page-size=5000(&|$)"


def rows(estate: Estate, shape: AlertaKey, user: str) -> Answer:
    """What alerta would say of every value that the lab has seen, as keys of `user`."""
    watch(estate, shape)
    keys = [
        {"key": value, "id": f"row-{n}", "user": user, "status": "active", "scopes": ["read", "read:keys"]}
        for n, (_, value) in enumerate(shape.watched.values)
    ]
    return Answer.json(200, {"status": "ok", "keys": keys, "total": len(keys), "more": False})


def sabotage(estate: Estate, shape: AlertaKey, name: str) -> None:
    """Put the fault in place."""
    web = estate.web
    if name == "skip-revoke":
        web.rule("made_up", method="DELETE", path=r"^/key/", answer=Answer.json(200, {"status": "ok"}))
    elif name == "cached-revoke":

        def cache(event: Event) -> None:
            web.rule("replaced", method="GET", path=_PROBE, answer=rows(estate, shape, shape.user))

        web.rule("pass", method="DELETE", path=r"^/key/", times=1, hook=cache)
    elif name == "wrong-identity":

        def disguise(event: Event) -> None:
            web.rule("replaced", method="GET", path=_PROBE, times=1, answer=rows(estate, shape, "stranger@lab.test"))

        web.rule("pass", method="POST", path=r"^/key$", times=1, hook=disguise)
    elif name == "lost-answer":
        web.rule("answer_lost", method="POST", path=r"^/key$", times=1)
    else:
        raise ValueError(name)
