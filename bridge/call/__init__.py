"""The shell around one conversation: sockets and tasks on one side, events and commands on the other."""
