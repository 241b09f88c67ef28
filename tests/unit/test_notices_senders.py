"""The ways out against real servers: signatures that a receiver can check, TLS that is never skipped, slugs for all."""

from __future__ import annotations

import base64
import email
import email.policy
import hashlib
import hmac
import json
import secrets
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from rotator.effects import notices_mail
from rotator.effects.notices import CODES, Read, Senders
from rotator.effects.notices_mail import Mail, MailConfig, text_of
from rotator.effects.notices_webhook import Webhook, WebhookConfig
from rotator.engine.delivery import Parcel, Sent, message, subject_of
from rotator.engine.inventory import CredentialId
from rotator.engine.notices import Notice
from rotator.plugin_api import Misconfigured, Secret
from tests.lab.tls import Authority, ServerTls
from tests.unit.engine_bench import T0, credential

from .hostile_server import Say, answer, hostile, raw

DOCUMENT = message(
    Notice("run_owed", T0, "journal:7", CredentialId("alpha"), "run-1", "run:run-1", (("debts", "1"),)),
    credential(), None, installation="acme", epoch="e1", runbook="docs/",
)  # fmt: skip
PARCEL = Parcel(DOCUMENT["id"], DOCUMENT["about"], subject_of(DOCUMENT), json.dumps(DOCUMENT))


class Clock:
    def now(self) -> int:
        return int(time.time() * 1000)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def kept(text: str) -> Read:
    return lambda: Secret(text)


def missing() -> Secret:
    raise Misconfigured("admin_value_missing")


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ServerTls:
    folder = tmp_path_factory.mktemp("tls")
    return Authority(folder).server()


# -- webhook -------------------------------------------------------------------------------------------------------


def hook(url: str, *keys: Read, **more: Any) -> Webhook:
    return Webhook(WebhookConfig(url, keys or (kept("canary-" + "k" * 20),), **more), Clock(), "0.1.0")


def checks(request: bytes, key: bytes) -> list[bool]:
    """What a receiver does, written by hand: one result a signature."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")[1:]
    given = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    assert abs(int(given["webhook-timestamp"]) - time.time()) < 300
    signed = f"{given['webhook-id']}.{given['webhook-timestamp']}.".encode() + body
    wanted = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return [hmac.compare_digest(one, wanted) for one in given["webhook-signature"].split(" ")]


def test_a_receiver_can_check_who_sent_it_and_read_it() -> None:
    key = secrets.token_urlsafe(32)
    with hostile(answer(204, b"")) as server:
        assert hook(f"{server.url}/in/rotator", kept(key)).send(PARCEL) == Sent(True)
    (request,) = server.requests
    assert request.startswith(b"POST /in/rotator HTTP/1.1\r\n")
    assert checks(request, key.encode()) == [True]
    assert checks(request.replace(b"run_owed", b"run_oweD"), key.encode()) == [False], "one changed byte is seen"
    assert json.loads(request.partition(b"\r\n\r\n")[2])["data"]["credential"]["id"] == "alpha"
    assert key.encode() not in request


def test_a_key_of_the_standards_form_is_what_it_encodes() -> None:
    raw_key = secrets.token_bytes(24)
    with hostile(answer(200)) as server:
        hook(server.url, kept("whsec_" + base64.b64encode(raw_key).decode())).send(PARCEL)
    assert checks(server.requests[0], raw_key) == [True]


def test_while_a_key_is_changed_both_sign() -> None:
    old, new = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    with hostile(answer(200)) as server:
        hook(server.url, kept(new), kept(old)).send(PARCEL)
    assert checks(server.requests[0], old.encode()) == [False, True]
    assert checks(server.requests[0], new.encode()) == [True, False]


def test_a_rotated_key_is_used_with_the_next_message() -> None:
    keys = [secrets.token_urlsafe(32), secrets.token_urlsafe(32)]
    turn = iter(keys)
    with hostile(answer(200)) as server:
        way = hook(server.url, lambda: Secret(next(turn)))
        way.send(PARCEL)
        way.send(PARCEL)
    assert [checks(request, key.encode()) for request, key in zip(server.requests, keys, strict=True)] == [[True]] * 2


@pytest.mark.parametrize(
    ("say", "sent"),
    [
        (answer(202), Sent(True)),
        (answer(301, b"", "Location: https://elsewhere.example/"), Sent(False, "redirect")),
        (answer(401), Sent(False, "receiver_refused")),
        (answer(404), Sent(False, "receiver_refused")),
        (answer(410), Sent(False, "receiver_gone")),
        (answer(408), Sent(False, "receiver_failed")),
        (answer(429, b"", "Retry-After: 120"), Sent(False, "receiver_failed", 120_000)),
        (answer(503, b"", "Retry-After: soon"), Sent(False, "receiver_failed")),
        (answer(500), Sent(False, "receiver_failed")),
        (answer(200, b"x" * 200_000), Sent(False, "receiver_failed")),
        (raw(b""), Sent(False, "connection_lost")),
        (raw(b"nonsense\r\n\r\n"), Sent(False, "connection_lost")),
    ],
)
def test_only_a_whole_2xx_is_an_acknowledgement(say: Say, sent: Sent) -> None:
    with hostile(say) as server:
        assert hook(server.url).send(PARCEL) == sent
    assert server.connections == 1, "one request, whatever comes"


def test_a_receiver_that_says_nothing_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rotator.effects.notices_webhook.SECONDS", 0.3)
    with hostile(lambda connection, _: time.sleep(2)) as server:
        began = time.monotonic()
        assert hook(server.url).send(PARCEL) == Sent(False, "deadline")
        assert time.monotonic() - began < 1.5


@pytest.mark.parametrize("key", ["", "short", "whsec_", "whsec_a", "whsec_" + base64.b64encode(b"x" * 15).decode()])
def test_a_key_that_signs_nothing_is_refused_before_anything_is_sent(key: str) -> None:
    with hostile(answer(200)) as server:
        assert hook(server.url, kept(key)).send(PARCEL) == Sent(False, "signing_key_short")
    assert server.connections == 0


def test_nobody_listens_and_a_metadata_address_is_never_called() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert hook(f"http://127.0.0.1:{port}").send(PARCEL) == Sent(False, "unreachable")
    assert hook("https://169.254.169.254/latest").send(PARCEL) == Sent(False, "address_refused")
    assert hook("http://192.0.2.7/x").send(PARCEL) == Sent(False, "plain_http")


# -- mail ----------------------------------------------------------------------------------------------------------


@dataclass
class Box:
    """What a mail server took. `refuse`: what it answers to an address instead."""

    mails: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    refuse: dict[str, str] = field(default_factory=dict)
    data: str = "250 taken"
    logins: list[tuple[str, bool]] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - the server's name for it
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.data.startswith("250"):
            text = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
            assert isinstance(text, EmailMessage)
            self.mails.append((list(envelope.rcpt_tos), text))
        return self.data


class Post(Controller):
    """A real SMTP server on a free port. `encrypted`: from the first byte."""

    def __init__(
        self, box: Box, context: ssl.SSLContext | None, *, encrypted: bool, password: str, **more: Any
    ) -> None:
        def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
            assert isinstance(data, LoginPassword)
            good = hmac.compare_digest(data.password, password.encode())
            box.logins.append((data.login.decode(), good))
            return AuthResult(success=good, handled=False)

        self._more = dict(more, authenticator=authenticate) | ({} if encrypted else {"tls_context": context})
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        super().__init__(box, hostname="127.0.0.1", port=port, ssl_context=context if encrypted else None)

    def factory(self) -> SMTP:
        return SMTP(self.handler, **self._more)


@contextmanager
def post_office(
    tls: ServerTls | None, box: Box, *, encrypted: bool = False, password: str = "", **more: Any
) -> Iterator[int]:
    context = None
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.certificate, tls.key)
    server = Post(box, context, encrypted=encrypted, password=password, **more)
    server.start()
    try:
        yield server.port
    finally:
        server.stop()


def mail(port: int, tls: ServerTls | None, kind: str = "starttls", **more: Any) -> Mail:
    plain: dict[str, Any] = {"host": "127.0.0.1", "port": port, "tls": kind, "sender": "rotator@x.example"}
    plain |= {"to": ("a@x.example", "b@x.example"), "ca": None if tls is None else tls.ca}
    return Mail(MailConfig(**(plain | more)), Clock(), "acme")


@pytest.mark.parametrize("kind", ["starttls", "implicit"])
def test_a_mail_arrives_over_tls_after_a_login(tls: ServerTls, kind: str) -> None:
    box, password = Box(), secrets.token_urlsafe(20)
    # Of TLS from the first byte the server itself knows nothing: it would offer no login.
    more = {"auth_require_tls": kind == "starttls", "auth_required": kind == "starttls"}
    with post_office(tls, box, encrypted=kind == "implicit", password=password, **more) as port:
        way = mail(port, tls, kind, user="rotator", password=kept(password))
        assert way.send(PARCEL) == Sent(True)
        assert way.send(PARCEL) == Sent(True)
    (to, first), (_, second) = box.mails
    assert to == ["a@x.example", "b@x.example"]
    assert box.logins == [("rotator", True)] * 2
    assert (
        first["Subject"]
        == "[acme] alpha: a run ended owing: the new value serves, something old is not proven dead yet"
    )
    assert (first["From"], first["Auto-Submitted"], first["X-Rotator-Event"]) == (
        "rotator@x.example", "auto-generated", "run_owed",
    )  # fmt: skip
    assert first["Message-ID"] == second["Message-ID"] == f"<{PARCEL.id}@rotator.acme.invalid>"
    assert first["References"] == f"<{PARCEL.about}@rotator.acme.invalid>"
    text = first.get_content()
    assert "rotator debts alpha" in text
    assert "run-1" in text
    assert password not in text


def test_a_server_without_starttls_gets_nothing(tls: ServerTls) -> None:
    box = Box()
    with post_office(None, box) as port:
        assert mail(port, tls, user="rotator", password=kept("canary-password")).send(PARCEL) == Sent(
            False, "no_starttls"
        )
    assert (box.mails, box.logins) == ([], [])


@pytest.mark.parametrize("kind", ["starttls", "implicit"])
def test_a_certificate_that_is_not_trusted_gets_nothing(tls: ServerTls, tmp_path: Path, kind: str) -> None:
    box = Box()
    stranger = Authority(tmp_path).server()
    with post_office(tls, box, encrypted=kind == "implicit") as port:
        assert mail(port, stranger, kind, user="r", password=kept("canary-password")).send(PARCEL) == Sent(False, "tls")
        assert mail(port, None, kind).send(PARCEL) == Sent(False, "tls")
    assert (box.mails, box.logins) == ([], [])


def test_a_wrong_password_is_told_and_shown_nowhere(tls: ServerTls, capsys: pytest.CaptureFixture[str]) -> None:
    box = Box()
    with post_office(tls, box, password="canary-right-password") as port:
        done = mail(port, tls, user="rotator", password=kept("canary-wrong-password")).send(PARCEL)
    assert done == Sent(False, "login_refused")
    assert box.mails == []
    shown = capsys.readouterr()
    assert "canary" not in shown.out + shown.err


@pytest.mark.parametrize(
    ("refuse", "data", "sent", "taken"),
    [
        ({"a@x.example": "550 no such user"}, "250 OK", Sent(True, "recipients_refused"), 1),
        ({"a@x.example": "550 x", "b@x.example": "550 y"}, "250 OK", Sent(False, "mail_refused"), 0),
        ({"a@x.example": "450 x", "b@x.example": "550 y"}, "250 OK", Sent(False, "receiver_failed"), 0),
        ({}, "452 full", Sent(False, "receiver_failed"), 0),
        ({}, "554 spam", Sent(False, "mail_refused"), 0),
    ],
)
def test_what_the_server_says_of_the_message(
    tls: ServerTls, refuse: dict[str, str], data: str, sent: Sent, taken: int
) -> None:
    box = Box(refuse=refuse, data=data)
    with post_office(tls, box) as port:
        assert mail(port, tls).send(PARCEL) == sent
    assert len(box.mails) == taken


@pytest.mark.parametrize(
    ("greeting", "code"),
    [
        (b"", "connection_lost"),
        (b"554 go away\r\n", "receiver_failed"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "receiver_failed"),
        (b"220 " + b"x" * 100_000, "mail_refused"),
    ],
)
def test_what_is_no_mail_server_is_told(greeting: bytes, code: str) -> None:
    with hostile(raw(greeting), reads=False) as server:
        assert mail(server.port, None, "none").send(PARCEL).code in {code, "connection_lost"}


def test_a_server_that_talks_slowly_for_ever_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then: a plain time-out would begin anew with each."""
    monkeypatch.setattr(notices_mail, "SECONDS", 0.5)

    def drip(connection: socket.socket, _: bytes) -> None:
        for _ in range(100):
            time.sleep(0.05)
            connection.sendall(b"2")

    with hostile(drip, reads=False) as server:
        began = time.monotonic()
        assert mail(server.port, None, "none").send(PARCEL) == Sent(False, "deadline")
        assert time.monotonic() - began < 2.0


def test_nobody_listens_at_the_mail_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert mail(port, None, "none").send(PARCEL) == Sent(False, "unreachable")
    assert mail(25, None, host="169.254.169.254").send(PARCEL) == Sent(False, "address_refused")


def test_the_text_of_a_question_has_every_answer_as_a_command() -> None:
    question = {
        "topic": "refused", "says": "a step was refused", "known": ["g1 works at svc@api"], "unknown": [],
        "answers": [{"answer": "retry", "says": "try again", "command": "rotator runs answer r1 retry --reason TEXT"}],
    }  # fmt: skip
    notice = Notice("question_asked", T0, "k", CredentialId("alpha"), "r1", facts=(("topic", "refused"),))
    document = message(notice, credential(), question, installation="acme", epoch="e", runbook="docs/")
    text = text_of(document)
    assert "  rotator runs answer r1 retry --reason TEXT\n      try again\n" in text
    assert "known:   g1 works at svc@api" in text
    assert "docs/runbook.md#rot-ask-refused" in text


# -- all together --------------------------------------------------------------------------------------------------


def test_what_cannot_be_read_or_is_unknown_or_breaks_is_a_slug(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken:
        def send(self, parcel: Parcel) -> Sent:
            raise RuntimeError("canary-text")

    ways = Senders({"hook": hook("http://127.0.0.1:1", missing), "broken": Broken()}, Clock())
    assert ways.send("hook", PARCEL) == Sent(False, "key_unreadable")
    assert ways.send("absent", PARCEL) == Sent(False, "unknown_channel")
    assert ways.send("broken", PARCEL) == Sent(False, "bug")
    shown = capsys.readouterr()
    assert "canary" not in shown.out + shown.err


def test_every_code_has_words_here_and_in_the_documents() -> None:
    import ast

    root = Path(__file__).parents[2]
    page = (root / "docs/notifications.md").read_text()
    found: set[str] = set()
    for path in (root / "rotator/effects").glob("notices*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Sent":
                found |= {a.value for a in ast.walk(node) if isinstance(a, ast.Constant) and isinstance(a.value, str)}
            if isinstance(node, ast.Return) and isinstance(node.value, ast.Constant | ast.IfExp):
                texts = {a.value for a in ast.walk(node) if isinstance(a, ast.Constant) and isinstance(a.value, str)}
                found |= texts if path.name == "notices_mail.py" else set()
    found -= {""}
    assert found <= set(CODES), found - set(CODES)
    for code, says in CODES.items():
        assert f"| `{code}` | {says} |" in page
