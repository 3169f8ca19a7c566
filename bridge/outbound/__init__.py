"""Calls that the bridge places: what may be asked for, whose turn it is, and what became of each."""
