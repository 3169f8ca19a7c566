"""Traces of calls, as a collector gets them."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from bridge import spans
from bridge.app import running
from bridge.errors import MissingExtraError
from bridge.settings.source import load_settings
from bridge.simulator.caller import Line, SimulatedCall
from tests.scripted_speech import ScriptedSpeech

TOKEN = "0123456789abcdef0123456789abcdef"


class World:
    """A collector of traces, and an agent that notes which trace its requests belong to."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.service = ""
        self.parents: list[str] = []
        self.agent_status = 200
        app = web.Application()
        app.router.add_post("/v1/traces", self.collect)
        app.router.add_post("/agent", self.answer)
        self.server = TestServer(app)

    async def collect(self, request: web.Request) -> web.Response:
        read = ExportTraceServiceRequest.FromString(await request.read())
        for group in read.resource_spans:
            facts = {fact.key: fact.value.string_value for fact in group.resource.attributes}
            self.service = facts["service.name"]
            for scope in group.scope_spans:
                self.spans += scope.spans
        return web.Response()

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["type"] != "turn.ended":
            return web.Response(status=204)
        self.parents.append(request.headers["traceparent"])
        return web.Response(status=self.agent_status, text="One two three four.")

    def named(self, name: str) -> list[Span]:
        return sorted(
            (span for span in self.spans if span.name == name), key=lambda span: span.start_time_unix_nano
        )


@pytest.fixture
async def world() -> AsyncIterator[World]:
    it = World()
    await it.server.start_server()
    yield it
    await it.server.close()


def moments(span: Span) -> dict[str, int]:
    return {event.name: event.time_unix_nano for event in span.events}


async def test_a_call_is_one_trace_from_the_voice_request_to_the_first_mark(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", str(world.server.make_url("")).rstrip("/"))
    async with ScriptedSpeech().running() as speech:
        settings = load_settings(
            environment={
                "BRIDGE_SERVER__PORT": "0",
                "BRIDGE_SPEECH__BASE_URL": speech.url,
                "BRIDGE_SPEECH__API_KEY": "sk_test",
                "BRIDGE_TWILIO__AUTH_TOKEN": TOKEN,
                "BRIDGE_STORE__RECORDINGS": str(tmp_path),
                "BRIDGE_AGENT__URL": str(world.server.make_url("/agent")),
            },
            files=(),
        )
        async with running(settings) as up, SimulatedCall(Line(up.url, TOKEN)) as call:
            peer = await speech.listener()
            await peer.say_turn("Tell me")
            assert await call.wait_for_agent(10, silence_s=0.3)
            world.agent_status = 500
            await peer.say_turn("And more")
            assert await call.wait_for_agent(10, silence_s=0.3, after=call.now)
            await call.hang_up()

    assert world.service == "phone-bridge"
    (whole,) = world.named("call")
    assert {span.trace_id for span in world.spans} == {whole.trace_id}
    assert {parent.split("-")[1] for parent in world.parents} == {whole.trace_id.hex()}
    assert not whole.parent_span_id

    (voice,) = world.named("voice request")
    assert voice.parent_span_id == whole.span_id
    assert whole.start_time_unix_nano == voice.start_time_unix_nano < voice.end_time_unix_nano
    assert voice.end_time_unix_nano <= moments(whole)["media stream"]

    first, second = world.named("turn")
    assert {first.parent_span_id, second.parent_span_id} == {whole.span_id}
    asked = [span for span in world.named("agent request") if span.parent_span_id != whole.span_id]
    assert [span.parent_span_id for span in asked] == [first.span_id, second.span_id]
    # What an agent traces of its own lies below the span of its question.
    assert [span.span_id.hex() for span in asked] == [parent.split("-")[2] for parent in world.parents]
    spoken = next(span for span in world.named("speech synthesis") if span.parent_span_id == first.span_id)

    when = moments(first)
    waterfall = [
        first.start_time_unix_nano,
        when["end of turn"],
        when["first text"],
        spoken.start_time_unix_nano,
        moments(spoken)["first audio"],
        when["first mark"],
        whole.end_time_unix_nano,
    ]
    slack_ns = 2_000_000  # The journal has whole milliseconds.
    assert all(later >= earlier - slack_ns for earlier, later in itertools.pairwise(waterfall)), waterfall
    assert [span.status.code for span in asked] == [Status.STATUS_CODE_UNSET, Status.STATUS_CODE_ERROR]
    assert asked[1].status.message == "agent_status"
    assert b"Tell me" not in b"".join(span.SerializeToString() for span in world.spans)


async def test_without_a_collector_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    async with contextlib.AsyncExitStack() as stack:
        observers: list[Any] = []
        assert (await spans.open_spans(stack, observers), observers) == ([], [])


async def test_a_collector_without_the_library_is_told_how_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    async with contextlib.AsyncExitStack() as stack:
        with pytest.raises(
            MissingExtraError, match=r"OTEL_EXPORTER_OTLP_ENDPOINT.*pip install 'phone-bridge\[otel\]'"
        ):
            await spans.open_spans(stack, [])
