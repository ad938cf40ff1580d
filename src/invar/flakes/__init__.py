"""Flakes: inputs, flake.lock, and outputs as a lazy function of them."""
