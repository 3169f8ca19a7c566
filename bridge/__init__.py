"""A self-hosted bridge between phone calls and AI agents."""
