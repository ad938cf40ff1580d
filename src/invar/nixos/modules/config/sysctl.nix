# Kernel parameters that are set at run time.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  # Like `either`, but a number that may only grow takes the largest of its definitions.
  value = types.nullOr (
    types.oneOf [
      types.int
      types.bool
      types.str
    ]
  );
  largest = lib.mkOptionType {
    name = "largest unsigned int";
    description = "unsigned integer, of several the largest";
    check = number: lib.isInt number && number >= 0;
    merge = _: defs: lib.foldl' lib.max 0 (lib.getValues defs);
  };
  render = name: setting: if setting == true then "${name}=1" else if setting == false then "${name}=0" else "${name}=${toString setting}";
in
{
  options.boot.kernel.sysctl = mkOption {
    type = types.submodule {
      freeformType = types.attrsOf value;
      options = {
        "net.core.rmem_max" = mkOption {
          type = types.nullOr largest;
          default = null;
          description = "Largest receive buffer of a socket, in bytes. Of several definitions the largest counts.";
        };
        "net.core.wmem_max" = mkOption {
          type = types.nullOr largest;
          default = null;
          description = "Largest send buffer of a socket, in bytes. Of several definitions the largest counts.";
        };
      };
    };
    default = { };
    example = lib.literalExpression ''{ "net.ipv4.tcp_syncookies" = false; "vm.swappiness" = 60; }'';
    description = "Parameters below /proc/sys, by name. null leaves a parameter as it is.";
  };
  config = {
    environment.etc."sysctl.d/60-nixos.conf".text = lib.concatStrings (
      lib.mapAttrsToList (name: setting: "${render name setting}\n") (
        lib.filterAttrs (_: setting: setting != null) config.boot.kernel.sysctl
      )
    );
    boot.kernel.sysctl = {
      "kernel.kptr_restrict" = lib.mkDefault 1;
      "kernel.printk" = lib.mkDefault "${toString config.boot.consoleLogLevel} 4 1 7";
      "fs.inotify.max_user_instances" = lib.mkDefault 524288;
      "fs.inotify.max_user_watches" = lib.mkDefault 524288;
    };
  };
}
