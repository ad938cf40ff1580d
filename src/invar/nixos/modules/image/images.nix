# What is built of a configuration: `system.build.toplevel`, and `system.build.images.NAME`, one for each format.
#
# Each is a derivation for whoever looks at it (name, drvPath, outPath); no builder of it ever runs. The native engine knows it
# by its attribute `invar`: the configuration, and the format of the image.
{
  config,
  extendModules,
  lib,
  ...
}:
let
  inherit (lib) mkOption types;
  formats = lib.importJSON ./formats.json;

  # What is built of `built`, which is `config` or extends it. Its path is a hash of all of the system; its name costs nothing.
  product =
    {
      name,
      built,
      format,
    }:
    derivation {
      inherit name;
      system = built.nixpkgs.hostPlatform.system;
      builder = "/invar/native";
      inherit format;
      spec = builtins.toJSON built.system.build.invar;
    }
    // {
      config = built;
      passthru.config = built;
      meta.description = if format == null then "a system of Invar's native engine" else "${format} image of Invar's native engine";
      invar = {
        config = built;
        base = config.system;
        inherit format;
      };
    };
  imageOf =
    name:
    let
      extended = (extendModules { modules = [ config.image.modules.${name} ]; }).config;
    in
    product {
      name = "invar-image-${name}-${config.nixpkgs.hostPlatform.system}";
      built = extended;
      inherit (formats.${name}) format;
    };
in
{
  options.image.modules = mkOption {
    type = types.attrsOf types.deferredModule;
    default = { };
    example = lib.literalExpression ''{ amazon = { virtualisation.diskSize = 8192; }; }'';
    description = "What holds for an image in one format only, by the format's name in `system.build.images`.";
  };

  config = {
    image.modules = {
      amazon.imports = [ ../virtualisation/amazon-image.nix ];
    }
    // lib.genAttrs (lib.filter (name: name != "amazon") (lib.attrNames formats)) (name: {
      image.extension = lib.mkDefault formats.${name}.extension;
    });
    system.build = {
      toplevel = product {
        name = "invar-system-${config.system.name}";
        built = config;
        format = null;
      };
      amazonImage = config.system.build.images.amazon;
      images = lib.genAttrs (lib.attrNames formats) imageOf;
    };
  };
}
