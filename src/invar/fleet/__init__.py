"""The decisions over AWS: which images exist where, and what is made, copied and told for a new one."""
