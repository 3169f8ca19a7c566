"""Measures the bridge from outside: its own share of a turn, and how far ahead of the phone its audio should be.

`run.run_bench` starts a bridge in a process of its own and plays every peer of it; `pacing.measure` needs
no process.
"""
