"""`/api/openapi.json`: the API told in OpenAPI 3.1, made from its operations and the models that check them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final, TypeAlias

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from bridge.api.access import CSRF_HEADER
from bridge.api.door import Door
from bridge.api.operations import Operation
from bridge.api.problems import CONTENT_TYPE

VERSION: Final = version("phone-bridge")
ADDRESS: Final = "/api/openapi.json"

_ALWAYS: Final = (400, 401, 403, 422, 429, 500)
_OF_BODIES: Final = (408, 413, 415)
_IN_PATH: Final = re.compile(r"\{(\w+)\}")
_REF: Final = "#/components/schemas/{model}"
_JSON: Final = "application/json"

_PATH_PARAMETERS: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "call": ("The call: the bridge's own id, or the carrier's.", {"type": "string", "minLength": 1}),
    "sid": ("Twilio's id of the call.", {"type": "string", "pattern": "^CA[0-9a-fA-F]{32}$"}),
    "number": ("1, 2, 3 … within the call.", {"type": "integer", "minimum": 1, "maximum": 10_000}),
}
"""What stands in addresses; anything else is told as a text."""

_ABOUT: Final = """What programs ask of a running phone-bridge.

Give a token as a bearer token. Where no token is set, programs on the bridge's own machine need none. What a token
may do is its scope: `read` sees and hears, `control` also acts on live calls, `admin` also deletes.

Browsers sign in with `POST /api/v1/session` and are known by a cookie from then on; requests of theirs that change
something need the header `X-CSRF-Token`. Every error is a problem document (RFC 9457) with a stable `code`."""

_TAGS: Final = {
    "calls": "Place calls, see what became of them, act on them.",
    "records": "What is kept of calls.",
    "live": "What is going on at this moment.",
    "system": "The bridge itself.",
    "session": "Browsers that are signed in.",
}


class ProblemAnswer(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(extra="allow", title="Problem")

    title: str = Field(description="The status in words.", examples=["Unprocessable Entity"])
    status: int = Field(examples=[422])
    code: str = Field(description="Stable, for programs.", examples=["invalid"])
    detail: str = Field(description="A sentence for people.", examples=["to: Field required."])
    errors: list[FieldProblem] = Field(default=[], description="Where fields are wrong: each of them.")


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    field: str = Field(examples=["to"])
    message: str = Field(examples=["Field required"])


class OpenApiRoutes:
    """The document at its address. It is made when it is first asked for: by then all else is in its place."""

    def __init__(self) -> None:
        self._document: dict[str, Any] | None = None

    def add_to(self, app: web.Application, door: Door) -> None:
        """Put the handler at its address."""
        operation = Operation(
            "Tell what the API is", open=True, tag="system", about="This document.", answers={200: _JSON}
        )

        async def show(_: web.Request) -> web.Response:
            if self._document is None:
                self._document = document(door.operations)
            return web.json_response(self._document)

        door.add(app, "GET", ADDRESS, show, operation)


def document(operations: Mapping[tuple[str, str], Operation]) -> dict[str, Any]:
    """Return the OpenAPI document of what is at these paths and methods."""
    models = sorted({*_models(operations)}, key=lambda pair: (pair[0].__name__, pair[1]))
    schemas, definitions = models_json_schema(models, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for (path, method), operation in operations.items():
        paths.setdefault(path, {})[method] = _operation(path, method, operation, schemas)
    tags = {operation.tag for operation in operations.values()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "phone-bridge",
            "version": VERSION,
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "The bridge that this document comes from."}],
        "tags": [{"name": name, "description": _TAGS.get(name, name)} for name in sorted(tags)],
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "responses": {f"problem-{status}": _problem(status, schemas) for status in _problems(operations)},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A token of the API."},
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "phone-bridge",
                    "description": "A browser's session; `__Host-phone-bridge` where browsers come by https."
                    f" What changes something needs the header {CSRF_HEADER} besides.",
                },
            },
        },
    }


_Schemas: TypeAlias = Mapping[Any, dict[str, Any]]
"""By model, and whether it is read or written."""


def _models(
    operations: Mapping[tuple[str, str], Operation],
) -> Iterator[tuple[type[BaseModel], JsonSchemaMode]]:
    yield ProblemAnswer, "serialization"
    for operation in operations.values():
        if operation.body is not None:
            yield operation.body, "validation"
        for answer in operation.answers.values():
            if isinstance(answer, type):
                yield answer, "serialization"


def _operation(path: str, method: str, operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    needs = "" if operation.open else f"Needs the scope `{operation.scope}`."
    found: dict[str, Any] = {
        "operationId": _name(path, method),
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": "\n\n".join(part for part in (operation.about, needs) if part),
        "security": [] if operation.open else [{"bearer": [operation.scope]}, {"cookie": [operation.scope]}],
        "responses": _responses(operation, schemas),
    }
    if parameters := [*_in_path(path), *_in_query(operation), *_in_headers(operation, method)]:
        found["parameters"] = parameters
    if operation.body is not None:
        content = {_JSON: {"schema": schemas[operation.body, "validation"]}}
        found["requestBody"] = {"required": operation.body_required, "content": content}
    return found


def _name(path: str, method: str) -> str:
    words = re.findall(r"\w+", path.removeprefix("/api/").removeprefix("v1/"))
    return "_".join([method, *words])


def _in_path(path: str) -> Iterator[dict[str, Any]]:
    for name in _IN_PATH.findall(path):
        about, schema = _PATH_PARAMETERS.get(name, ("", {"type": "string", "minLength": 1}))
        yield {"name": name, "in": "path", "required": True, "description": about, "schema": schema}


def _in_query(operation: Operation) -> Iterator[dict[str, Any]]:
    if operation.query is None:
        return
    schema = operation.query.model_json_schema(ref_template=_REF)
    for name, field in schema.get("properties", {}).items():
        own = _without_null(field)
        about = own.pop("description", "")
        own.pop("title", None)
        yield {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "description": about,
            "schema": own,
        }


def _without_null(field: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter: one that is left out has no value, and none can be null."""
    found = {name: value for name, value in field.items() if not (name == "default" and value is None)}
    kinds = [kind for kind in found.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        del found["anyOf"]
        found |= kinds[0]
    return found


def _in_headers(operation: Operation, method: str) -> Iterator[dict[str, Any]]:
    headers = dict(operation.headers)
    if method not in {"get", "head"} and not operation.open:
        headers[CSRF_HEADER] = "With a cookie: the `csrf` that `GET /api/v1/session` tells."
    for name, about in headers.items():
        yield {"name": name, "in": "header", "required": False, "description": about, "schema": {"type": "string"}}


def _responses(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, answer in sorted(operation.answers.items()):
        response: dict[str, Any] = {"description": HTTPStatus(status).phrase}
        if isinstance(answer, type):
            response["content"] = {_JSON: {"schema": schemas[answer, "serialization"]}}
        elif answer is not None:
            response["content"] = {kind: {} for kind in answer.split(", ")}
        found[str(status)] = response
    for status in sorted(_problems_of(operation)):
        found[str(status)] = {"$ref": f"#/components/responses/problem-{status}"}
    return found


def _problems_of(operation: Operation) -> set[int]:
    return {*_ALWAYS, *operation.problems, *(_OF_BODIES if operation.body is not None else ())}


def _problems(operations: Mapping[tuple[str, str], Operation]) -> list[int]:
    return sorted({status for operation in operations.values() for status in _problems_of(operation)})


def _problem(status: int, schemas: _Schemas) -> dict[str, Any]:
    content = {CONTENT_TYPE: {"schema": schemas[ProblemAnswer, "serialization"]}}
    return {"description": HTTPStatus(status).phrase, "content": content}
