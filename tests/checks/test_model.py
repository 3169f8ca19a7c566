"""What the doctor says about an endpoint of language models."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bridge.checks.network import check_agent
from bridge.settings import Settings
from bridge.settings.source import load_settings

LIST = {"object": "list", "data": [{"id": "gpt-4o-mini"}, {"id": "llama3:latest"}]}


class Hub:
    """An endpoint that lists its models."""

    def __init__(self) -> None:
        self.answer = web.json_response(LIST)
        self.keys: list[str | None] = []
        self.paths: list[str] = []
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self.server = TestServer(app)

    def settings(self, *, path: str = "/v1", model: str = "gpt-4o-mini", key: str = "sk-1") -> Settings:
        return load_settings(
            files=(),
            environment={
                "BRIDGE_AGENT__KIND": "openai",
                "BRIDGE_AGENT__URL": str(self.server.make_url(path)),
                "BRIDGE_OPENAI__MODEL": model,
                "OPENAI_API_KEY": key,
            },
        )

    async def _answer(self, request: web.Request) -> web.Response:
        self.keys.append(request.headers.get("authorization"))
        self.paths.append(request.path_qs)
        return self.answer


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    hub = Hub()
    async with hub.server:
        yield hub


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/chat/completions"])
async def test_an_endpoint_that_lets_us_in_and_has_the_model(hub: Hub, path: str) -> None:
    (finding,) = await check_agent(hub.settings(path=path))
    assert (finding.status, finding.message.endswith("/v1/models lets us in and has gpt-4o-mini")) == ("ok", True)
    assert (hub.keys, hub.paths) == (["Bearer sk-1"], ["/v1/models"])


async def test_a_name_that_stands_for_its_latest_version_will_do(hub: Hub) -> None:
    assert (await check_agent(hub.settings(model="llama3")))[0].status == "ok"


async def test_a_model_that_is_not_there(hub: Hub) -> None:
    (finding,) = await check_agent(hub.settings(model="gpt-4o-mni"))
    assert (finding.status, finding.remedy) == (
        "warning",
        "set openai.model (BRIDGE_OPENAI__MODEL) to one it has, such as gpt-4o-mini",
    )


@pytest.mark.parametrize(
    ("status", "key", "expected", "remedy"),
    [
        (
            401,
            "sk-1",
            "failed",
            "the key is refused: set openai.api_key (BRIDGE_OPENAI__API_KEY, or OPENAI_API_KEY)",
        ),
        (403, "", "failed", "no key is set: set openai.api_key"),
        (404, "", "warning", "agent.url is the base of the API"),
        (302, "", "warning", "agent.url is the base of the API"),
        (429, "", "warning", "limits and the balance"),
        (502, "", "warning", "the server's own log"),
    ],
)
async def test_an_endpoint_that_refuses(hub: Hub, status: int, key: str, expected: str, remedy: str) -> None:
    hub.answer = web.Response(status=status)
    (finding,) = await check_agent(hub.settings(key=key))
    assert (finding.status, remedy in finding.remedy) == (expected, True), finding
    assert f"answers with {status}" in finding.message
    assert hub.keys == [f"Bearer {key}" if key else None]


@pytest.mark.parametrize("text", ["<p>Hello</p>", "[]", '{"data": [1]}', '{"data": null}'])
async def test_an_answer_that_is_no_list(hub: Hub, text: str) -> None:
    hub.answer = web.Response(text=text)
    (finding,) = await check_agent(hub.settings())
    assert (finding.status, "not with a list of models" in finding.message) == ("warning", True)


async def test_an_endpoint_that_is_not_there(unused_tcp_port: int) -> None:
    url = f"http://user:secret@127.0.0.1:{unused_tcp_port}/v1?key=secret"
    settings = load_settings(files=(), environment={"BRIDGE_AGENT__KIND": "openai", "BRIDGE_AGENT__URL": url})
    (finding,) = await check_agent(settings)
    assert (finding.status, finding.remedy) == ("failed", "start the server, or mend agent.url")
    assert "secret" not in finding.message
    assert finding.message.endswith(": Connection refused")
