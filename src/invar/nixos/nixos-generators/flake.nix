# What the native engine gives for the input `nixos-generators`: its functions over `config.system.build.images`.
{
  description = "Images of one configuration in many formats, as the native engine of Invar makes them";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      table = lib.importJSON "${nixpkgs}/nixos/modules/image/formats.json";
      imageOf = lib.listToAttrs (
        lib.concatLists (
          lib.mapAttrsToList (image: known: map (generator: lib.nameValuePair generator image) known.generators) table
        )
      );
      known = lib.attrNames imageOf;
      nearest = wanted: lib.filter (name: lib.levenshtein name wanted <= 2) known;
      unknown =
        wanted:
        throw "nixos-generators: there is no format '${wanted}'. ${
          if nearest wanted != [ ] then "Did you mean ${lib.concatStringsSep " or " (nearest wanted)}?" else "Formats: ${lib.concatStringsSep ", " known}."
        }";
      moduleOf = image: { config, lib, ... }: {
        imports = lib.optional (image == "amazon") "${nixpkgs}/nixos/modules/virtualisation/amazon-image.nix";
        options.formatAttr = lib.mkOption {
          type = lib.types.str;
          description = "The attribute of system.build that holds the image.";
          default = "image";
        };
        options.fileExtension = lib.mkOption {
          type = lib.types.str;
          description = "The ending of the image's file.";
          default = ".${table.${image}.extension}";
        };
        config.system.build.image = config.system.build.images.${image};
      };
    in
    {
      nixosGenerate =
        {
          format,
          pkgs ? null,
          lib ? nixpkgs.lib,
          nixosSystem ? nixpkgs.lib.nixosSystem,
          system ? null,
          specialArgs ? { },
          modules ? [ ],
          customFormats ? { },
          formatModule ? null,
        }:
        let
          image = imageOf.${format} or (unknown format);
          own = customFormats.${format} or formatModule;
          built = nixosSystem {
            inherit pkgs specialArgs;
            system = if system == null && pkgs != null then pkgs.stdenv.hostPlatform.system else system;
            modules = [ (if own != null then own else self.nixosModules.${format} or (unknown format)) ] ++ modules;
          };
        in
        if own != null then
          built.config.system.build.${built.config.formatAttr}
        else
          let
            made = built.config.system.build.images.${image};
          in
          # A derivation whose type is known before anything of the configuration is evaluated.
          {
            type = "derivation";
            outputName = "out";
            outputs = [ "out" ];
            out = made;
            inherit (made) name system drvPath outPath meta config passthru invar;
          };

      nixosModules = lib.mapAttrs (_: moduleOf) imageOf // {
        # `config.formats.NAME`, for every format at once.
        all-formats =
          { config, lib, ... }:
          {
            options.formats = lib.mkOption {
              type = lib.types.lazyAttrsOf lib.types.raw;
              readOnly = true;
              description = "The image in each format.";
            };
            config.formats = lib.mapAttrs (_: image: config.system.build.images.${image}) imageOf;
          };
      };
    };
}
