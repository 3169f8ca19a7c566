"""A real PostgreSQL for the tests, from the wheel `pgserver`: started by the test run, and gone with it.

PostgreSQL refuses to run as root. A test run of root starts it as `nobody`, who may read nothing of root's: the
program is copied to where they can, if they cannot where it is.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest


class PostgresServer:
    """A server that listens on a socket in a folder of its own, with nobody's data but the tests'."""

    def __init__(self) -> None:
        # Not pytest's folder for temporary files, which is closed to other users, and too deep for a socket's name.
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._made = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._as: dict[str, Any] = {}
        programs = _programs()
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            if subprocess.run([programs / "bin" / "postgres", "-V"], check=False, **self._quiet()).returncode:
                programs = Path(shutil.copytree(programs, self.folder / "programs"))
        self._postgres = programs / "bin" / "postgres"
        initdb = [
            str(programs / "bin" / "initdb"),
            "-D",
            str(self.folder / "data"),
            "-U",
            "postgres",
            "-A",
            "trust",
        ]
        subprocess.run([*initdb, "-E", "utf8", "--locale=C", "-N"], check=True, **self._quiet())
        self.start()

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={self.folder}", "-F"]
        log = (self.folder / "log").open("ab")
        with log:
            arguments = [str(self._postgres), "-D", str(self.folder / "data"), *options]
            process: subprocess.Popen[bytes] = subprocess.Popen(
                arguments, **{**self._quiet(), "stdout": log, "stderr": log}
            )
        self._process = process
        ends = time.monotonic() + 20
        while not self._ready():
            if process.poll() is not None or time.monotonic() > ends:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it at once, whoever is connected. A clean end would wait for them."""
        if self._process is not None:
            self._process.send_signal(3)  # SIGQUIT: immediately
            self._process.wait(20)
            self._process = None

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def new_database(self) -> str:
        """Make an empty database, and return its URL."""
        self._made += 1
        name = f"calls{self._made}"
        script = f"CREATE DATABASE {name}"
        psql = self._postgres.with_name("psql")
        subprocess.run([psql, self.url("postgres"), "-c", script], check=True, **self._quiet())
        return self.url(name)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _ready(self) -> bool:
        try:
            return (self.folder / "data" / "postmaster.pid").read_text().rstrip().endswith("ready")
        except OSError:
            return False

    def _quiet(self) -> dict[str, Any]:
        return {**self._as, "cwd": self.folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def start_postgres() -> PostgresServer:
    """Start a server, or skip the test with the reason why there is none."""
    try:
        return PostgresServer()
    except (OSError, LookupError, RuntimeError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no PostgreSQL runs here: {error}")


def _programs() -> Path:
    # pgserver itself is not imported: it would make a user and open folders to everybody when root imports it.
    spec = find_spec("pgserver")
    if spec is None or spec.origin is None:
        raise LookupError("pgserver is not installed")
    return Path(spec.origin).with_name("pginstall")
