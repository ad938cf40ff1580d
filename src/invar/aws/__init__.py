"""Thin typed calls to AWS: snapshots by EBS direct (with delta), images, parameters."""
