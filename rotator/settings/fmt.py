"""The usual form of a file: keys in the order of the reference, two spaces of indentation, no loose ends.

Called by `rotator config fmt`. Works on the lines of the file, guided by the node tree, so that every comment stays
with the key above which, or behind which, it stands; ids keep the order in which they were written. What comes out is
read again and must hold the same data and the same comments: else the file is left as it is. Must never lose a
character of a value or of a comment.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from .documents import Document, parse_document
from .form_nodes import Entry, Item, Tree, flow_text, is_block, is_sorted_by
from .problems import ConfigurationRefused

_TRIVIA = re.compile(r"\s*(#.*)?")


class NotFormatted(Exception):
    """This file is left as it is, and why."""


def formatted(name: str, text: str) -> str:
    """The text in its usual form. ConfigurationRefused: it is no YAML of ours. NotFormatted: it cannot be done without
    touching more than the form."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    before = parse_document(name, text)
    if before.root is None or before.problems:
        raise ConfigurationRefused(before.problems)
    if re.search("[\r\x85\u2028\u2029]", text):
        raise NotFormatted("it has a line end that is none everywhere")
    made = _once(before, text)
    again = parse_document(name, made)
    if again.data != before.data or _comments(again, made) != _comments(before, text):
        raise NotFormatted("what came out would not have said the same")
    if _once(again, made) != made:
        raise NotFormatted("its form would not stay")
    return made


def _once(document: Document, text: str) -> str:
    lines = text.rstrip("\n").split("\n")
    tree = Tree.of(document, lines)
    work = _Lines(lines, tree)
    assert document.root is not None
    first = document.root.start_mark.line
    head, lead = work.head(first)
    body = work.mapping(Item(document.root, ()), 0, first, len(lines), lead)
    return "\n".join([*head, *body]).rstrip("\n") + "\n"


def _comments(document: Document, text: str) -> Counter[str]:
    """Every comment of a file, wherever it stands."""
    lines = text.split("\n")
    held = Tree.of(document, lines).scalar_columns()
    found: Counter[str] = Counter()
    for number, line in enumerate(lines):
        for one in re.finditer(r"(?:^|(?<=\s))#", line):
            if not any(start <= one.start() < end for start, end in held.get(number, ())):
                found[line[one.start() :].rstrip()] += 1
                break
    return found


@dataclass(slots=True)
class _Lines:
    """The lines of one file and what is known of them. Every method gives the lines of its part in their new form."""

    lines: list[str]
    tree: Tree

    def head(self, first: int) -> tuple[list[str], list[str]]:
        """What stands before the first key: the file's own head, and the comment that belongs to that key."""
        above = [line.rstrip() for line in self.lines[:first]]
        cut = max((number for number, line in enumerate(above) if not line), default=-1)
        if cut < 0:
            return above, []
        head = _collapsed([*above[:cut], ""], leading=False)
        return head, above[cut + 1 :]

    def mapping(self, item: Item, indent: int, begin: int, end: int, lead: list[str]) -> list[str]:
        """A block mapping that stands in the lines `begin` to `end` (not included)."""
        entries, tail = self._entries(item, begin, end, lead)
        if not self.tree.anchored:
            order = is_sorted_by(item, self.tree.data)
            entries.sort(key=lambda one: order(one.name))
        made: list[str] = []
        for number, entry in enumerate(entries):
            made += _comment_block(entry.lead, indent, first=number == 0)
            made += self._entry(entry, item, indent)
        return [*made, *_comment_block(tail, indent, first=False)]

    def _entries(self, item: Item, begin: int, end: int, lead: list[str]) -> tuple[list[Entry], list[str]]:
        """The keys with their lines and the comments above them; and the comments below the last one."""
        pairs = item.pairs()
        column = pairs[0][0].start_mark.column
        starts = [begin, *(key.start_mark.line for key, _ in pairs[1:])]
        entries: list[Entry] = []
        for number, (key, value) in enumerate(pairs):
            stop = starts[number + 1] if number + 1 < len(pairs) else end
            cut = self._cut(starts[number], stop, column)
            entries.append(Entry(str(key.value), key, value, starts[number], cut, lead))
            lead = [line.strip() for line in self.lines[cut:stop]]
        return entries, lead

    def _cut(self, begin: int, stop: int, column: int) -> int:
        """Where what belongs to a key or item ends, and what stands above the next one begins."""
        cut = stop
        while cut > begin + 1 and self._is_trivia(cut - 1):
            cut -= 1
        for number in range(cut, stop):
            line = self.lines[number]
            if line.strip() and len(line) - len(line.lstrip()) <= column:
                while number > cut and not self.lines[number - 1].strip():
                    number -= 1
                return number
        while stop > cut and not self.lines[stop - 1].strip():
            stop -= 1
        return max(stop, cut)

    def _is_trivia(self, number: int) -> bool:
        return number not in self.tree.protected and _TRIVIA.fullmatch(self.lines[number]) is not None

    def _entry(self, entry: Entry, item: Item, indent: int) -> list[str]:
        column = entry.key.start_mark.column
        below = Item(entry.value, (*item.path, entry.name))
        start = entry.value.start_mark.line
        if is_block(entry.value) and entry.begin < start < entry.end and not self.tree.is_alias(entry.key, entry.value):
            first = self.lines[entry.begin][column:].rstrip()
            lead = [line.strip() for line in self.lines[entry.begin + 1 : start]]
            return [" " * indent + first, *self._block(below, indent + 2, start, entry.end, lead)]
        return self._plain(below, entry.begin, entry.end, column, indent)

    def _block(self, item: Item, indent: int, begin: int, end: int, lead: list[str]) -> list[str]:
        if item.is_mapping:
            return self.mapping(item, indent, begin, end, lead)
        return self._sequence(item, indent, begin, end, lead)

    def _sequence(self, item: Item, indent: int, begin: int, end: int, lead: list[str]) -> list[str]:
        column = item.node.start_mark.column
        dashes = [number for number in range(begin, end) if self._is_dash(number, column)]
        if len(dashes) != len(item.node.value) or dashes[0] != begin:
            raise NotFormatted("a list in it is written in a way that is not known here")
        made: list[str] = []
        for number, dash in enumerate(dashes):
            stop = dashes[number + 1] if number + 1 < len(dashes) else end
            cut = self._cut(dash, stop, column)
            made += _comment_block(lead, indent, first=number == 0)
            made += self._item(Item(item.node.value[number], (*item.path, number)), indent, dash, cut, column)
            lead = [line.strip() for line in self.lines[cut:stop]]
        return [*made, *_comment_block(lead, indent, first=False)]

    def _is_dash(self, number: int, column: int) -> bool:
        line = self.lines[number]
        return number not in self.tree.protected and re.fullmatch(rf" {{{column}}}-(\s.*)?", line) is not None

    def _item(self, item: Item, indent: int, begin: int, end: int, column: int) -> list[str]:
        node = item.node
        if not (item.is_mapping and is_block(node) and node.start_mark.line == begin):
            return self._plain(item, begin, end, column, indent)
        made = self.mapping(item, indent + 2, begin, end, [])
        first = next(number for number, line in enumerate(made) if line and not line.lstrip().startswith("#"))
        above = [line.removeprefix("  ") for line in made[:first]]
        return [*above, f"{' ' * indent}- {made[first].lstrip()}", *made[first + 1 :]]

    def _plain(self, item: Item, begin: int, end: int, column: int, indent: int) -> list[str]:
        """Lines that keep their form and move sideways as a whole; a mapping in braces in one line is put in order."""
        line = self.lines[begin]
        span = flow_text(item, self.tree, begin)
        if span is not None:
            line = line[: span.begin] + span.text + line[span.end :]
        first = " " * indent + line[column:]
        made = [first if self._goes_on(begin) else first.rstrip()]
        for number in range(begin + 1, end):
            made.append(self._moved(number, indent - column))
        return made

    def _goes_on(self, number: int) -> bool:
        return number + 1 in self.tree.protected

    def _moved(self, number: int, by: int) -> str:
        line = self.lines[number]
        if not line.strip():
            return line if number in self.tree.protected and self.tree.keeps_blanks(number) else ""
        if by < 0 and line[:-by].strip(" "):
            raise NotFormatted("a line of it stands further left than what it belongs to")
        moved = " " * by + line if by >= 0 else line[-by:]
        return moved if number in self.tree.protected else moved.rstrip()


def _comment_block(lines: list[str], indent: int, *, first: bool) -> list[str]:
    return [f"{' ' * indent}{line}" if line else "" for line in _collapsed(lines, leading=not first)]


def _collapsed(lines: list[str], *, leading: bool) -> list[str]:
    """No two empty lines in a row; none at the beginning unless `leading`."""
    made: list[str] = []
    for line in lines:
        if line or (made[-1] if made else leading):
            made.append(line)
    return made
