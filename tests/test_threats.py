"""The README's table of threats: each row leads to a test that is there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def rows() -> list[list[str]]:
    table = README.split("| threat | what stops it | test |\n")[1].split("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def names(tree: ast.AST) -> set[str]:
    """The tests of a module, as pytest names them."""
    found = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{name}" for name in names(node)}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
    return found


def test_all_six_kinds_are_there() -> None:
    kinds = [row[0].split("**")[1] for row in rows() if row[0].startswith("**")]
    assert kinds == [
        "Spoofing",
        "Tampering",
        "Repudiation",
        "Information disclosure",
        "Denial of service",
        "Elevation of privilege",
    ]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0][:50])
def test_each_threat_has_a_test_that_exists(row: list[str]) -> None:
    _, stops, test = row
    assert stops
    path, _, name = test.strip("`").partition("::")
    file = ROOT / path
    assert file.is_file(), path
    assert name.rpartition("::")[2].startswith("test_")
    assert name in names(ast.parse(file.read_text(encoding="utf-8")))
