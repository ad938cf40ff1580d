# The least of nixos-generators, for real Nix.
{
  outputs =
    { self }:
    {
      nixosGenerate =
        {
          system,
          modules,
          format,
          specialArgs ? { },
        }:
        derivation {
          inherit system;
          name = "nixos-${format}-image";
          builder = "/bin/sh";
        };
    };
}
