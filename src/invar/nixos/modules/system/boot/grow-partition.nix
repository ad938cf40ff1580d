# The partition that holds /var grows to the end of the disk at boot, and its file system with it.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  grow = pkgs.writeScript "grow-partition" ''
    #!/bin/sh
    # Sizes are in 512-byte sectors; less than 16 MiB behind the partition is not worth a change.
    set -eu
    device=$(findmnt --noheadings --output SOURCE /var)
    case $device in
      /dev/*) ;;
      *) exit 0 ;; # in memory: a live system
    esac
    partition=$(basename "$(readlink -f "$device")")
    of=/sys/class/block/$partition
    disk=$(basename "$(readlink -f "$of/..")")
    read -r start < "$of/start"
    read -r size < "$of/size"
    read -r all < "/sys/class/block/$disk/size"
    read -r number < "$of/partition"
    if [ $((all - start - size)) -gt 32768 ]; then
      echo ', +' | sfdisk --quiet --no-reread --force --no-tell-kernel -N "$number" "/dev/$disk"
      partx --update --nr "$number" "/dev/$disk"
    fi
    exec /usr/lib/systemd/systemd-growfs /var
  '';
in
{
  options.boot.growPartition = mkOption {
    type = types.bool;
    default = false;
    description = "Whether the image's last partition, /var, takes up the whole disk, however large the volume is made.";
  };
  config = lib.mkIf config.boot.growPartition {
    environment.systemPackages = [ pkgs.fdisk ];
    systemd.services.growpart = {
      description = "Grow /var to the whole disk";
      wantedBy = [ "multi-user.target" ];
      unitConfig.ConditionVirtualization = "!container";
      restartIfChanged = false;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "${grow}";
        TimeoutStartSec = 60;
      };
    };
  };
}
