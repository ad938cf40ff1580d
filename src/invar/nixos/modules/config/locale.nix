# Time zone and place.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  timeZone = types.addCheck types.str (zone: !lib.hasInfix " " zone && !lib.hasPrefix "/" zone);
in
{
  options = {
    time = {
      timeZone = mkOption {
        type = types.nullOr timeZone;
        default = null;
        example = "America/New_York";
        description = "The time zone, as the tz database names it. null is UTC; the image is read-only, so that it stays so.";
      };
      hardwareClockInLocalTime = mkOption {
        type = types.bool;
        default = false;
        description = "Whether the hardware clock shows local time.";
      };
    };
    location = {
      latitude = mkOption {
        type = types.float;
        description = "Latitude, for programs that want to know it.";
      };
      longitude = mkOption {
        type = types.float;
        description = "Longitude, for programs that want to know it.";
      };
    };
  };
  config = {
    environment.systemPackages = [ pkgs.tzdata ];
    environment.etc.localtime.source = "/usr/share/zoneinfo/${
      if config.time.timeZone == null then "Etc/UTC" else config.time.timeZone
    }";
    environment.etc.adjtime = lib.mkIf config.time.hardwareClockInLocalTime {
      text = ''
        0.0 0 0.0
        0
        LOCAL
      '';
    };
  };
}
