# Mounts beside those that the image makes itself (/, /var): data volumes, in /etc/fstab.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  own = [
    "/"
    "/boot"
    "/boot/efi"
    "/efi"
    "/nix"
    "/nix/store"
    "/usr"
    "/var"
  ];
  writable = [
    "/var/"
    "/home/"
    "/srv/"
    "/root/"
    "/run/"
    "/tmp/"
  ];
  mounts = lib.filter (fs: fs.enable && !(lib.elem fs.mountPoint own)) (lib.attrValues config.fileSystems);
  # The initrd mounts /var; what is declared for it beside that is set once the system's own init runs.
  varOptions = lib.filter (option: option != "defaults") (config.fileSystems."/var".options or [ ]);
  # What makes, checks and mounts file systems of a type.
  programs = {
    ext4 = [ pkgs.e2fsprogs ];
    xfs = [ pkgs.xfsprogs ];
    btrfs = [ pkgs.btrfs-progs ];
    vfat = [ pkgs.dosfstools ];
    nfs = [ pkgs.nfs-utils ];
    nfs4 = [ pkgs.nfs-utils ];
  };
  deviceOf = fs: if fs.label != null then "/dev/disk/by-label/${fs.label}" else fs.device;
  fstabLine =
    fs:
    lib.concatStringsSep " " [
      (lib.replaceStrings [ " " ] [ "\\040" ] (deviceOf fs))
      (lib.replaceStrings [ " " ] [ "\\040" ] fs.mountPoint)
      fs.fsType
      (lib.concatStringsSep "," fs.options)
      "0"
      (if fs.noCheck || fs.fsType == "nfs" || fs.fsType == "tmpfs" then "0" else "2")
    ]
    + "\n";
in
{
  options.fileSystems = mkOption {
    default = { };
    example = lib.literalExpression ''{ "/srv/data" = { device = "/dev/disk/by-label/data"; fsType = "xfs"; }; }'';
    description = ''
      File systems to mount. /, /boot, /nix and /var are the image's own: definitions of them are accepted and have no effect, but for
      `options` of /var such as `noexec`, `nosuid` and `nodev`. Other mount points must lie where a directory can be made at boot, below /var, /srv or /home for example.
    '';
    type = types.attrsOf (
      types.submodule (
        { name, ... }:
        {
          options = {
            enable = mkOption {
              type = types.bool;
              default = true;
              description = "Whether the file system is mounted.";
            };
            mountPoint = mkOption {
              type = types.str;
              default = name;
              description = "Where to mount it.";
            };
            device = mkOption {
              type = types.nullOr types.str;
              default = null;
              example = "/dev/sda";
              description = "The device that holds it.";
            };
            label = mkOption {
              type = types.nullOr types.str;
              default = null;
              description = "The label of the device that holds it.";
            };
            fsType = mkOption {
              type = types.str;
              default = "auto";
              example = "ext4";
              description = "The type of the file system.";
            };
            options = mkOption {
              type = types.listOf types.str;
              default = [ "defaults" ];
              description = "Mount options.";
            };
            noCheck = mkOption {
              type = types.bool;
              default = false;
              description = "Whether it is mounted without a check before.";
            };
            autoFormat = mkOption {
              type = types.bool;
              default = false;
              description = "Whether an empty device gets a file system at boot.";
            };
            autoResize = mkOption {
              type = types.bool;
              default = false;
              description = "Whether the file system is grown to its device at boot.";
            };
            neededForBoot = mkOption {
              type = types.bool;
              default = false;
              description = "Whether the initrd should mount it. Only the image's own file systems are.";
            };
          };
        }
      )
    );
  };

  config = {
    assertions = lib.concatMap (fs: [
      {
        assertion = lib.any (prefix: lib.hasPrefix prefix fs.mountPoint) writable;
        message = "fileSystems.\"${fs.mountPoint}\": the root is read-only, so that a mount point must lie below one of ${lib.concatStringsSep " " writable}.";
      }
      {
        assertion = deviceOf fs != null;
        message = "fileSystems.\"${fs.mountPoint}\" has neither `device` nor `label`.";
      }
    ]) mounts;
    # The initrd has mounted / and /var: without further mounts there is nothing to generate.
    systemd.generators = lib.mkIf (mounts == [ ]) { systemd-fstab-generator = lib.mkDefault "/dev/null"; };
    systemd.services.var-options = lib.mkIf (varOptions != [ ]) {
      description = "Mount options of /var";
      wantedBy = [ "local-fs.target" ];
      before = [
        "local-fs.target"
        "systemd-tmpfiles-setup.service"
      ];
      unitConfig.DefaultDependencies = false;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "/usr/bin/mount -o remount,${lib.concatStringsSep "," varOptions} /var";
      };
    };
    environment.systemPackages = lib.unique (lib.concatMap (fs: programs.${fs.fsType} or [ ]) mounts);
    environment.etc.fstab = lib.mkIf (mounts != [ ]) {
      text = lib.concatStrings (
        map (
          fs:
          fstabLine (
            fs
            // {
              options =
                fs.options
                ++ lib.optional fs.autoFormat "x-systemd.makefs"
                ++ lib.optional fs.autoResize "x-systemd.growfs";
            }
          )
        ) mounts
      );
    };
  };
}
