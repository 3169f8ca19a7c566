"""Pages for people: what the bridge shows in a browser."""
