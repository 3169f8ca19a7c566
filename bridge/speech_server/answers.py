"""Errors as the service answers them, over HTTP and on its sockets.

Protocol: "Errors, handshake status". From version 2026-03-01 on an HTTP error is a JSON object; before, it was
the line `Title: Message`.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiohttp import web

from bridge.errors import ProtocolError, SpeechError

_log = structlog.get_logger()

STRUCTURED_SINCE: Final = "2026-03-01"
"""Versions are dates, so they compare as text."""
REQUEST_ID: Final = web.RequestKey("request_id", str)
_VERSION: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_TITLES: Final = {
    400: "Bad request",
    401: "Unauthorized",
    404: "Not found",
    405: "Method not allowed",
    413: "Too large",
    429: "Too many requests",
    500: "Internal error",
}  # fmt: skip - a table


_CLIENT_GONE: Final = 499
"""What the log of others calls an answer that nobody was there to take."""


class ApiError(Exception):
    """An answer with an HTTP status and the service's fields."""

    def __init__(self, status: int, message: str, *, code: str | None = None, title: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.title = title or _TITLES.get(status, "Error")


def bad_request(message: str, code: str | None = "bad_parameter") -> ApiError:
    """A parameter or message that the protocol forbids."""
    return ApiError(400, message, code=code)


def version_of(request: web.Request) -> str:
    """The API version asked for: the query wins over the header; without either the newest. Raises `ApiError`."""
    version = request.query.get("cartesia_version") or request.headers.get("Cartesia-Version")
    if version is None:
        return "9999-12-31"
    if not _VERSION.fullmatch(version):
        raise bad_request(f"the version {version[:40]!r} is no date such as {STRUCTURED_SINCE}")
    return version


@web.middleware
async def error_middleware(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Give each request an id, and turn errors into the service's answers."""
    request[REQUEST_ID] = str(uuid.uuid4())
    try:
        version_of(request)
        response = await handler(request)
    except ApiError as error:
        response = _answer(request, error)
    except ProtocolError as error:
        response = _answer(request, ApiError(400, error.message, code=error.code))
    except SpeechError as error:
        response = _answer(request, ApiError(500, error.message))
    except web.HTTPException as error:
        response = _answer(request, ApiError(error.status, error.reason))
    except ConnectionError:
        _log.debug("client_gone", path=request.path)
        return web.Response(status=_CLIENT_GONE)
    if not response.prepared:
        response.headers["X-Request-Id"] = request[REQUEST_ID]
    return response


def _answer(request: web.Request, error: ApiError) -> web.Response:
    _log.info("speech_request_refused", path=request.path, status=error.status, reason=error.message)
    try:
        structured = version_of(request) >= STRUCTURED_SINCE
    except ApiError:
        structured = True
    if not structured:
        return web.Response(status=error.status, text=f"{error.title}: {error.message}")
    return web.json_response(
        {
            "error_code": error.code,
            "title": error.title,
            "message": error.message,
            "request_id": request[REQUEST_ID],
        },
        status=error.status,
    )
