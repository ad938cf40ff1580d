"""Invar: declarative, reproducible EC2 images and fleets from a configuration.nix."""

__version__ = "0.1.0"
