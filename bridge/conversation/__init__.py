"""The heart: one call'\''s talk, decided purely. No clock, no sockets, no tasks of its own."""
