# `import nixpkgs { system = "x86_64-linux"; }`: the package set.
{
  system ? localSystem.system or builtins.currentSystem,
  localSystem ? { },
  overlays ? [ ],
  config ? { },
  crossSystem ? null,
  ...
}:
assert crossSystem == null || throw "nixpkgs: the native engine has no cross compilation: give `system` instead of `crossSystem`.";
builtins.invarPackages { inherit system overlays; }
