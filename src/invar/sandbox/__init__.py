"""The sandbox: namespaces and mounts in which one command, or a sequence of them, runs hermetically."""
