# The configuration of an EC2 instance.
{
  config,
  lib,
  pkgs,
  modulesPath,
  options,
  ...
}:
let
  inherit (lib) mkDefault mkOption types;
  isArm = config.nixpkgs.architecture == "arm64";
in
{
  imports = [
    ../profiles/headless.nix
    ./ec2-data.nix
    ./ec2-volumes.nix
  ];

  options.amazonImage = {
    format = mkOption {
      type = types.enum [
        "raw"
        "qcow2"
        "vpc"
      ];
      default = "raw";
      description = "The format that `invar build` writes unless it is told one; vpc is `azure`, a fixed VHD. What is published or run is raw in any case.";
    };
    contents = mkOption {
      type = types.listOf types.attrs;
      default = [ ];
      description = "Files to copy into the image. /etc is environment.etc; state is made at boot.";
    };
    sizeMB = mkOption {
      type = types.nullOr (types.either (types.enum [ "auto" ]) types.int);
      default = null;
      visible = false;
      description = "The older name of `virtualisation.diskSize`.";
    };
    name = mkOption {
      type = types.nullOr types.str;
      default = null;
      visible = false;
      description = "The older name of `image.baseName`.";
    };
  };

  config = {
    virtualisation.amazonImage.enable = true;

    boot.kernelPackages = mkDefault pkgs.linuxPackages_cloud;
    boot.initrd.availableKernelModules = [
      "nvme"
      "ena"
      "xen-blkfront"
    ];
    boot.kernelParams = [
      (if isArm then "console=ttyS0" else "console=ttyS0,115200n8")
      "random.trust_cpu=on"
      # EBS answers in its own time: an early timeout would fail writes that succeed.
      "nvme_core.io_timeout=4294967295"
    ];
    boot.blacklistedKernelModules = [
      "nouveau"
      "xen_fbfront"
    ];
    boot.growPartition = mkDefault true;

    systemd.services."serial-getty@ttyS0" = {
      enable = true;
      wantedBy = [ "getty.target" ];
    };

    services.openssh = {
      enable = true;
      settings.PermitRootLogin = mkDefault "prohibit-password";
      settings.PasswordAuthentication = mkDefault false;
      settings.KbdInteractiveAuthentication = mkDefault false;
    };
    # Filled in from the instance's metadata.
    networking.hostName = mkDefault "";
    networking.timeServers = [ "169.254.169.123" ];
    environment.defaultPackages = mkDefault [ ];

    virtualisation.diskSize = lib.mkIf (config.amazonImage.sizeMB != null) (lib.mkOverride 900 config.amazonImage.sizeMB);
    image.baseName = lib.mkIf (config.amazonImage.name != null) (lib.mkOverride 900 config.amazonImage.name);

    assertions = [
      {
        assertion = config.amazonImage.contents == [ ];
        message = "amazonImage.contents: the root is read-only. Put files of /etc into environment.etc, and make state with systemd.tmpfiles.";
      }
    ];
    warnings =
      lib.optional (config.amazonImage.sizeMB != null) "amazonImage.sizeMB is now virtualisation.diskSize."
      ++ lib.optional (config.amazonImage.name != null) "amazonImage.name is now image.baseName.";
  };
}
