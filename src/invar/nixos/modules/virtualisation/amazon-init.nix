# user_data as configuration or script, at the instance's first boot.
{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.virtualisation.amazon-init.enable = mkOption {
    type = types.bool;
    default = true;
    description = ''
      Whether user_data is applied: a script that begins with `#!` is run, anything else is a configuration to switch to. Written
      to /run/ec2-metadata/user-data in any case.
    '';
  };
}
