"""`lib.types`: native option types that are ordinary Nix attribute sets as well."""
