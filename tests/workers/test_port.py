"""The port that the workers share."""

from __future__ import annotations

import contextlib
import socket

import pytest

from bridge.errors import SettingsError
from bridge.workers.port import keep_port


def test_a_free_port_is_chosen_kept_and_can_be_shared() -> None:
    with contextlib.ExitStack() as stack:
        port = keep_port("127.0.0.1", 0, stack)
        for _ in range(2):
            sharing = stack.enter_context(socket.socket())
            sharing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sharing.bind(("127.0.0.1", port))
            sharing.listen()
        with contextlib.closing(socket.create_connection(("127.0.0.1", port))):
            pass


def test_a_port_that_another_bridge_shares_among_its_own_is_in_use() -> None:
    with contextlib.ExitStack() as stack, contextlib.ExitStack() as other:
        port = keep_port("127.0.0.1", 0, stack)
        worker = stack.enter_context(socket.socket())
        worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        worker.bind(("127.0.0.1", port))
        worker.listen()
        with pytest.raises(OSError, match="in use"):
            keep_port("127.0.0.1", port, other)


def test_a_system_that_cannot_share_a_port_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "SO_REUSEPORT")
    with contextlib.ExitStack() as stack, pytest.raises(SettingsError, match=r"server\.workers"):
        keep_port("127.0.0.1", 0, stack)
