"""Many more callers than there is room for, while calls go on; see `__main__`."""
