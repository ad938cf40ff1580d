# Invar on the instance: `invar switch` and its kin, and the health of each boot.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.invar;
in
{
  options.invar = {
    machine.enable = mkOption {
      type = types.bool;
      default = config.virtualisation.amazonImage.enable && config.virtualisation.amazon-init.enable;
      defaultText = lib.literalExpression "config.virtualisation.amazonImage.enable && config.virtualisation.amazon-init.enable";
      description = ''
        Whether Invar itself, and Python to run it, is in the image: `invar switch`, generations, proof. Without it the image boots
        and serves all the same.
      '';
    };
    boot.tries = mkOption {
      type = types.ints.between 1 9;
      default = 3;
      description = "How often a new generation is booted before the last good one is taken again, unless its checks pass.";
    };
    boot.deadline = mkOption {
      type = types.ints.positive;
      default = 300;
      description = "How long the checks may take to pass after a boot, in seconds. A new generation that takes longer has failed.";
    };
  };

  config = lib.mkIf cfg.machine.enable {
    environment.systemPackages = [ pkgs.python3 ];
    environment.etc."invar/machine.json".text = builtins.toJSON {
      boot_tries = cfg.boot.tries;
      boot_deadline = cfg.boot.deadline;
    };
    systemd.services.invar-boot-health = {
      description = "Whether this boot is a good one";
      wantedBy = [ "multi-user.target" ];
      after = [
        "local-fs.target"
        "systemd-tmpfiles-setup.service"
      ];
      conflicts = [ "shutdown.target" ];
      before = [ "shutdown.target" ];
      # Without default dependencies a target does not wait for what it wants.
      unitConfig.DefaultDependencies = false;
      restartIfChanged = false;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "/usr/bin/invar boot-health";
        TimeoutStartSec = cfg.boot.deadline + 120;
      };
    };
  };
}
