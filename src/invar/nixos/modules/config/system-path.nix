# The packages that every login finds in its PATH.
{
  config,
  lib,
  pkgs,
  options,
  ...
}:
let
  inherit (lib) mkOption types;
in
{
  options = {
    environment = {
      systemPackages = mkOption {
        type = types.listOf types.package;
        default = [ ];
        example = lib.literalExpression "[ pkgs.firefox pkgs.thunderbird ]";
        description = "Packages that are installed for all users.";
      };
      defaultPackages = mkOption {
        type = types.listOf types.package;
        default = [ ];
        description = "Packages that are there for convenience only.";
      };
      corePackages = mkOption {
        type = types.listOf types.package;
        internal = true;
        description = "Packages that a system can't do without.";
      };
      pathsToLink = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [ "/share/doc" ];
        description = ''
          Directories of packages to link into the system's own. Debian packages are unpacked below /usr as they are, so that every
          directory is there already.
        '';
      };
      extraOutputsToInstall = mkOption {
        type = types.listOf types.str;
        default = [ ];
        description = "More outputs of each package. A Debian package is one output.";
      };
    };
    system.path = mkOption {
      type = types.unspecified;
      internal = true;
      readOnly = true;
      default = "/usr";
      description = "Where the system packages are found.";
    };
  };

  config = {
    environment.corePackages = with pkgs; [
      cacert
      dbus
      iproute2
      kmod
      libpam-systemd
      netbase
      procps
      shadow
      systemd
      udev
    ];
    environment.systemPackages = config.environment.corePackages ++ config.environment.defaultPackages;
  };
}
