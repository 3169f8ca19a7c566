"""Agents that are a flow file: read and checked, drawn, and run step by step."""
