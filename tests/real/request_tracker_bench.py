"""A bench over the request-tracker pack: a user of the test's own on the real server, behind a fault proxy.

Called by `test_request_tracker*`.
"""

from __future__ import annotations

import secrets
from typing import Final

from rotator_http import load_pack

from rotator.plugin_api import Rejected, Subject
from tests.conformance.bench import Bench
from tests.lab.proxy import Proxy
from tests.lab.request_tracker import ADMIN, RequestTracker
from tests.lab.shapes_request_tracker import WHO, WRITE

DEAD: Final = Rejected(reason="password_refused")


def make_bench(tracker: RequestTracker, proxy: Proxy, *, create: bool = True) -> Bench:
    """A bench with a new user, acting as the administrator who has the one right that is needed."""
    user = f"svc-{secrets.token_hex(4)}"
    if create:
        tracker.create_user(user)
    return Bench(
        plugin=load_pack("request-tracker"),
        kind="password",
        proxy=proxy,
        admin=ADMIN,
        admin_value=tracker.admin_password,
        subject=Subject(principal=user),
        scopes=frozenset(),
        write=WRITE,
        probe_path=WHO,
        refusal="password_refused",
        accepts=lambda value: tracker.accepts(user, value),
        stored=lambda: [],
    )
