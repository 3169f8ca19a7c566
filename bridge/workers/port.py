"""The port that all workers listen at: chosen and kept by who starts them."""

from __future__ import annotations

import contextlib
import socket

from bridge.errors import SettingsError


def keep_port(host: str, port: int, stack: contextlib.ExitStack | contextlib.AsyncExitStack) -> int:
    """Return the port for workers to listen at, which is kept until the stack's end; 0 takes a free one.

    Raises OSError where it cannot be had, and SettingsError where no port can be shared on this system.
    """
    if not hasattr(socket, "SO_REUSEPORT") or not hasattr(socket, "send_fds"):
        raise SettingsError(
            "server.workers (BRIDGE_SERVER__WORKERS) is more than 1, but on this system several processes cannot"
            " share a port: leave it at 1"
        )
    infos = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, kind, protocol, _, address in infos:
        # Anybody else who listens there is noticed by this, and not by what follows: another bridge shares as well.
        with _open(family, kind, protocol) as alone:
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind((address[0], port, *address[2:]))
            port = port or alone.getsockname()[1]
        kept = _open(family, kind, protocol)
        stack.callback(kept.close)
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        kept.bind((address[0], port, *address[2:]))
    return port


def _open(family: int, kind: int, protocol: int) -> socket.socket:
    opened = socket.socket(family, kind, protocol)
    if family == socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return opened
