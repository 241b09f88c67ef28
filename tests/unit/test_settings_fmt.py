"""The usual form, case by case: what moves, what stays, and what is left alone."""
# ruff: noqa: E501 - texts before and after, side by side

from __future__ import annotations

import pytest

from rotator.settings.fmt import NotFormatted, formatted
from rotator.settings.problems import ConfigurationRefused

CASES = {
    "keys come into the order of the reference, ids stay in theirs": (
        "policies:\n  b: {overlap: 1h, every: 9d}\n  a:\n    overlap: 1h\n    every: 9d\napiVersion: rotator/v1\n",
        "apiVersion: rotator/v1\npolicies:\n  b: {every: 9d, overlap: 1h}\n  a:\n    every: 9d\n    overlap: 1h\n",
    ),
    "comments move with the key above which or behind which they stand": (
        "apiVersion: rotator/v1\npolicies:\n  a:\n    # of the overlap\n    overlap: 1h   # behind it\n\n    every: 9d # e\n",
        "apiVersion: rotator/v1\npolicies:\n  a:\n    every: 9d # e\n    # of the overlap\n    overlap: 1h   # behind it\n",
    ),
    "the head of the file stays the head": (
        "# modeline\n# about the file\n\n# of policies\npolicies: {}\napiVersion: rotator/v1\n",
        "# modeline\n# about the file\n\napiVersion: rotator/v1\n# of policies\npolicies: {}\n",
    ),
    "empty lines of the head are one": ("\n\n# head\n\n\n\napiVersion: rotator/v1\n", "# head\n\napiVersion: rotator/v1\n"),
    "empty lines at the beginning go": ("\n\napiVersion: rotator/v1\n", "apiVersion: rotator/v1\n"),
    "a head without an empty line stays too": (
        "# modeline\npolicies: {}\napiVersion: rotator/v1\n",
        "# modeline\napiVersion: rotator/v1\npolicies: {}\n",
    ),
    "indentation becomes two spaces, lists are indented, spaces at ends go": (
        "apiVersion: rotator/v1  \ncredentials:\n    a:\n        consumers:\n        -   path: x\n            endpoint: e\n\n\n\n        tier: T2\n",
        "apiVersion: rotator/v1\ncredentials:\n  a:\n    tier: T2\n    consumers:\n      - endpoint: e\n        path: x\n",
    ),
    "a comment below a block stays in it, one further left goes on": (
        "policies:\n  a:\n    every: 9d\n    # in a\n  # above b\n  b: {}\n# above the next\napiVersion: rotator/v1\n# the end\n",
        "# above the next\napiVersion: rotator/v1\npolicies:\n  a:\n    every: 9d\n    # in a\n  # above b\n  b: {}\n# the end\n",
    ),
    "what looks like a comment inside a text is none": (
        'apiVersion: rotator/v1\ncredentials:\n   a:\n      purpose: |\n         one\n         # two\n\n         three\n      owner: "a # b"\n',
        'apiVersion: rotator/v1\ncredentials:\n  a:\n    owner: "a # b"\n    purpose: |\n       one\n       # two\n\n       three\n',
    ),
    "names that are not ours keep their order": (
        "apiVersion: rotator/v1\nendpoints: {a: {config: {z: 1, a: 2}, plugin: p}}\n",
        "apiVersion: rotator/v1\nendpoints: {a: {plugin: p, config: {z: 1, a: 2}}}\n",
    ),
    "braces over several lines stay as they are": (
        "apiVersion: rotator/v1\npolicies:\n    a: {overlap: 1h, # c\n        every: 9d}\n",
        "apiVersion: rotator/v1\npolicies:\n  a: {overlap: 1h, # c\n      every: 9d}\n",
    ),
    "with anchors no key moves": (
        "policies:\n   a: &a {overlap: 1h, every: 9d}\n   b: *a\napiVersion: rotator/v1\n",
        "policies:\n  a: &a {overlap: 1h, every: 9d}\n  b: *a\napiVersion: rotator/v1\n",
    ),
    "line ends become plain": ("apiVersion: rotator/v1\r\npolicies: {}\r\n", "apiVersion: rotator/v1\npolicies: {}\n"),
    "the end of the file is one line end": ("apiVersion: rotator/v1\n\n\n", "apiVersion: rotator/v1\n"),
    "keys that nobody knows stay behind": (
        "apiVersion: rotator/v1\npolicies:\n  a: {zzz: 1, overlap: 1h, aaa: 2, every: 9d}\n",
        "apiVersion: rotator/v1\npolicies:\n  a: {every: 9d, overlap: 1h, zzz: 1, aaa: 2}\n",
    ),
    "an item whose first key moves keeps its comments": (
        "apiVersion: rotator/v1\ncredentials:\n  a:\n    consumers:\n      # item\n      - path: x\n        # kind\n        kind: k\n",
        "apiVersion: rotator/v1\ncredentials:\n  a:\n    consumers:\n      # item\n      # kind\n      - kind: k\n        path: x\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_usual_form(name):
    before, after = CASES[name]
    assert formatted("x.yaml", before) == after
    assert formatted("x.yaml", after) == after


@pytest.mark.parametrize("text", ["a: [", "", "- a\n", "a: 1\na: 2\n", "\ta: 1\n"])
def test_what_is_no_yaml_of_ours_is_refused(text):
    with pytest.raises(ConfigurationRefused):
        formatted("x.yaml", text)


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: rotator/v1\rpolicies: {}\n",
        "apiVersion: 'rotator\x85/v1'\n",
        "policies: {}\napiVersion: rotator/v1\n...\n# after the end\n",
    ],
)
def test_what_cannot_be_kept_is_left_alone(text):
    with pytest.raises((NotFormatted, ConfigurationRefused)):
        formatted("x.yaml", text)
