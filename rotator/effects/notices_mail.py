"""Messages as mail, over SMTP with TLS. Used by `notices`.

The password is used after the connection is private, or on this machine; a server that offers no STARTTLS gets nothing.
One deadline holds for the whole conversation, however slowly the server talks. What the server says is cut off: only
the kind of refusal is kept.
"""

from __future__ import annotations

import json
import smtplib
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path
from typing import Any, Final

from rotator.engine.delivery import Parcel, Sent
from rotator.engine.ports import Clock

from .notices import SECONDS, Read
from .transport_address import AddressRefused, Resolve, resolved
from .transport_socket import Deadline, dialled, trusting

_HELLO: Final = "[127.0.0.1]"
"""What we call ourselves; the machine's own name would be looked up, which can take minutes."""


@dataclass(frozen=True, slots=True)
class MailConfig:
    """The server, how private the way to it is (`starttls`, `implicit`, `none`), from whom and to whom."""

    host: str
    port: int
    tls: str
    sender: str
    to: tuple[str, ...]
    ca: Path | None = None
    user: str = ""
    password: Read | None = None


class Mail:
    """One mail server and list of addresses."""

    def __init__(
        self, config: MailConfig, clock: Clock, installation: str, resolve: Resolve = socket.getaddrinfo
    ) -> None:
        self._config, self._clock, self._installation, self._resolve = config, clock, installation, resolve
        self._tls = trusting(config.ca)

    def send(self, parcel: Parcel) -> Sent:
        """Hand it to the server, once."""
        deadline = Deadline(self._clock.monotonic, self._clock.monotonic() + SECONDS)
        password = self._config.password() if self._config.password is not None else None
        letter = self.letter(parcel)
        client = _Client(deadline)
        try:
            client.open(self._config.host, self._config.port, self._connect(deadline))
            if self._config.tls == "starttls":
                client.starttls(context=self._tls)
            client.ehlo_or_helo_if_needed()  # what a server can do counts anew after STARTTLS
            if password is not None:
                if not client.has_extn("auth"):
                    return Sent(False, "login_refused")
                client.login(self._config.user, password.reveal())
            refused = client.send_message(letter, self._config.sender, list(self._config.to))
            with suppress(Exception):  # it is taken: a bad farewell changes nothing
                client.quit()
        except Exception as error:  # each is cut to a slug: texts quote the server, and may quote us
            return Sent(False, _code(error, deadline))
        finally:
            client.close()
        return Sent(True, "recipients_refused" if refused else "")

    def letter(self, parcel: Parcel) -> EmailMessage:
        """The mail of a message; its id is the same at every try, and what belongs together is one thread."""
        document = json.loads(parcel.body)
        domain = f"rotator.{self._installation}.invalid"
        letter = EmailMessage()
        letter["From"] = self._config.sender
        letter["To"] = ", ".join(self._config.to)
        letter["Subject"] = parcel.subject
        letter["Date"] = formatdate(self._clock.now() / 1000)
        letter["Message-ID"] = f"<{parcel.id}@{domain}>"
        letter["References"] = f"<{parcel.about}@{domain}>"
        letter["Auto-Submitted"] = "auto-generated"
        letter["X-Rotator-Event"] = document["data"]["event"]
        letter.set_content(text_of(document))
        return letter

    def _connect(self, deadline: Deadline) -> socket.socket:
        addresses = resolved(self._config.host, self._config.port, deadline, self._resolve)
        sock = dialled(addresses, deadline)
        if self._config.tls != "implicit":
            return sock
        return self._tls.wrap_socket(sock, server_hostname=self._config.host)


class _Client(smtplib.SMTP):
    """A client on a socket that was connected before."""

    def __init__(self, deadline: Deadline) -> None:
        super().__init__(local_hostname=_HELLO, timeout=SECONDS)
        self._deadline = deadline
        self._ready: socket.socket | None = None

    def open(self, host: str, port: int, sock: socket.socket) -> None:
        """Greet the server. `host` is the name that its certificate must have."""
        self._host, self._ready = host, sock
        code, _ = self.connect(host, port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, "")
        self.ehlo_or_helo_if_needed()

    def _get_socket(self, host: str, port: int, timeout: float | None) -> socket.socket:
        if self._ready is None:
            raise OSError("not connected")
        return self._ready


def _code(error: Exception, deadline: Deadline) -> str:
    match error:
        case AddressRefused():
            return "address_refused"
        case ssl.SSLError():
            return "tls"
        case smtplib.SMTPNotSupportedError():
            return "no_starttls"
        case smtplib.SMTPAuthenticationError():
            return "login_refused"
        case smtplib.SMTPConnectError() | smtplib.SMTPHeloError():
            return "receiver_failed"
        case smtplib.SMTPServerDisconnected():
            return "deadline" if deadline.left() <= 0 else "connection_lost"
        case smtplib.SMTPRecipientsRefused() if error.recipients:
            first = min(code for code, _ in error.recipients.values())
            return "receiver_failed" if first < 500 else "mail_refused"
        case smtplib.SMTPResponseException():
            return "receiver_failed" if error.smtp_code < 500 else "mail_refused"
        case OSError():
            return "deadline" if deadline.left() <= 0 else "unreachable"
        case _:
            return "bug"


def text_of(document: Mapping[str, Any]) -> str:
    """The message for people: what happened, to what, what to do, where it is described."""
    data, lines = document["data"], []
    lines.append(f"{data['says']}.")
    credential = data["credential"]
    facts = [("installation", data["installation"]), ("at", document["time"])]
    if credential:
        facts += [("credential", f"{credential['id']} ({credential['tier']}, {credential['owner']})")]
    facts += [("run", data["run"])] if data["run"] else []
    facts += list(data["facts"].items())
    lines += ["", *(f"  {name + ':':<14}{text}" for name, text in facts)]
    question = data.get("question")
    if question:
        lines += ["", f"The question: {question['says']}"]
        lines += [f"  known:   {one}" for one in question["known"]]
        lines += [f"  unknown: {one}" for one in question["unknown"]]
        lines += ["", "Answer with one of:"]
        lines += [line for one in question["answers"] for line in (f"  {one['command']}", f"      {one['says']}")]
    elif data["do"]:
        lines += ["", "To do:", *(f"  {one}" for one in data["do"])]
    lines += ["", f"More: {data['docs']}", f"Message {document['id']}"]
    return "\n".join(lines) + "\n"
