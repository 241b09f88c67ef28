"""XML answers, read by pointer like JSON ones; and XML that is refused."""

from __future__ import annotations

import pytest

from rotator.effects.host.answer import Answer, MaskedBody
from rotator.effects.host.markup import DEEPEST, MOST, Unreadable, parsed
from rotator.plugin_api import Body, Failed, OutcomeUnknown, Secret

KINDS = ("text/xml", "application/xml; charset=utf-8", "application/soap+xml", "TEXT/XML")


def body(text: str, kind: str = "text/xml", *, writing: bool = False) -> Body:
    return MaskedBody.of(text.encode(), writing=writing, kind=kind)


ONE = "<r:a xmlns:r='urn:x' n='1'><r:id>7</r:id><rows><row><id>1</id></row></rows><none/></r:a>"
TWO = "<a><rows><row><id>1</id></row><row><id>2</id></row></rows></a>"


@pytest.mark.parametrize("kind", KINDS)
def test_names_lose_their_namespace_and_are_walked_by_pointer(kind: str) -> None:
    read = body(ONE, kind)
    assert (read.text("/a/id"), read.find("/a/rows/row/id"), read.find("/a/none")) == ("7", "1", "")
    assert (read.find("/a/n"), read.find("/b"), read.find("/a/rows")) == (None, None, None)
    assert (read.has("/a/rows"), read.has("/a/rows/row"), read.has("/a/nothing")) == (True, True, False)


@pytest.mark.parametrize(("text", "ids"), [(ONE, ["1"]), (TWO, ["1", "2"])])
def test_one_row_and_many_rows_read_alike(text: str, ids: list[str]) -> None:
    rows = body(text).items("/a/rows/row")
    assert [row.text("/id") for row in rows] == ids
    assert [body(text).text(f"/a/rows/row/{number}/id") for number in range(len(ids))] == ids


def test_two_of_a_name_are_no_text() -> None:
    assert body("<a><b>1</b><b>2</b></a>").find("/a/b") is None


def test_texts_keep_their_signs() -> None:
    read = body("<a><b>x &lt;&amp;&#233; y</b><c><![CDATA[<raw>]]></c><d> padded </d></a>")
    assert [read.text(f"/a/{name}") for name in "bcd"] == ["x <&é y", "<raw>", " padded "]
    assert read.secret("/a/d").matches(Secret(" padded "))


def test_times_are_read() -> None:
    when = body("<a><at>2026-11-24T12:00:00Z</at></a>").when("/a/at")
    assert when is not None
    assert when.isoformat() == "2026-11-24T12:00:00+00:00"


BOMB = "<!DOCTYPE a [<!ENTITY b 'xxxxxxxxxx'><!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;'>]><a>&c;&c;&c;&c;</a>"
NOT_READ = {
    "cut": "<a><b>7</b>",
    "two roots": "<a>7</a><a>8</a>",
    "a document type": "<!DOCTYPE a><a>7</a>",
    "entities": BOMB,
    "a file": "<!DOCTYPE a [<!ENTITY f SYSTEM 'file:///etc/passwd'>]><a>&f;</a>",
    "an unknown entity": "<a>&what;</a>",
    "an encoding that is none": "<?xml version='1.0' encoding='x-none'?><a>7</a>",
    "too deep": "<a>" * (DEEPEST + 1) + "</a>" * (DEEPEST + 1),
    "too much": "<a>" + "<b/>" * MOST + "</a>",
    "json": '{"a": "7"}',
    "nothing": "",
    "not utf-8": "\udcff",
}


@pytest.mark.parametrize("text", NOT_READ.values(), ids=NOT_READ.keys())
def test_what_is_no_whole_xml_has_no_pointers(text: str) -> None:
    raw = text.encode(errors="surrogateescape")
    with pytest.raises(Unreadable):
        parsed(raw)
    for writing, error in ((True, OutcomeUnknown), (False, Failed)):
        read = MaskedBody.of(raw, writing=writing, kind="text/xml")
        assert read.find("/a") is None
        with pytest.raises(error):
            read.text("/a")


def test_json_stays_json_and_xml_without_its_content_type_is_text() -> None:
    assert body('{"a": {"b": 7}}', "application/json").find("/a/b") == "7"
    assert body('{"a": {"b": 7}}', "").find("/a/b") == "7"
    assert body("<a>7</a>", "application/json").find("/a") is None
    assert body("<a>7</a>", "text/html").find("/a") is None


def test_an_answer_goes_by_its_content_type_and_shows_nothing() -> None:
    from datetime import UTC, datetime

    answer = Answer(200, {"content-type": "text/xml"}, b"<a>canary</a>", writing=False, now=datetime.now(UTC))
    assert answer.ok(200).text("/a") == "canary"
    assert "canary" not in repr(answer) + repr(answer.body)
