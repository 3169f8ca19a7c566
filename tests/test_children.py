"""Processes of the program's own."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

from bridge.children import own_module

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", ["numbers", "structlog", "bridge"])
def test_a_file_of_the_users_is_no_module_of_ours(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text("raise SystemExit('this is the file of the user')\n")
    done = subprocess.run(
        own_module("bridge.speech_server", "--port", "99999"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "error:" in done.stderr
    assert "99999" in done.stderr, "it is the program itself that has said what is wrong"


def test_nobody_starts_a_process_of_ours_in_another_way() -> None:
    for path in sorted((ROOT / "bridge").rglob("*.py")):
        if path.name != "children.py":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
            used = [node.lineno for node in attributes if ast.unparse(node) == "sys.executable"]
            assert not used, f"{path.relative_to(ROOT)}:{used}: see bridge/children.py"
