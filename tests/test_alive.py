"""The health check of containers."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web

from bridge import alive
from bridge.alive import Address, address
from bridge.settings.source import DEFAULT_FILES, load_settings
from tests.test_rotation import certificate

FILE = '[server]\nhost = "0.0.0.0"\nport = 8443\ntls_certificate = "c.pem"\ntls_key = "k.pem"\n'


@pytest.mark.parametrize(
    ("file", "environment", "found"),
    [
        ("", {}, Address("127.0.0.1", 8080, tls=False)),
        (FILE, {}, Address("127.0.0.1", 8443, tls=True)),
        (FILE, {"BRIDGE_SERVER__PORT": "9000"}, Address("127.0.0.1", 9000, tls=True)),
        (FILE, {"bridge_server__port": "9000"}, Address("127.0.0.1", 9000, tls=True)),
        ("", {"BRIDGE_SERVER__HOST": "::"}, Address("::1", 8080, tls=False)),
        ("", {"BRIDGE_SERVER__HOST": "10.0.0.7"}, Address("10.0.0.7", 8080, tls=False)),
        ("", {"BRIDGE_SERVER__TLS_CERTIFICATE": "c", "SERVER__PORT": "1"}, Address("127.0.0.1", 8080, tls=True)),
        ("", {"BRIDGE_LOG__LEVEL": "debug", "BRIDGE_SERVER_PORT": "1"}, Address("127.0.0.1", 8080, tls=False)),
    ],
)
def test_where_it_asks(file: str, environment: dict[str, str], found: Address, tmp_path: Path) -> None:
    (tmp_path / "bridge.toml").write_text(file)
    assert address(environment, [tmp_path / "config.toml", tmp_path / "bridge.toml"]) == found


def test_it_means_the_same_files_and_defaults_as_the_bridge() -> None:
    settings = load_settings(files=(), environment={})
    assert address({}, []) == (settings.server.host, settings.server.port, False)
    assert alive.FILES == DEFAULT_FILES


@pytest.mark.parametrize("tls", [False, True])
async def test_it_asks_a_listener(tls: bool, tmp_path: Path, unused_tcp_port: int) -> None:
    answers = 200

    async def health(_: web.Request) -> web.Response:
        return web.Response(status=answers)

    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*await asyncio.to_thread(certificate, tmp_path, "voice.example.com"))
    app = web.Application()
    app.router.add_get("/healthz", health)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port, ssl_context=context).start()
    config = tmp_path / "given.toml"
    config.write_text(f"[server]\nport = {unused_tcp_port}\ntls_certificate = '{'c.pem' if tls else ''}'\n")
    try:
        assert await asyncio.to_thread(alive.main, [str(config)]) == 0
        answers = 503
        assert await asyncio.to_thread(alive.main, [str(config)]) == 1
    finally:
        await runner.cleanup()
    assert await asyncio.to_thread(alive.main, [str(config)]) == 1


def test_what_is_wrong_is_one_line_and_nothing_large_is_imported(tmp_path: Path, unused_tcp_port: int) -> None:
    script = (
        "import sys, bridge.alive as it; code = it.main(sys.argv[1:]);"
        "large = {'aiohttp', 'click', 'pydantic', 'structlog'} & {*sys.modules};"
        "assert not large, large; sys.exit(code)"
    )
    config = tmp_path / "given.toml"
    for text, says in ((f"server.port = {unused_tcp_port}", "refused"), ("port =", "Invalid value")):
        config.write_text(text)
        done = subprocess.run(
            [sys.executable, "-c", script, str(config)], capture_output=True, text=True, timeout=30, check=False
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("error: the bridge does not answer: ")
        assert says in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_file_that_is_named_has_to_be_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert alive.main([str(tmp_path / "other.toml")]) == 1
    assert "No such file or directory" in capsys.readouterr().err


def test_its_help_says_which_file_it_means(capsys: pytest.CaptureFixture[str]) -> None:
    assert alive.main(["--help"]) == 0
    assert "`serve --config` names" in capsys.readouterr().out
