"""The first minute: a whole call on this machine, held in front of the user. Needs no key, network or phone."""

from bridge.demo.run import run_demo

__all__ = ["run_demo"]
