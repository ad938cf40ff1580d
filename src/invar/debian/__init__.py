"""A Debian archive as the source of packages: signed index, lock, solver, download and the .deb format."""
