# What the native engine gives for the input `nixpkgs`. `lib`, `nixos/modules` and `invar` are the module library's own directories.
{
  description = "NixOS's options on Debian's packages, as the native engine of Invar has them";

  outputs =
    { self }:
    let
      lib = import ./lib;
      systems = lib.systems.flakeExposed;
    in
    {
      lib = lib.extend (
        final: prev: {
          nixos = import ./nixos/lib { lib = final; };
          nixosSystem =
            arguments:
            import ./nixos/lib/eval-config.nix (
              {
                lib = final;
                system = null;
              }
              // arguments
            );
        }
      );
      legacyPackages = lib.genAttrs systems (system: import ./. { inherit system; });
      nixosModules = {
        notDetected = ./nixos/modules/installer/scan/not-detected.nix;
        readOnlyPkgs = ./nixos/modules/misc/nixpkgs/read-only.nix;
      };
    };
}
