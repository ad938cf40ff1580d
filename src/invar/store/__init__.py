"""The store: content-addressed objects on disk, made once, whole or not at all."""
