# The least that a flake of the tests asks of nixpkgs, so that real Nix evaluates it without nixpkgs.
{
  outputs =
    { self }:
    let
      image =
        system: name:
        derivation {
          inherit name system;
          builder = "/bin/sh";
        };
      nixosSystem =
        {
          system ? "x86_64-linux",
          modules,
          specialArgs ? { },
        }:
        {
          _type = "configuration";
          class = "nixos";
          extendModules = _: throw "not here";
          options = { };
          config.system.build = {
            toplevel = image system "nixos-system";
            amazonImage = image system "nixos-amazon-image";
            images.amazon = image system "nixos-amazon-image";
          };
        };
      each = f: {
        x86_64-linux = f "x86_64-linux";
        aarch64-linux = f "aarch64-linux";
      };
    in
    {
      lib = {
        inherit nixosSystem;
        genAttrs = names: f: builtins.listToAttrs (map (name: { inherit name; value = f name; }) names);
      };
      legacyPackages = each (system: {
        hello = image system "hello";
        writeShellScriptBin = name: text: image system name;
      });
      nixosModules = { };
    };
}
