"""Which addresses the bridge may connect to."""

from __future__ import annotations

import socket

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from pytest_aiohttp.plugin import AiohttpServer

from bridge.agents import targets
from bridge.agents.targets import GuardedResolver, TargetRefusedError, check_url, is_private
from bridge.agents.webhook.agent import WebhookAgent, WebhookOptions
from bridge.conversation.actions import Say
from tests.agents.asking import TURN, hear
from tests.agents.bench import Bench, answers, failure

STRICT = WebhookOptions(allow_private=False)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.1.2.3", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
        *("0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fd00::1", "ff02::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::a00:1"),
    ],
)
def test_private_addresses_in_every_dress(address: str) -> None:
    assert is_private(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses(address: str) -> None:
    assert not is_private(address)


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1:8080/", "https://[::1]/", "http://169.254.169.254/latest"),
        *("http://127.1/", "http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/", "http://127.0.0.1./"),
    ],
)
def test_a_url_with_a_private_address_is_refused(url: str) -> None:
    with pytest.raises(TargetRefusedError, match="private network"):
        check_url(url)


@pytest.mark.parametrize("url", ["http://8.8.8.8/", "http://134744072/", "https://agent.example.com/"])
def test_a_url_with_a_public_address_or_a_name_passes(url: str) -> None:
    check_url(url)


class Names(AbstractResolver):
    """A resolver that knows one name."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in self._addresses
        ]

    async def close(self) -> None:
        pass


async def test_of_a_name_only_the_public_addresses_are_used() -> None:
    found = await GuardedResolver(Names("10.0.0.1", "8.8.8.8", "127.0.0.1")).resolve("agent.example.com", 80)
    assert [entry["host"] for entry in found] == ["8.8.8.8"]


async def test_a_name_that_leads_inside_is_refused_with_its_address() -> None:
    async with targets.open_session(allow_private=False, resolver=Names("10.0.0.1")) as session:
        with pytest.raises(aiohttp.ClientConnectorError) as failed:
            await session.get("http://intranet.example.com/")
    refused = targets.refusal(failed.value)
    assert refused is not None
    assert "intranet.example.com (10.0.0.1) is an address of a private network" in refused.message


async def test_another_failure_is_no_refusal(unused_tcp_port: int) -> None:
    async with targets.open_session(allow_private=True) as session:
        with pytest.raises(aiohttp.ClientConnectorError) as failed:
            await session.get(f"http://127.0.0.1:{unused_tcp_port}/")
    assert targets.refusal(failed.value) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_an_agent_inside_is_asked_only_where_that_is_allowed(bench: Bench, host: str) -> None:
    url = (await bench.agent(answers(text='{"say": "Hello."}'))).url.replace("127.0.0.1", host)
    assert await hear(bench.at(url), TURN) == [Say("Hello.")]
    strict = WebhookAgent(url, options=STRICT)
    bench.agents.append(strict)
    error = await failure(strict)
    assert (error.code, "of a private network, which is not allowed" in error.message) == ("agent_target", True)


async def test_an_agent_that_is_not_asked_never_opens_the_breaker(bench: Bench) -> None:
    strict = WebhookAgent("http://127.0.0.1:9/", options=STRICT)
    bench.agents.append(strict)
    assert {(await failure(strict)).code for _ in range(7)} == {"agent_target"}


async def test_a_session_keeps_no_cookies(aiohttp_server: AiohttpServer) -> None:
    async with targets.open_session(allow_private=True) as session:
        assert isinstance(session.cookie_jar, aiohttp.DummyCookieJar)
        assert not session.trust_env
