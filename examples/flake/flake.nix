{
  outputs = { nixpkgs, nixos-generators, ... }: {
    packages.x86_64-linux.amazonImage = nixos-generators.nixosGenerate {
      system = "x86_64-linux"; modules = [ ./configuration.nix ]; format = "amazon";
    };
  };
}
