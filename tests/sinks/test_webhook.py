"""The webhook sink, with a real server at the other end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks import Webhook

from bridge.errors import SettingsError
from bridge.sinks.base import SinkDownError, Waiting
from bridge.sinks.webhook import WebhookSink


class Receiver:
    """Takes documents, or does with them what the test says."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.status: Callable[[str], int] = lambda _: 204
        self.at_once = self.most_at_once = 0
        app = web.Application()
        app.router.add_post("/hook", self._take)
        self.server = TestServer(app)

    async def _take(self, request: web.Request) -> web.Response:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        body = await request.read()
        await asyncio.sleep(0.01)
        self.requests.append((dict(request.headers), body))
        self.at_once -= 1
        return web.Response(status=self.status(request.headers["webhook-id"]))

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.requests]

    @property
    def url(self) -> str:
        return str(self.server.make_url("/hook"))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.server.start_server()
    yield receiver
    await receiver.server.close()


def waiting(number: int, id_: str) -> Waiting:
    return Waiting(number, id_.partition("-")[0], id_, b'{"id":"%b"}' % id_.encode())


async def test_documents_are_posted_and_signed_so_that_a_library_can_check_them(receiver: Receiver) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # An example of the scheme's own.
    sink = WebhookSink(receiver.url, secret)
    sent = await sink.send([waiting(1, "a-0"), waiting(2, "b-0")])
    await sink.close()
    assert sent.done == {1, 2}
    assert not sent.refused
    for headers, body in receiver.requests:
        lowered = {name.lower(): value for name, value in headers.items()}
        assert Webhook(secret).verify(body, lowered)["id"] == lowered["webhook-id"]
        assert lowered["content-type"] == "application/json"


async def test_without_a_secret_nothing_is_signed(receiver: Receiver) -> None:
    sink = WebhookSink(receiver.url, "")
    await sink.send([waiting(1, "a-0")])
    await sink.close()
    assert "webhook-signature" not in {name.lower() for name in receiver.requests[0][0]}


async def test_calls_are_posted_side_by_side_and_each_in_order(receiver: Receiver) -> None:
    sink = WebhookSink(receiver.url, "")
    batch = [waiting(number, f"{'abcdefghij'[number % 10]}-{number // 10}") for number in range(50)]
    sent = await sink.send(batch)
    await sink.close()
    assert sent.done == set(range(50))
    assert 2 <= receiver.most_at_once <= 8
    for call in "abcdefghij":
        assert [id_ for id_ in receiver.ids if id_[0] == call] == [f"{call}-{number}" for number in range(5)]


async def test_what_is_refused_keeps_back_its_call_alone(receiver: Receiver) -> None:
    receiver.status = lambda id_: 422 if id_ == "a-1" else 200
    sink = WebhookSink(receiver.url, "")
    batch = [waiting(1, "a-0"), waiting(2, "a-1"), waiting(3, "a-2"), waiting(4, "b-0")]
    sent = await sink.send(batch)
    await sink.close()
    assert sent.done == {1, 4}
    assert sent.refused == {2}
    assert sent.why.endswith("/hook answered 422")
    assert "a-2" not in receiver.ids


@pytest.mark.parametrize("status", [500, 503, 429, 408])
async def test_a_status_of_the_moment_means_later(receiver: Receiver, status: int) -> None:
    receiver.status = lambda id_: status if id_ == "b-0" else 200
    sink = WebhookSink(receiver.url, "")
    with pytest.raises(SinkDownError, match=f"answered {status}") as down:
        await sink.send([waiting(1, "a-0"), waiting(2, "b-0"), waiting(3, "b-1")])
    await sink.close()
    assert down.value.done == {1}


async def test_nobody_there_means_later(receiver: Receiver) -> None:
    url = receiver.url.replace("http://", "http://user:secret@")
    await receiver.server.close()
    sink = WebhookSink(url, "")
    with pytest.raises(SinkDownError, match="cannot be reached") as down:
        await sink.send([waiting(1, "a-0")])
    await sink.close()
    assert "secret" not in down.value.message


async def test_a_redirection_is_not_followed(receiver: Receiver) -> None:
    receiver.status = lambda _: 307
    sink = WebhookSink(receiver.url, "")
    assert (await sink.send([waiting(1, "a-0")])).refused == {1}
    await sink.close()


def test_a_secret_that_cannot_sign_is_named() -> None:
    with pytest.raises(SettingsError, match="BRIDGE_SINKS__WEBHOOK_SECRET"):
        WebhookSink("http://127.0.0.1/", "whsec_!")
