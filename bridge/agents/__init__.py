"""Agents: the contract and the kinds that are built in."""
