# What modprobe must and must not load.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.boot;
in
{
  options.boot = {
    modprobeConfig.enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether modprobe's configuration is written.";
    };
    blacklistedKernelModules = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [
        "cirrusfb"
        "i2c_piix4"
      ];
      description = "Kernel modules that are not loaded for a device on their own.";
    };
    extraModprobeConfig = mkOption {
      type = types.lines;
      default = "";
      example = "options parport_pc io=0x378 irq=7 dma=1";
      description = "More lines of modprobe's configuration.";
    };
  };
  config.environment.etc = lib.mkIf cfg.modprobeConfig.enable {
    "modprobe.d/nixos.conf" = lib.mkIf (cfg.blacklistedKernelModules != [ ] || cfg.extraModprobeConfig != "") {
      text =
        lib.concatStrings (map (module: "blacklist ${module}\n") (lib.unique cfg.blacklistedKernelModules))
        + cfg.extraModprobeConfig;
    };
  };
}
