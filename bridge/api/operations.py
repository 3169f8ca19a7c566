"""What an address of the API does, in words and models; its description is made from the models that check it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from msgspec import Struct, field
from pydantic import BaseModel

Scope: TypeAlias = Literal["read", "control", "admin"]
"""What a token may do: see and hear; also act on live calls; also delete. Each holds those before it."""
SCOPES: tuple[Scope, ...] = ("read", "control", "admin")


class Operation(Struct, frozen=True):
    """What one method does at one address."""

    summary: str
    """One line."""
    scope: Scope = "read"
    """What whoever asks must be allowed."""
    open: bool = False
    """Whether it is answered to anybody, as signing in must be."""
    tag: str = "calls"
    """Under which heading it stands."""
    about: str = ""
    """More, in Markdown."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of a request that count, and what they do."""
    query: type[BaseModel] | None = None
    """What may stand behind the `?`; None: nothing is looked at."""
    body: type[BaseModel] | None = None
    """The JSON body; None: there is none."""
    body_required: bool = True
    answers: Mapping[int, type[BaseModel] | str | None] = field(default_factory=dict)
    """By status, what comes when all is well: a model of JSON, a media type of something else, or None: no body."""
    problems: tuple[int, ...] = ()
    """The statuses of problem documents, beside 400, 401, 403, 422, 429 and 500, which every address may answer."""


class Principal(Struct, frozen=True):
    """Who asks: whoever holds a token, or uses the console, or sits at this machine."""

    name: str
    """For the audit: `api` for `api.token`, the name of a further token, or `local`. A browser has the name of the
    token that it was signed in with."""
    scope: Scope

    def may(self, scope: Scope) -> bool:
        """Tell whether it may do what needs `scope`."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)
