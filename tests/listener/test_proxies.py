"""Whose word counts about who asks."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from bridge.api.addresses import from_this_machine
from bridge.listener.proxies import LOOPBACK, Proxies


class Transport:
    """The connection of a request that comes from an address."""

    def __init__(self, address: str) -> None:
        self._address = address

    def get_extra_info(self, name: str, default: object = None) -> object:
        return (self._address, 1234) if name == "peername" else default


@pytest.mark.parametrize(
    ("networks", "address", "forwarded", "remote"),
    [
        (LOOPBACK, "9.9.9.9", [], "9.9.9.9"),
        (LOOPBACK, "9.9.9.9", ["1.2.3.4"], "9.9.9.9"),
        (LOOPBACK, "127.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        (LOOPBACK, "127.0.0.1", ["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
        (LOOPBACK, "127.0.0.1", ["6.6.6.6", "1.2.3.4"], "1.2.3.4"),
        (LOOPBACK, "::ffff:127.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        (("10.0.0.0/8",), "127.0.0.1", ["1.2.3.4"], "127.0.0.1"),
        (("10.0.0.0/8",), "10.1.1.1", ["6.6.6.6, 1.2.3.4, 10.2.2.2"], "1.2.3.4"),
        (("10.0.0.0/8",), "10.1.1.1", [""], "10.1.1.1"),
        ((), "127.0.0.1", ["1.2.3.4"], "127.0.0.1"),
    ],
)
def test_the_last_address_that_is_no_proxy_of_ours_is_who_asks(
    networks: tuple[str, ...], address: str, forwarded: list[str], remote: str
) -> None:
    headers = CIMultiDict([("X-Forwarded-For", one) for one in forwarded])
    request = make_mocked_request("GET", "/", headers=headers, transport=Transport(address))
    assert Proxies(networks).remote(request) == remote


@pytest.mark.parametrize(
    "header",
    [
        *("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Server", "Forwarded", "Via", "X-Real-IP"),
        *("CF-Connecting-IP", "CF-Ray", "True-Client-IP", "X-Client-IP", "X-Original-Forwarded-For", "CDN-Loop"),
    ],
)
def test_who_speaks_for_another_is_not_this_machine(header: str) -> None:
    at_home = CIMultiDict({"Host": "localhost:8080"})
    here = Transport("127.0.0.1")
    assert from_this_machine(make_mocked_request("GET", "/", headers=at_home, transport=here))
    # Even one that claims to speak for this very machine.
    through = CIMultiDict({**at_home, header: "127.0.0.1"})
    assert not from_this_machine(make_mocked_request("GET", "/", headers=through, transport=here))
