"""However a configuration is written down, its usual form says the same, keeps every comment and stays."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from rotator.settings.documents import parse_document
from rotator.settings.fmt import NotFormatted, formatted
from rotator.settings.models import Configuration
from rotator.settings.problems import ConfigurationRefused
from rotator.settings.shapes import expected_at, is_model, keys_of

EXAMPLE = Path(__file__).parents[2] / "config" / "rotator.example.yaml"
DATA: dict[str, Any] = dict(parse_document("x", EXAMPLE.read_text()).data)
COMMENTS = ["# plain", "#tight", "# with: colon", "# - dash", "# {brace", "# 'quote", '# "two" quotes', "# trailing  "]


class Writer:
    """One of the many ways to write the same data."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.comments: Counter[str] = Counter()

    def some(self, chance: int = 4) -> bool:
        return self.chance.randint(0, chance) == 0

    def remark(self, before: str) -> str:
        if not self.some():
            return ""
        text = self.chance.choice(COMMENTS)
        self.comments[text.rstrip()] += 1
        return before + text

    def above(self, pad: str) -> list[str]:
        lines = []
        while self.some():
            lines.append("" if self.some(1) else self.remark(pad))
        return lines

    def scalar(self, value: Any) -> str:
        if isinstance(value, str):
            style = self.chance.choice(["double", "single", "plain"])
            if style == "single" and "'" not in value:
                return f"'{value}'"
            if style == "plain" and parse_document("x", f"a: {value}\n").data.get("a") == value:
                return value
        return json.dumps(value)

    def flow(self, value: Any) -> str:
        gap = self.chance.choice(["", " ", "  "])
        if isinstance(value, dict):
            inner = f",{gap or ' '}".join(f"{self.key(key)}: {self.flow(one)}" for key, one in self.shuffled(value))
            return f"{{{gap}{inner}{gap}}}"
        if isinstance(value, list):
            return f"[{gap}{f',{gap}'.join(self.flow(one) for one in value)}{gap}]"
        text = self.scalar(value)
        return text if text[0] in "\"'" or not isinstance(value, str) else json.dumps(value)

    def key(self, key: str) -> str:
        return key if self.some(1) else f'"{key}"'

    def shuffled(self, value: dict[str, Any]) -> list[tuple[str, Any]]:
        return self.chance.sample(list(value.items()), len(value))

    def mapping(self, value: dict[str, Any], column: int) -> list[str]:
        pad, lines = " " * column, []
        for key, one in self.shuffled(value):
            lines += self.above(pad)
            name = f"{pad}{self.key(key)}:"
            if isinstance(one, dict | list) and one and not self.some(2):
                lines.append(name + self.remark(" "))
                deeper = column + self.chance.randint(0 if isinstance(one, list) else 1, 5)
                lines += self.mapping(one, deeper) if isinstance(one, dict) else self.sequence(one, deeper)
            elif isinstance(one, dict | list):
                lines.append(f"{name} {self.flow(one)}{self.remark(' ')}")
            elif isinstance(one, str) and self.some(6):
                lines += self.folded(name, one, column)
            else:
                lines.append(f"{name}{' ' * self.chance.randint(1, 3)}{self.scalar(one)}{self.remark('  ')}")
        return lines

    def folded(self, name: str, value: str, column: int) -> list[str]:
        deeper = " " * (column + self.chance.randint(1, 4))
        return [f"{name} >-", *(deeper + line for line in value.split("\n"))]

    def sequence(self, value: list[Any], column: int) -> list[str]:
        pad, lines = " " * column, []
        for one in value:
            lines += self.above(pad)
            if isinstance(one, dict) and not self.some(2):
                inner = self.mapping(one, column + self.chance.randint(2, 5))
                first = next((n for n, line in enumerate(inner) if line.strip() and line.strip()[0] != "#"))
                lines += [f"{pad}{line.strip()}" if line else "" for line in inner[:first]]
                body = inner[first].lstrip()
                lines.append(f"{pad}-{' ' * (len(inner[first]) - len(body) - column - 1)}{body}")
                lines += inner[first + 1 :]
            else:
                lines.append(f"{pad}- {self.flow(one)}{self.remark(' ')}")
        return lines


def written(seed: int) -> tuple[str, Counter[str]]:
    writer = Writer(seed)
    lines = [*writer.above(""), *writer.mapping(DATA, 0), *writer.above("")]
    end = writer.chance.choice(["\n", "\r\n"])
    return end.join(lines) + writer.chance.choice(["", end, end * 3]), writer.comments


def orders(data: Any, path: tuple[str | int, ...] = ()) -> list[str]:
    """Mappings of ours whose keys are not in the order of the reference."""
    found: list[str] = []
    if isinstance(data, dict):
        expected = expected_at(path, DATA)[1] if path else Configuration
        if is_model(expected):
            known = [key for key in keys_of(expected) if key in data]
            if list(data) != known:
                found.append(f"{path}: {list(data)}")
        for key, one in data.items():
            found += orders(one, (*path, key))
    elif isinstance(data, list):
        for number, one in enumerate(data):
            found += orders(one, (*path, number))
    return found


@settings(max_examples=60, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(st.integers(0, 2**32))
def test_any_way_to_write_it_comes_into_the_same_form(seed):
    text, comments = written(seed)
    assert parse_document("x", text).data == DATA
    made = formatted("x", text)
    again = parse_document("x", made)
    assert again.data == DATA
    assert orders(again.data) == []
    assert formatted("x", made) == made
    left = [line for line in made.splitlines() if "#" in line]
    assert sum(comments.values()) == len(left)
    for line in left:
        assert any(line.rstrip().endswith(one) for one in comments)
    assert all(line == line.rstrip() for line in made.splitlines())
    assert "\n\n\n" not in made
    assert made.endswith("\n")
    assert not made.endswith("\n\n")


LINES = [*EXAMPLE.read_text().splitlines(), "  - x", "? a", "a: |", "   x", "", "&a b: *a", "'"]


@settings(max_examples=200, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(st.lists(st.sampled_from(LINES)))
def test_any_text_is_formatted_to_the_same_data_or_left_alone(lines):
    text = "\n".join(lines)
    try:
        made = formatted("x", text)
    except (ConfigurationRefused, NotFormatted):
        return
    assert parse_document("x", made).data == parse_document("x", text).data
    assert formatted("x", made) == made
