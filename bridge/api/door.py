"""The way into the API: who may come in, what a body may be, and how errors are told."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, TypeVar, get_origin

import structlog
from aiohttp import web
from pydantic import BaseModel, ValidationError

from bridge.api.access import Access, checked
from bridge.api.operations import Operation, Principal, Scope
from bridge.api.problems import Problem
from bridge.errors import BridgeError

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
B = TypeVar("B", bound=BaseModel)

ASKER: Final = web.RequestKey("principal", Principal)
"""Who asks, in a request; `asker` reads it."""
API = "/api/"
"""What all addresses of the API begin with."""
_AGAIN_AFTER_S = "5"
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

    def __init__(
        self,
        who: Access,
        look: Callable[[web.Request], Awaitable[None]] | None = None,
        proven: Callable[[web.Request], None] = lambda _: None,
    ) -> None:
        """`look` is shown each request of who may ask; it may raise what answers it instead of the handler.

        `proven` is told of each request of who may ask, before that.
        """
        self._proven = proven
        self._access = who
        self._look = look
        self._apps: set[int] = set()
        self.operations: dict[tuple[str, str], Operation] = {}
        """What there is, by path and method in lower case."""

    def add(self, app: web.Application, method: str, path: str, handler: Handler, operation: Operation) -> None:
        """Let `handler` answer `method` at `path`, for whoever may do what the operation needs.

        It finds who asks with `asker(request)`. What answers GET answers HEAD as well.
        """
        self.operations[path, method.lower()] = operation

        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                if not operation.open:
                    self._admit(request, operation)
                if self._look is not None:
                    await self._look(request)
                return await handler(request)
            except Problem as problem:
                return problem.answer()
            except web.HTTPRequestEntityTooLarge:
                return Problem(413, "body_too_large", f"The body is longer than {MAX_BODY_BYTES} bytes.").answer()
            except web.HTTPException:
                raise
            except Exception as error:  # noqa: BLE001  What is a bug is logged with its traceback.
                return _failure(request, error).answer()

        app.router.add_route(method, path, answer)
        if method == "GET":
            app.router.add_route("HEAD", path, answer)
        if id(app) not in self._apps:
            self._apps.add(id(app))
            app.on_response_prepare.append(_keep_private)

    def until_over(self, request: web.Request, end: Callable[[], None]) -> contextlib.AbstractContextManager[None]:
        """Call `end` when whoever asks is not believed any more, for the length of the block; see `Access`."""
        return self._access.until_over(request, asker(request), end)

    def _admit(self, request: web.Request, operation: Operation) -> None:
        try:
            request[ASKER] = self._access.admit(request, operation.scope)
        except Problem as problem:
            log.warning("api_refused", path=request.path, remote=self._access.remote(request), code=problem.code)
            raise
        self._proven(request)


def _failure(request: web.Request, error: Exception) -> Problem:
    """Return what is answered where a handler failed. Nothing of what is inside is told; the log says it."""
    if isinstance(error, BridgeError) and error.code == "audit_not_written":
        log.error("api_without_audit", path=request.path, error=error.message)
        detail = "It cannot be kept who has done this, so it is not done; the log says why."
        return Problem(503, error.code, detail, headers={"Retry-After": _AGAIN_AFTER_S})
    if isinstance(error, BridgeError) and error.code.startswith("store_"):
        log.warning("api_without_store", path=request.path, code=error.code, error=error.message)
        detail = "The database of calls cannot be used at this moment; the log says why."
        return Problem(503, error.code, detail, headers={"Retry-After": _AGAIN_AFTER_S})
    log.error("api_failed", method=request.method, path=request.path, exc_info=error)
    return Problem(500, "internal", "Something went wrong in the bridge; its log says what.")


async def _keep_private(request: web.Request, response: web.StreamResponse) -> None:
    """Let nobody keep what the API answers, or take it for something else than it says it is."""
    if request.path.startswith(API):
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Content-Security-Policy", "default-src 'none'; sandbox")
        # Else a page of another site could let its visitor hear a recording, though not read it.
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")


def asker(request: web.Request) -> Principal:
    """Return who asks; for handlers behind a door."""
    return request[ASKER]


def need(request: web.Request, scope: Scope) -> Principal:
    """Return who asks, if they may do what needs `scope`, for what needs more than its operation does.

    Raises `Problem` 403.
    """
    return checked(asker(request), scope)


def query(request: web.Request, kind: type[B]) -> B:
    """Return what stands behind the `?` as a `kind`. Raises `Problem` that names the field when it is not one."""
    found: dict[str, Any] = {}
    lists = {known.alias or name for name, known in kind.model_fields.items() if _is_list(known.annotation)}
    for name in request.query:
        values = request.query.getall(name)
        if name not in lists and len(values) > 1:
            fault = {"field": name, "message": "it is given more than once"}
            raise Problem(422, "invalid", f"{name[:70]}: it is given more than once.", errors=[fault])
        found[name] = values if name in lists else values[0]
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        raise _invalid(error, kind) from None


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) in {list, tuple}


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
    except ConnectionError:
        raise Problem(400, "body_broken_off", "The connection broke off before the end of the body.") from None
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
