# How large the image's disk is.
{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.virtualisation.diskSize = mkOption {
    type = types.either (types.enum [ "auto" ]) types.ints.positive;
    default = "auto";
    description = "The disk's size in MiB; \"auto\" is what the layers need, and some room for state.";
  };
}
