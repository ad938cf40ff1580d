# Options of NixOS that have no meaning on Invar's images: accepted, so that a configuration need not be split, with one warning.
{ lib, options, ... }:
let
  inherit (lib) mkOption types;
  ignored = [
    [ "boot" "binfmt" ]
    [ "boot" "enableContainers" ]
    [ "boot" "initrd" "systemd" ]
    [ "boot" "initrd" "luks" ]
    [ "boot" "initrd" "network" ]
    [ "boot" "initrd" "supportedFilesystems" ]
    [ "boot" "initrd" "verbose" ]
    [ "boot" "loader" ]
    [ "boot" "plymouth" ]
    [ "boot" "supportedFilesystems" ]
    [ "boot" "swraid" ]
    [ "console" ]
    [ "documentation" ]
    [ "environment" "stub-ld" ]
    [ "fonts" ]
    [ "hardware" ]
    [ "nix" ]
    [ "nixpkgs" "buildPlatform" ]
    [ "nixpkgs" "config" ]
    [ "nixpkgs" "flake" ]
    [ "powerManagement" ]
    [ "programs" "command-not-found" ]
    [ "programs" "less" ]
    [ "programs" "nano" ]
    [ "security" "polkit" ]
    [ "services" "lvm" ]
    [ "services" "nscd" ]
    [ "services" "udisks2" ]
    [ "services" "xserver" ]
    [ "sound" ]
    [ "swapDevices" ]
    [ "system" "autoUpgrade" ]
    [ "system" "copySystemConfiguration" ]
    [ "system" "disableInstallerTools" ]
    [ "system" "rebuild" ]
    [ "system" "switch" ]
    [ "system" "tools" ]
    [ "xdg" ]
    [ "zramSwap" ]
  ];
  optionAt = path: lib.getAttrFromPath path options;
  used = lib.filter (path: (optionAt path).isDefined && (optionAt path).files != [ ]) ignored;
  # What is set below an option, one level deep: boot.loader.grub rather than boot.loader.
  namesOf =
    path:
    let
      value = (optionAt path).value;
    in
    if lib.isAttrs value && value != { } then
      map (name: lib.showOption (path ++ [ name ])) (lib.attrNames value)
    else
      [ (lib.showOption path) ];
in
{
  options = lib.foldl' lib.recursiveUpdate { } (
    map (
      path:
      lib.setAttrByPath path (mkOption {
        type = types.anything;
        visible = false;
        description = "Accepted without effect.";
      })
    ) ignored
  );
  config.warnings = lib.optional (used != [ ]) (
    "These options are accepted and have no effect on an immutable image: ${lib.concatStringsSep ", " (lib.concatMap namesOf used)}."
  );
}
