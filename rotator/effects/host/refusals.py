"""What the host says when it will not run a plugin, a pack or an endpoint: a code and words for a person.

Raised while a configuration is loaded, never during a call. The words never hold a secret: there is none at that time.
"""

from __future__ import annotations


class HostRefused(Exception):
    """The plugin, its pack or the endpoint's configuration cannot be used. `code` is a slug, `key` the place in the
    endpoint's `config`, if it is about one."""

    def __init__(self, code: str, words: str, *, key: str = "") -> None:
        super().__init__(f"{code}: {words}")
        self.code = code
        self.words = words
        self.key = key
