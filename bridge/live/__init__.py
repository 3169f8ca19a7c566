"""Live calls as people see them: what happens, as it happens, and the sound."""
