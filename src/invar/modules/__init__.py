"""The NixOS module system: options, types, merging, priorities, and errors that name every definition."""
