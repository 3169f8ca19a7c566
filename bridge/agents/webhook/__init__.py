"""Agents that answer HTTP requests."""
