"""Builds and installs the sample distribution as pip does, without a network and without a build backend."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

SOURCE = Path(__file__).parent / "sample"


def build_wheel(folder: Path) -> Path:
    """Make a wheel of what the sample's pyproject.toml says."""
    project = tomllib.loads((SOURCE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, version = project["name"].replace("-", "_"), project["version"]
    points = [
        line
        for group, entries in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{key} = {value}" for key, value in entries.items()))
    ]
    info = f"{name}-{version}.dist-info"
    files = {
        "canned_agent.py": (SOURCE / "canned_agent.py").read_text(encoding="utf-8"),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "\n".join(points) + "\n",
    }
    record = "".join(f"{file},,\n" for file in (*files, f"{info}/RECORD"))
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(file, text)
    return wheel


def install(folder: Path) -> Path:
    """Install the sample into a folder of its own, and return the one to put on the path."""
    target = folder / "site"
    command = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--quiet", "--no-compile"]
    command += ["--disable-pip-version-check", "--target", str(target), str(build_wheel(folder))]
    subprocess.run(command, check=True, capture_output=True, timeout=50)
    return target
