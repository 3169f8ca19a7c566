"""Answers that say what is wrong, so that a program and a person can both act on them (RFC 9457)."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from aiohttp import web

CONTENT_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818  RFC 9457 calls it so.
    """A request that is answered with an error. Raised by handlers, turned into an answer by the door."""

    def __init__(
        self, status: int, code: str, detail: str, *, headers: dict[str, str] | None = None, **more: Any
    ) -> None:
        """`code` is stable and for programs, `detail` a sentence for people; `more` are further fields."""
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}
        self.more = more

    def answer(self) -> web.Response:
        """Return the answer to send."""
        return web.Response(
            status=self.status,
            text=json.dumps(self.as_dict(), ensure_ascii=False) + "\n",
            content_type=CONTENT_TYPE,
            headers=self.headers,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return what is answered. `type` is left out: it would only repeat the status."""
        title = HTTPStatus(self.status).phrase
        return {"title": title, "status": self.status, "code": self.code, "detail": self.detail, **self.more}
