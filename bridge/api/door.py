"""The way into the API: who may come in, what a body may be, and how errors are told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

import structlog
from aiohttp import web
from pydantic import BaseModel, ValidationError

from bridge.api import access
from bridge.api.access import Access
from bridge.api.operations import Operation
from bridge.api.problems import Problem

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
B = TypeVar("B", bound=BaseModel)

API = "/api/"
"""What all addresses of the API begin with."""
_BODY_WITHIN_S = 5.0
MAX_BODY_BYTES = 64 * 1024

log = structlog.get_logger()


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell in a problem document, too, that there is no such address below `API`, or no such method."""
    try:
        return await handler(request)
    except web.HTTPNotFound:
        if not request.path.startswith(API):
            raise
        return Problem(404, "not_found", "There is nothing at this address.").answer()
    except web.HTTPMethodNotAllowed as error:
        if not request.path.startswith(API):
            raise
        allowed = ", ".join(sorted(error.allowed_methods))
        detail = f"This address takes {allowed}."
        return Problem(405, "method_not_allowed", detail, headers={"Allow": allowed}).answer()


class Door:
    """Puts handlers at their addresses, behind the check of who asks. Handlers raise `Problem`."""

    def __init__(self, who: Access) -> None:
        self._access = who
        self.operations: dict[tuple[str, str], Operation] = {}
        """What there is, by path and method in lower case."""

    def add(self, app: web.Application, method: str, path: str, handler: Handler, operation: Operation) -> None:
        """Let `handler` answer `method` at `path`, for whoever may do what the operation needs."""
        self.operations[path, method.lower()] = operation

        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                self._check(request)
                return await handler(request)
            except Problem as problem:
                return problem.answer()
            except web.HTTPRequestEntityTooLarge:
                return Problem(413, "body_too_large", f"The body is longer than {MAX_BODY_BYTES} bytes.").answer()
            except web.HTTPException:
                raise
            except Exception:
                log.exception("api_failed", method=request.method, path=request.path)
                return Problem(500, "internal", "Something went wrong in the bridge; its log says what.").answer()

        app.router.add_route(method, path, answer)

    def _check(self, request: web.Request) -> None:
        if not self._access.granted(request):
            log.warning("api_refused", path=request.path, remote=request.remote)
            raise Problem(401, "unauthorized", access.REFUSAL, headers={"WWW-Authenticate": "Bearer"})


async def read(request: web.Request, kind: type[B]) -> B:
    """Return the JSON body as a `kind`. Raises `Problem` that names the field when it is not one."""
    if request.content_type != "application/json":
        raise Problem(415, "content_type", "The body must be JSON, sent with  content-type: application/json.")
    try:
        async with asyncio.timeout(_BODY_WITHIN_S):
            body = await request.read()
    except TimeoutError:
        raise Problem(408, "body_late", "The body did not come to its end.") from None
    except web.RequestPayloadError:
        raise Problem(400, "body_unreadable", "The body is not encoded as its headers say.") from None
    if len(body) > MAX_BODY_BYTES:
        raise Problem(413, "body_too_large", f"The body is longer than {MAX_BODY_BYTES} bytes.")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Problem(400, "body_not_json", "The body is not JSON.") from None
    if not isinstance(found, dict):
        raise Problem(400, "body_not_object", "The body must be a JSON object.")
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        raise _invalid(error, kind) from None


def _invalid(error: ValidationError, kind: type[BaseModel]) -> Problem:
    """Say of every field that is wrong what is wrong with it, without repeating what was sent."""
    errors = []
    for found in error.errors(include_url=False, include_input=False):
        field = ".".join(map(str, found["loc"]))
        message = found["msg"].removeprefix("Value error, ")
        if found["type"] == "extra_forbidden":
            names = (known.alias or name for name, known in kind.model_fields.items())
            message = f"there is no such field; there are {', '.join(names)}"
        errors.append({"field": field, "message": message})
    detail = "; ".join(f"{each['field']}: {each['message']}" for each in errors) + "."
    return Problem(422, "invalid", detail, errors=errors)
