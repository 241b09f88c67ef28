"""The numbers of a kind's traits that an endpoint sets otherwise, as the plugin host takes them.

Called where a configuration meets its plugins: by `world` when it is opened, by `offline` when it is only judged.
"""

from __future__ import annotations

from rotator.settings.connections import Endpoint


def overrides_of(endpoint: Endpoint) -> dict[str, int]:
    """The numbers that an endpoint sets otherwise, in milliseconds."""
    traits, found = endpoint.traits, {}
    for name, value in (
        ("settle_ms", traits.settle), ("old_lives_ms", traits.old_lives), ("live", traits.live),
        ("derived_live_ms", traits.derived_live),
    ):  # fmt: skip
        if value is not None:
            found[name] = value
    if traits.probe_limit is not None:
        found |= {"probe_failures": traits.probe_limit.failures, "probe_per_ms": traits.probe_limit.per}
    return found
