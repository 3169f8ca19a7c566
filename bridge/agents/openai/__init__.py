"""Agents that are a language model behind a chat-completions endpoint."""
