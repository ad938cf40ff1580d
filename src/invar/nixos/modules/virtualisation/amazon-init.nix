# user_data as configuration, parameters or script, applied once by the instance.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
in
{
  options.virtualisation.amazon-init.enable = mkOption {
    type = types.bool;
    default = true;
    description = ''
      Whether user_data is applied: a script that begins with `#!` is run, anything else is a configuration, parameters or a
      published generation to switch to (docs/instance.md). Written to /run/ec2-metadata/user-data in any case.
    '';
  };
  config = lib.mkIf (config.virtualisation.amazonImage.enable && config.virtualisation.amazon-init.enable && config.invar.machine.enable) {
    environment.systemPackages = [ pkgs.zstd ];
    systemd.services.amazon-init = {
      description = "Apply the instance's user data";
      wantedBy = [ "multi-user.target" ];
      after = [
        "multi-user.target"
        "fetch-ec2-metadata.service"
        "invar-boot-health.service"
      ];
      # It is what switches: a switch must not stop it.
      restartIfChanged = false;
      unitConfig.X-StopOnRemoval = false;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "/usr/bin/invar init user-data";
        StandardOutput = "journal+console";
        StandardError = "journal+console";
        TimeoutStartSec = "infinity";
      };
    };
  };
}
