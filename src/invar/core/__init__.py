"""What every room above the language stands on: errors, events, the home directory, canonical JSON."""
