"""This program's other processes: how each is started."""

from __future__ import annotations

import sys


def own_module(name: str, *arguments: str) -> tuple[str, ...]:
    """Return the command that runs a module of ours in a process of its own.

    Nothing is imported from the working directory: it is the user's, and what is called `numbers.py` there is not
    what the standard library means. A user's agent finds its folder by itself (`bridge.agents.python`).
    """
    return (sys.executable, "-P", "-m", name, *arguments)
