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
    cache.url = mkOption {
      type = types.listOf (types.strMatching "(https?|s3|file)://.+");
      default = [ ];
      example = [ "https://cache.example.org/web" "s3://example-invar-cache/web" ];
      description = ''
        Build caches (`invar cache export`) that instances fetch published systems from, in this order. What is fetched by digest is
        proven by that digest, whoever serves it. What a configuration with other packages was built to must be signed where
        invar.userData.trustedKeys has keys; without keys it is the word of the cache that counts, and plain http is not believed.
      '';
    };
    cache.s3Endpoint = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "https://bucket.vpce-0123.s3.eu-central-1.vpce.amazonaws.com";
      description = ''
        Where buckets among the build caches are read, a VPC endpoint for example; the bucket's name is the first part of the path
        there. null is AWS's own address in the instance's region, or in the bucket's.
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
    boot.hang = mkOption {
      type = types.ints.positive;
      default = 600;
      description = ''
        How long a boot or a soft-reboot may take until its checks begin, in seconds. One that takes longer hangs: the machine is
        restarted.
      '';
    };
  };

  config = lib.mkIf cfg.machine.enable {
    environment.systemPackages = [ pkgs.python3 ] ++ lib.optional (cfg.cache.url != [ ]) pkgs.cacert;
    environment.etc."invar/machine.json".text = builtins.toJSON {
      boot_tries = cfg.boot.tries;
      boot_deadline = cfg.boot.deadline;
      boot_hang = cfg.boot.hang;
      caches = cfg.cache.url;
      s3_endpoint = cfg.cache.s3Endpoint;
    };
    # systemd leaves the mounts below /run behind in a soft-reboot (src/invar/machine/soft_reboot.py): those of the layers come back.
    systemd.services.invar-layers = {
      description = "The layers that this system was started from";
      wantedBy = [ "sysinit.target" ];
      before = [
        "sysinit.target"
        "local-fs.target"
      ];
      conflicts = [ "shutdown.target" ];
      restartIfChanged = false;
      unitConfig = {
        DefaultDependencies = false;
        ConditionPathExists = "/run/invar/layers.env";
      };
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        EnvironmentFile = "/run/invar/layers.env";
        ExecStart = [
          "/usr/bin/mount -t erofs -o ro,nodev \${PACKAGES} /run/invar/packages"
          "/usr/bin/mount -t erofs -o ro,nodev \${CONFIG} /run/invar/config"
        ];
      };
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
      unitConfig = {
        # Without default dependencies a target does not wait for what it wants.
        DefaultDependencies = false;
        # From the boot's first moment on, whatever it waits for: a boot that comes to no verdict is restarted.
        JobTimeoutSec = cfg.boot.hang + cfg.boot.deadline;
        JobTimeoutAction = "reboot-force";
      };
      restartIfChanged = false;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "/usr/bin/invar boot-health";
        TimeoutStartSec = "infinity";
      };
    };
    # src/invar/machine/deadline.py
    systemd.services.invar-deadline = {
      description = "Resets the machine if a soft-reboot hangs";
      restartIfChanged = false;
      unitConfig = {
        DefaultDependencies = false;
        IgnoreOnIsolate = true;
        SurviveFinalKillSignal = true;
        X-StopOnRemoval = false;
      };
      serviceConfig = {
        Type = "notify";
        ExecStart = "/usr/bin/invar deadline";
      };
    };
    # A PID 1 that crashes restarts the machine, and so does one that hangs: EC2 has no watchdog device, the kernel has one of its own.
    boot.kernelModules = [ "softdog" ];
    systemd.settings.Manager = {
      CrashAction = lib.mkDefault "reboot";
      RuntimeWatchdogSec = lib.mkDefault "3min";
    };
  };
}
