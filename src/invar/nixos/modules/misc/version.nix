# Which release of NixOS's options is spoken here, and which one the state on /var was made with.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.system.nixos;
in
{
  options.system = {
    stateVersion = mkOption {
      type = types.strMatching "[0-9]{2}\\.[0-9]{2}";
      default = cfg.release;
      example = "25.11";
      description = ''
        The release whose defaults decide about stateful data (PostgreSQL's major version, for example). Set it to the release
        with which the machines were first made and leave it there.
      '';
    };
    nixos = {
      release = mkOption {
        type = types.str;
        readOnly = true;
        default = "25.11";
        description = "The NixOS release whose options this library follows.";
      };
      version = mkOption {
        type = types.str;
        internal = true;
        default = cfg.release;
        description = "The full version, release and suffix.";
      };
      codeName = mkOption {
        type = types.str;
        readOnly = true;
        default = "Xantusia";
        description = "The release's code name.";
      };
      label = mkOption {
        type = types.strMatching "[a-zA-Z0-9:_\\.-]*";
        default = lib.concatStringsSep "-" (cfg.tags ++ [ cfg.version ]);
        description = "The label of boot entries and generations.";
      };
      tags = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [ "with-xen" ];
        description = "Words put in front of the version to make the default label.";
      };
      distroId = mkOption {
        type = types.str;
        internal = true;
        default = "debian";
        description = "The id of the distribution that the packages are from.";
      };
      distroName = mkOption {
        type = types.str;
        internal = true;
        default = "Debian GNU/Linux";
        description = "The name of the distribution that the packages are from.";
      };
    };
  };
}
