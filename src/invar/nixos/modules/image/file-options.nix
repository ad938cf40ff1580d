# The name of the image's file.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.image = {
    baseName = mkOption {
      type = types.str;
      default = "invar-${if config.networking.hostName == "" then "image" else config.networking.hostName}-${config.nixpkgs.architecture}";
      description = "The image's name, without ending.";
    };
    extension = mkOption {
      type = types.str;
      internal = true;
      default = "img";
      description = "The ending of the image's file.";
    };
    fileName = mkOption {
      type = types.str;
      internal = true;
      readOnly = true;
      default = "${config.image.baseName}.${config.image.extension}";
      description = "The image's name, with its ending.";
    };
  };
}
