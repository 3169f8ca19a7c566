"""What tells Twilio from strangers: signatures over the public URL, and tokens for media streams."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import structlog
from aiohttp import web

from bridge.listener.proxies import Proxies
from bridge.metrics import Metrics
from bridge.twilio import signature
from bridge.twilio.telling import Telling
from bridge.twilio.tokens import StreamTokens, TokenRefused

Form: TypeAlias = list[tuple[str, str]]

LookAtForm: TypeAlias = Callable[[web.Request, Mapping[str, str]], Awaitable[None]]

FirstUse: TypeAlias = Callable[[str], Awaitable[bool]]
"""Tells whether a token of a media stream comes for the first time, wherever it comes; never raises."""

MEDIA = "/twilio/media"

TRY_AGAIN = "#rc=5&rp=ct,rt,5xx"
"""Never sent: a question that nobody answers, as the process is being started anew, is asked up to five times more
("Twilio: webhook connection overrides")."""

_FORM_WITHIN_S = 5.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Gate:
    """Checks who asks. Every handler of Twilio's requests goes through it."""

    auth_tokens: list[str]
    """Any of these may have signed a request: a new and an old one while they are exchanged."""
    validate: bool
    """False: take unsigned requests as well. Streams need their token all the same."""
    public_url: Callable[[], str]
    """The origin under which Twilio knows us; called late, because a port may be known only after listening."""
    tokens: StreamTokens
    metrics: Metrics
    stream_path: str = MEDIA
    """Where calls of this process are to open their media streams."""
    proxies: Proxies = field(default_factory=Proxies)
    """Whose word counts about where a request comes from."""
    proven: Callable[[web.Request], None] = lambda _: None
    """Told of each request that Twilio has signed, and of each stream that is admitted."""
    look: LookAtForm | None = None
    """Is shown each request that was found good, and may raise what answers it instead of us; None: nobody is."""
    telling: Telling = field(default_factory=Telling)
    """Through which the log is told of what is refused."""
    once: FirstUse | None = None
    """Is asked about each token that is good as far as this process knows; None: that is enough."""

    def take(self, auth_tokens: Sequence[str]) -> None:
        """Let these sign from now on, the first of them also the tickets of streams."""
        self.auth_tokens[:] = auth_tokens
        self.tokens.take(auth_tokens)

    @property
    def stream_url(self) -> str:
        """Where the carrier opens media streams of the calls that we answer."""
        return "ws" + self.public_url().removeprefix("http") + self.stream_path

    async def signed_form(self, request: web.Request) -> Form:
        """Read the form and check its signature. Raises 403 for a forged one, and counts it."""
        form = await _form(request)
        url = self.public_url() + request.raw_path
        given = request.headers.get(signature.HEADER)
        if self.validate and not signature.verify(self.auth_tokens, url, form, given, fragment=TRY_AGAIN):
            self._refuse("signature", request, url)
        if self.validate:
            self.proven(request)
        if self.look is not None:
            await self.look(request, dict(form))
        return form

    async def redeem(self, token: str, call_sid: str) -> dict[str, str]:
        """Return the facts of a media stream's token, which is then used up. Raises `TokenRefused`."""
        facts = self.tokens.redeem(token, call_sid)
        if self.once is not None and not await self.once(token):
            raise TokenRefused("used")
        return facts

    def check_upgrade(self, request: web.Request) -> None:
        """Check the signature of a media stream's upgrade, or the site that asks for one without.

        Raises 403 for a forged signature and for a page of another site, and counts it.
        """
        given = request.headers.get(signature.HEADER)
        url = "ws" + self.public_url().removeprefix("http") + request.raw_path
        # Not every upgrade is known to be signed, so a missing signature is left to the token.
        checked = self.validate and given is not None
        if checked and not signature.verify_upgrade(self.auth_tokens, url, given):
            self._refuse("signature", request, url)
        if not checked and self._by_a_foreign_page(request):
            self.metrics.refused_requests.labels(reason="origin").inc()
            remote = self.proxies.remote(request)
            self.telling.line(log.warning, "request_refused", reason="origin", url=url, remote=remote)
            raise web.HTTPForbidden(text="Pages of other sites may not open media streams here.\n")

    def _by_a_foreign_page(self, request: web.Request) -> bool:
        """Tell whether a browser asks for a page of another site: it names that site, and Twilio names none."""
        origin = request.headers.get("Origin")
        if origin is None:
            return False
        # Behind a proxy the bridge may be asked by another name than the one that the browser knows it by.
        return origin.partition("://")[2] not in {request.host, self.public_url().partition("://")[2]}

    def _refuse(self, reason: str, request: web.Request, url: str) -> None:
        self.metrics.refused_requests.labels(reason=reason).inc()
        signed = signature.HEADER in request.headers
        remote = self.proxies.remote(request)
        self.telling.line(log.warning, "request_refused", reason=reason, url=url, signed=signed, remote=remote)
        raise web.HTTPForbidden(
            text="The request's Twilio signature is missing or wrong. If Twilio did send it, check that"
            f" BRIDGE_TWILIO__AUTH_TOKEN and BRIDGE_SERVER__PUBLIC_URL are right: the URL checked was {url}\n"
        )


async def _form(request: web.Request) -> Form:
    """Read the fields of a webhook. Raises 4xx for what is no form of Twilio's, or does not come to its end."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise web.HTTPUnsupportedMediaType(text="wanted a form, as Twilio posts it\n")
    try:
        async with asyncio.timeout(_FORM_WITHIN_S):
            fields = await request.post()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="the form did not come to its end\n") from None
    except (ValueError, LookupError, web.RequestPayloadError, ConnectionError):
        raise web.HTTPBadRequest(text="the form cannot be read\n") from None
    return [(name, value) for name, value in fields.items() if isinstance(value, str)]


def number(text: str | None) -> int | None:
    """Read a whole number of a form; None: there is none, or one that nothing on a phone can count to."""
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 10 else None
