# NixOS's file of this name: `import "${nixpkgs}/nixos/lib/eval-config.nix" { system = "x86_64-linux"; modules = [ ... ]; }`.
arguments:
import ../../invar/eval-config.nix {
  lib = import ../../lib;
  modulesPath = toString ../modules;
} ({ system = builtins.currentSystem or null; } // arguments)
