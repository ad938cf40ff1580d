# The kernel, its command line and its modules.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.boot;
in
{
  options.boot = {
    kernelPackages = mkOption {
      type = types.raw;
      default = pkgs.linuxPackages;
      defaultText = lib.literalExpression "pkgs.linuxPackages";
      example = lib.literalExpression "pkgs.linuxPackages_cloud";
      description = ''
        The kernel, with what belongs to it: `pkgs.linuxPackages` is Debian's generic kernel, `pkgs.linuxPackages_cloud` its kernel
        for virtual machines, `pkgs.linuxPackages_rt` the one for real time.
      '';
    };
    kernelParams = mkOption {
      type = types.listOf (types.strMatching ''([^"[:space:]]|"[^"]*")+'');
      default = [ ];
      description = "Words of the kernel command line.";
    };
    consoleLogLevel = mkOption {
      type = types.int;
      default = 4;
      description = "Kernel messages more important than this appear on the console.";
    };
    kernelModules = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Kernel modules to load while booting.";
    };
    extraModulePackages = mkOption {
      type = types.listOf types.package;
      default = [ ];
      description = "Packages that hold further kernel modules.";
    };
    initrd = {
      availableKernelModules = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [
          "sata_nv"
          "ext3"
        ];
        description = "Kernel modules in the initrd, for what it may find at boot.";
      };
      kernelModules = mkOption {
        type = types.listOf types.str;
        default = [ ];
        description = "Kernel modules that the initrd loads.";
      };
      includeDefaultModules = mkOption {
        type = types.bool;
        default = true;
        description = "Whether the initrd has the modules that most machines need.";
      };
    };
  };

  config = {
    boot.kernelParams = [ "loglevel=${toString cfg.consoleLogLevel}" ];
    boot.initrd.availableKernelModules = lib.mkIf cfg.initrd.includeDefaultModules [
      "virtio_blk"
      "virtio_pci"
      "nvme"
    ];
    environment.systemPackages = cfg.extraModulePackages;
    environment.etc."modules-load.d/nixos.conf" = lib.mkIf (cfg.kernelModules != [ ]) {
      text = lib.concatStrings (map (module: "${module}\n") (lib.unique cfg.kernelModules));
    };
    assertions = [
      {
        assertion = cfg.kernelPackages ? kernel;
        message = "boot.kernelPackages must be a set with a `kernel`, pkgs.linuxPackages for example.";
      }
    ];
  };
}
