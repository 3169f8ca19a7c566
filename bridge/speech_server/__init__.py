"""Acts as Cartesia, offline: recognition and a voice that run on this machine, behind the service's own protocols.

`server.start` runs the server in this process, `launch.launch_local` in a process of its own.
"""
