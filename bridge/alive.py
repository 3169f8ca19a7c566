"""Whether the bridge on this machine answers: `python -P -m bridge.alive [FILE]`, for health checks of containers.

It goes by the bridge's own settings, the environment over FILE. Without FILE it means the file that a bridge reads
which is started without `--config`: whatever `serve --config` names has to be named here, too. It looks at the few
settings that it needs by itself: it is run every few seconds, and reading all of them takes a second.
"""

from __future__ import annotations

import http
import http.client
import os
import ssl
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

FILES: Final = (Path("config/bridge.toml"), Path("bridge.toml"))
_WITHIN_S: Final = 4.0
_ANY: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  Where to ask who listens there.


class Address(NamedTuple):
    """Where the bridge listens."""

    host: str
    port: int
    tls: bool


def address(environment: Mapping[str, str], files: Sequence[Path] = FILES) -> Address:
    """Return where a bridge with these settings listens. Raises OSError and ValueError for a file that is none."""
    file = next((file for file in files if file.is_file()), None)
    server: dict[str, Any] = {} if file is None else tomllib.loads(file.read_text("utf-8")).get("server", {})
    for name, value in environment.items():
        section, _, key = name.upper().partition("__")
        if section == "BRIDGE_SERVER" and key:
            server[key.lower()] = value
    host = str(server.get("host", "127.0.0.1"))
    return Address(_ANY.get(host, host), int(server.get("port", 8080)), bool(server.get("tls_certificate")))


def status(where: Address) -> int:
    """Ask `/healthz`, and return the answer's status. Raises OSError and HTTPException where there is none."""
    if where.tls:
        # The certificate is for the public name. This asks its own machine, and gives nothing away.
        any_name = ssl.create_default_context()
        any_name.check_hostname, any_name.verify_mode = False, ssl.CERT_NONE
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            where.host, where.port, timeout=_WITHIN_S, context=any_name
        )
    else:
        connection = http.client.HTTPConnection(where.host, where.port, timeout=_WITHIN_S)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status
    finally:
        connection.close()


def main(arguments: Sequence[str]) -> int:
    """Say in one line what is wrong, if anything is. Returns the exit code: 0, or 1."""
    if {"-h", "--help"} & {*arguments}:
        sys.stdout.write(__doc__ or "")
        return 0
    try:
        for name in arguments:
            Path(name).stat()  # Only of the files that are looked for unasked may any be missing.
        where = address(os.environ, [Path(name) for name in arguments] or FILES)
        found = status(where)
    except (OSError, ValueError, http.client.HTTPException) as error:
        sys.stderr.write(f"error: the bridge does not answer: {error}\n")
        return 1
    if found != http.HTTPStatus.OK:
        sys.stderr.write(f"error: the bridge answers {found} at /healthz\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
