"""The hand-off webhook of an agent: what it is posted, how it may answer, and what happens when it does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpServer
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]  # the library has no types

from bridge.errors import AgentError
from bridge.twilio.handoff import SessionEnd, ask

TOKEN = "0123456789abcdef0123456789abcdef"
FORM = [
    ("CallSid", "CA0123456789abcdef0123456789abcdef"),
    ("CallStatus", "in-progress"),
    ("CallerCity", ""),
    ("From", "+15550001111"),
]
DOCUMENT = '<?xml version="1.0"?>\n<Response><!-- kept --><Dial><Number>+15550100300</Number></Dial></Response>'
ENDED = SessionEnd("VX01", "ended", 12, '{"reason":"wants a person"}')

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def saying(text: str, status: int = 200) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=text, content_type="text/xml", status=status)

    return handler


@pytest.fixture
def webhook(aiohttp_server: AiohttpServer) -> Callable[[Handler], Awaitable[str]]:
    async def serve(handler: Handler) -> str:
        app = web.Application()
        app.router.add_post("/desk/next", handler)
        server = await aiohttp_server(app)
        return str(server.make_url("/desk/next?tenant=north"))

    return serve


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (
            ENDED,
            {
                "SessionId": "VX01",
                "SessionStatus": "ended",
                "SessionDuration": "12",
                "HandoffData": '{"reason":"wants a person"}',
            },
        ),
        (
            SessionEnd("VX01", "completed", 3, "not to be told"),
            {"SessionId": "VX01", "SessionStatus": "completed", "SessionDuration": "3"},
        ),
        (
            SessionEnd("VX01", "failed", 3, error_code="39001", error_message="gone"),
            {
                "SessionId": "VX01",
                "SessionStatus": "failed",
                "SessionDuration": "3",
                "ErrorCode": "39001",
                "ErrorMessage": "gone",
            },
        ),
    ],
)
async def test_it_is_posted_what_twilio_posts_and_its_answer_is_handed_on_verbatim(
    http: aiohttp.ClientSession,
    webhook: Callable[[Handler], Awaitable[str]],
    end: SessionEnd,
    told: dict[str, str],
) -> None:
    posted: list[tuple[dict[str, str], bool]] = []

    async def handler(request: web.Request) -> web.Response:
        form = await request.post()
        signature = request.headers["X-Twilio-Signature"]
        valid = RequestValidator(TOKEN).validate(str(request.url), form, signature)
        posted.append(({name: str(value) for name, value in form.items()}, valid))
        return web.Response(text=DOCUMENT, content_type="text/xml")

    url = await webhook(handler)

    assert await ask(http, url, FORM, end, token=TOKEN) == DOCUMENT
    assert posted == [({**dict(FORM), **told}, True)]


async def test_relative_urls_are_those_of_the_webhook(
    http: aiohttp.ClientSession, webhook: Callable[[Handler], Awaitable[str]]
) -> None:
    url = await webhook(
        saying(
            "<Response><Gather><Say>Press 1 &amp; wait.</Say></Gather><Record action='/kept'/>"
            "<Play>bell.wav</Play><Play digits='1w2'/><Dial action='dialled' recordingStatusCallback='/r'>"
            "<Number url='https://elsewhere.example.com/whisper'>+15550100300</Number></Dial>"
            "<Connect><Stream url='/again'/></Connect><Redirect/></Response>"
        )
    )
    origin = url.removesuffix("/desk/next?tenant=north")

    answer = await ask(http, url, FORM, ENDED, token="")
    assert answer.endswith(
        f'<Response><Gather action="{url}"><Say>Press 1 &amp; wait.</Say></Gather><Record action="{origin}/kept" />'
        f'<Play>{origin}/desk/bell.wav</Play><Play digits="1w2" /><Dial action="{origin}/desk/dialled"'
        f' recordingStatusCallback="{origin}/r">'
        '<Number url="https://elsewhere.example.com/whisper">+15550100300</Number></Dial>'
        f'<Connect><Stream url="ws{origin.removeprefix("http")}/again" /></Connect>'
        f"<Redirect>{url}</Redirect></Response>"
    )


async def test_an_empty_answer_ends_the_call(
    http: aiohttp.ClientSession, webhook: Callable[[Handler], Awaitable[str]]
) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=204)

    assert "<Response />" in await ask(http, await webhook(handler), FORM, ENDED, token=TOKEN)


@pytest.mark.parametrize(
    ("handler", "code"),
    [
        (saying("oops", 500), "agent_status"),
        (saying("", 302), "agent_status"),
        (saying("<html><body>Not for you</body></html>"), "agent_answer"),
        (saying("<Response>"), "agent_answer"),
        (saying(f"<Response><Say>{'x' * 70_000}</Say></Response>"), "agent_answer"),
    ],
)
async def test_what_is_no_twiml_is_told_in_one_line(
    http: aiohttp.ClientSession, webhook: Callable[[Handler], Awaitable[str]], handler: Handler, code: str
) -> None:
    url = await webhook(handler)

    with pytest.raises(AgentError, match=r"^the hand-off webhook http://\S+/desk/next answered with") as failed:
        await ask(http, url, FORM, ENDED, token=TOKEN)
    assert failed.value.code == code


async def test_a_webhook_that_does_not_answer_is_not_waited_for(
    http: aiohttp.ClientSession, webhook: Callable[[Handler], Awaitable[str]]
) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.01)

    with pytest.raises(AgentError, match="did not answer within") as failed:
        await ask(http, await webhook(drip), FORM, ENDED, token=TOKEN, timeout_s=0.1)
    assert failed.value.code == "agent_timeout"

    with pytest.raises(AgentError, match="cannot be reached") as failed:
        await ask(http, "http://127.0.0.1:1/next", FORM, ENDED, token=TOKEN)
    assert failed.value.code == "agent_unreachable"


async def test_a_password_in_the_webhooks_url_is_not_told(http: aiohttp.ClientSession) -> None:
    with pytest.raises(AgentError, match=r"^the hand-off webhook http://\S+:9/next cannot be reached") as failed:
        await ask(http, "http://user:hunter2@127.0.0.1:9/next?key=hunter2", FORM, ENDED, token=TOKEN)
    assert "hunter2" not in str(failed.value)
