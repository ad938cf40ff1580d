# Logins and seats.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  unitOptions = import ./unit-options.nix { inherit lib; };
  cfg = config.services.logind;
  asValue = value: if lib.isBool value then (if value then "yes" else "no") else toString value;
in
{
  options.services.logind = {
    settings.Login = unitOptions.section "Login";
    extraConfig = mkOption {
      type = types.lines;
      default = "";
      description = "More lines of logind.conf.";
    };
  };
  config = {
    services.logind.settings.Login = {
      # No terminal appears by itself on a machine without a screen.
      NAutoVTs = lib.mkDefault 0;
      ReserveVT = lib.mkDefault 0;
      KillUserProcesses = lib.mkDefault false;
    };
    environment.etc."systemd/logind.conf".text =
      "[Login]\n"
      + lib.concatStrings (lib.mapAttrsToList (name: value: "${name}=${asValue value}\n") cfg.settings.Login)
      + cfg.extraConfig;
  };
}
