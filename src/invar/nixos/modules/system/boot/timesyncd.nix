# The clock, by systemd-timesyncd.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.timesyncd;
  servers = name: list: lib.optionalString (list != null) "${name}=${lib.concatStringsSep " " list}\n";
in
{
  options.services.timesyncd = {
    enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether systemd-timesyncd keeps the clock right.";
    };
    servers = mkOption {
      type = types.nullOr (types.listOf types.str);
      default = config.networking.timeServers;
      defaultText = lib.literalExpression "config.networking.timeServers";
      description = "NTP servers; null leaves the choice to DHCP.";
    };
    fallbackServers = mkOption {
      type = types.nullOr (types.listOf types.str);
      default = config.networking.timeServers;
      defaultText = lib.literalExpression "config.networking.timeServers";
      description = "NTP servers for when there are no others.";
    };
    extraConfig = mkOption {
      type = types.lines;
      default = "";
      example = "PollIntervalMaxSec=180";
      description = "More lines of timesyncd.conf.";
    };
  };
  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ pkgs.systemd-timesyncd ];
    systemd.services.systemd-timesyncd = {
      wantedBy = [ "sysinit.target" ];
      aliases = [ "dbus-org.freedesktop.timesync1.service" ];
    };
    environment.etc."systemd/timesyncd.conf".text = ''
      [Time]
    ''
    + servers "NTP" cfg.servers
    + servers "FallbackNTP" cfg.fallbackServers
    + cfg.extraConfig;
  };
}
