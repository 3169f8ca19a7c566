"""The listener: how many may connect, for how long, and whose word counts about who asks."""
