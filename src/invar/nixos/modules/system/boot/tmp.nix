# /tmp.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.boot.tmp;
in
{
  options.boot.tmp = {
    useTmpfs = mkOption {
      type = types.bool;
      default = true;
      description = "Whether /tmp is in memory. The root is read-only, so that there is no other place for it.";
    };
    tmpfsSize = mkOption {
      type = types.oneOf [
        types.str
        types.ints.positive
      ];
      default = "50%";
      description = "How large /tmp may grow: bytes, or a share of memory.";
    };
    cleanOnBoot = mkOption {
      type = types.bool;
      default = false;
      description = "Whether /tmp is emptied at boot, as memory is.";
    };
  };
  config = {
    assertions = [
      {
        assertion = cfg.useTmpfs;
        message = "boot.tmp.useTmpfs: the root is read-only, so that /tmp is always in memory.";
      }
    ];
    systemd.mounts = [
      {
        description = "Temporary Directory /tmp";
        where = "/tmp";
        what = "tmpfs";
        type = "tmpfs";
        mountConfig.Options = lib.concatStringsSep "," [
          "mode=1777"
          "strictatime"
          "nosuid"
          "nodev"
          "size=${toString cfg.tmpfsSize}"
          "nr_inodes=1m"
        ];
        wantedBy = [ "local-fs.target" ];
        conflicts = [ "umount.target" ];
        before = [
          "local-fs.target"
          "umount.target"
        ];
        unitConfig.DefaultDependencies = false;
      }
    ];
  };
}
