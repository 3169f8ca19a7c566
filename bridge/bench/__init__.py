"""Measures the bridge from outside: what calls cost, how many a core carries, its own share of a turn.

`run.run_bench` starts a system in a process of its own (`systems`: this bridge, the bare relay, any other program)
and plays every peer of it (`load`); `batching` sweeps the size of messages to the speech service; `pacing.measure`
asks how far ahead of the phone audio should be, and needs no process.
"""
