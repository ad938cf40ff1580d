"""NixOS's options on Debian's packages: the module library, `pkgs`, and the evaluation of a configuration with both."""
