"""Requests about debts, reconciles and copies of the ledger: rows of the tables in `test_api_requests`."""

from __future__ import annotations

from typing import Any

from rotator.engine.requests import Selection

Row = tuple[str, str, dict[str, Any] | None, str, dict[str, Any]]

RESTORING: list[Row] = [
    ("GET", "/v1/debts?credential=orders", None, "debts", {"credential": "orders"}),
    ("GET", "/v1/debts/orders", None, "explain_debts", {"credential": "orders"}),
    (
        "POST",
        "/v1/debts/orders/accept",
        {"gen": "3", "home": "a@db", "until": "2027-03-01T00:00:00Z", "reason": "scrapped"},
        "accept_debt",
        {"credential": "orders", "gen": 3, "home": "a@db", "until": "2027-03-01T00:00:00Z", "reason": "scrapped"},
    ),
    ("POST", "/v1/reconcile", {"selection": {"all": True}}, "reconcile", {"selection": Selection(everything=True)}),
    (
        "POST",
        "/v1/reconcile/repair",
        {"ids": ["orders"], "reason": "drill"},
        "repair",
        {"ids": ("orders",), "reason": "drill"},
    ),
    ("POST", "/v1/observe/end", {"reason": "drill"}, "end_observing", {"reason": "drill", "unseen": False}),
    ("POST", "/v1/ledger/backup", {"to": "/tmp/copy.db"}, "backup", {"path": "/tmp/copy.db"}),
]
"""Method, path, body, the call that it comes to, what that is given."""

NOT_RESTORING: list[tuple[str, str, dict[str, Any], str]] = [
    ("POST", "/v1/debts/orders/accept", {"gen": "x", "home": "a@b", "until": "x", "reason": "r"}, "`gen` must be"),
    ("POST", "/v1/debts/orders/accept", {"gen": "1", "home": "a@b", "until": "x"}, "needs `reason`"),
    ("POST", "/v1/reconcile/repair", {"reason": "drill"}, "needs `ids`"),
    ("POST", "/v1/observe/end", {"unseen": True}, "needs `reason`"),
    ("POST", "/v1/ledger/backup", {"to": "../x.db"}, "absolute path"),
]
"""Method, path, body, words of the refusal."""
