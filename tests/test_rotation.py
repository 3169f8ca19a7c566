"""Keys and certificates are exchanged while a bridge runs: a real process, TLS, and SIGHUP."""

from __future__ import annotations

import asyncio
import datetime as dt
import signal
import ssl
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bridge.errors import SettingsError
from bridge.settings.source import load_settings
from bridge.twilio.signature import sign
from tests.assembly.test_reload import logged, serving
from tests.scripted_speech import ScriptedSpeech

OLD, NEW = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
OLD_API, NEW_API = "old-token-of-the-api", "new-token-of-the-api"
FORM = {"CallSid": "CA" + "1" * 32, "CallStatus": "ringing"}


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Write a self-made certificate for 127.0.0.1 and its key, in place of those that are there."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    files = folder / "cert.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return files


def shown_by(url: str) -> str:
    """Return the name in the certificate that a listener shows."""
    host, _, port = url.partition("://")[2].partition(":")
    pem = ssl.get_server_certificate((host, int(port)), timeout=5)
    found = x509.load_pem_x509_certificate(pem.encode()).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value)


def toml(folder: Path, speech: str, *, auth: str, old: str, api: str) -> str:
    return f"""
[server]
port = 0
tls_certificate = "{folder}/cert.pem"
tls_key = "{folder}/key.pem"
[twilio]
auth_token = "{auth}"
old_auth_tokens = [{f'"{old}"' if old else ""}]
[api]
token = "{api}"
[speech]
base_url = "{speech}"
[agent]
kind = "echo"
[store]
recordings = "{folder}/calls"
[log]
format = "json"
"""


async def test_keys_and_certificate_are_exchanged_while_it_runs(tmp_path: Path) -> None:
    config = tmp_path / "bridge.toml"
    await asyncio.to_thread(certificate, tmp_path, "first")
    any_certificate = ssl.create_default_context()
    any_certificate.check_hostname, any_certificate.verify_mode = False, ssl.CERT_NONE
    connector = aiohttp.TCPConnector(ssl=any_certificate, force_close=True)
    async with ScriptedSpeech().running() as speech, aiohttp.ClientSession(connector=connector) as http:
        config.write_text(toml(tmp_path, speech.url, auth=OLD, old="", api=OLD_API))
        async with serving(config) as (process, url):
            assert url.startswith("https://127.0.0.1:")

            async def signed(token: str) -> int:
                headers = {"X-Twilio-Signature": sign(token, url + "/twilio/status", [*FORM.items()])}
                async with http.post(url + "/twilio/status", data=FORM, headers=headers) as answer:
                    return answer.status

            async def asked(token: str) -> int:
                headers = {"Authorization": f"Bearer {token}"}
                async with http.get(url + "/api/v1/live", headers=headers) as answer:
                    return answer.status

            async def take(auth: str, old: str, api: str) -> None:
                config.write_text(toml(tmp_path, speech.url, auth=auth, old=old, api=api))
                process.send_signal(signal.SIGHUP)
                taken = await logged(process, "settings_taken")
                assert {"twilio.auth_token", "api.token"} & {*taken["changed"]} or auth == NEW

            assert (await signed(OLD), await signed(NEW)) == (204, 403)
            assert (await asked(OLD_API), await asked(NEW_API)) == (200, 401)
            assert await asyncio.to_thread(shown_by, url) == "first"

            following = await http.get(url + "/api/v1/events", headers={"Authorization": f"Bearer {OLD_API}"})
            await following.content.readuntil(b"\n\n")

            await asyncio.to_thread(certificate, tmp_path, "second")
            await take(NEW, OLD, NEW_API)
            assert (await signed(OLD), await signed(NEW)) == (204, 204)
            assert (await asked(OLD_API), await asked(NEW_API)) == (401, 200)
            assert await asyncio.to_thread(shown_by, url) == "second"
            assert b"you are signed out" in await asyncio.wait_for(following.content.read(), 5)

            (tmp_path / "cert.pem").write_text("rubbish")
            await take(NEW, "", NEW_API)
            assert (await signed(OLD), await signed(NEW)) == (403, 204)
            assert await asyncio.to_thread(shown_by, url) == "second", "what cannot be used is not taken"


@pytest.mark.parametrize("name", ["BRIDGE_SERVER__TLS_CERTIFICATE", "BRIDGE_SERVER__TLS_KEY"])
def test_half_a_certificate_is_told(name: str) -> None:
    with pytest.raises(SettingsError, match=r"wanted both server\.tls_certificate and server\.tls_key"):
        load_settings(environment={name: "a.pem"}, files=())
