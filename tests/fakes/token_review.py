"""A FAKE of the one call of a Kubernetes API server that Vault and OpenBao make at a login: TokenReview.

It is no Kubernetes. It stands for `POST /apis/authentication.k8s.io/v1/tokenreviews` over TLS with the answers that the
API reference documents for known and unknown tokens, checks the reviewer's bearer token as the server would, and does
nothing else: one audience, no expiry of its own (a test takes a token away), no RBAC.
"""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.lab.openbao_logins import Issuer
from tests.lab.tls import Authority

AUDIENCE = "https://kubernetes.default.svc"
PATH = "/apis/authentication.k8s.io/v1/tokenreviews"


class TokenReviews:
    """The fake server. `account`: (namespace, name) of the one service account; `reviewer`: who may ask."""

    def __init__(self, folder: Path, account: tuple[str, str] = ("itsm", "rotator")) -> None:
        """Choose the port and make the key of the service account's issuer; nothing listens yet."""
        self.account = account
        self.reviewer = "canary-reviewer"
        self.asked: list[bool] = []
        self._issuer = Issuer()
        self._good: set[str] = set()
        authority = Authority(folder, "fake cluster authority")
        self.ca = authority.ca
        files = authority.server("kubernetes")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.reviews = self  # type: ignore[attr-defined]
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_port}"

    def token(self) -> str:
        """A new projected token of the service account, good until `take_away`."""
        namespace, name = self.account
        about = {"namespace": namespace, "serviceaccount": {"name": name, "uid": f"uid-{name}"}}
        made = self._issuer.jwt(
            f"system:serviceaccount:{namespace}:{name}",
            audience=[AUDIENCE],
            more={"kubernetes.io": about},
        )
        self._good.add(made)
        return made

    def take_away(self, token: str) -> None:
        """It has expired, or its pod is gone."""
        self._good.discard(token)

    def answer(self, token: str) -> dict[str, Any]:
        """The `status` of a review."""
        good = token in self._good
        self.asked.append(good)
        if not good:
            return {"authenticated": False, "user": {}, "error": "[invalid bearer token]"}
        namespace, name = self.account
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
        user = {"username": f"system:serviceaccount:{namespace}:{name}", "uid": f"uid-{name}", "groups": groups}
        return {"authenticated": True, "user": user, "audiences": [AUDIENCE]}

    def __enter__(self) -> Self:
        """Listen."""
        threading.Thread(target=self._server.serve_forever, name="fake-kubernetes", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        reviews: TokenReviews = self.server.reviews  # type: ignore[attr-defined]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != f"Bearer {reviews.reviewer}":
            self._say(401, {"kind": "Status", "status": "Failure", "code": 401, "message": "Unauthorized"})
        elif self.path != PATH:
            self._say(404, {"kind": "Status", "status": "Failure", "code": 404, "message": "not found"})
        else:
            # The server's own client leaves out what the path says already.
            kind = {"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1"}
            self._say(201, kind | body | {"status": reviews.answer(body["spec"]["token"])})

    def _say(self, status: int, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, _format: str, *args: Any) -> None:
        """Say nothing."""
