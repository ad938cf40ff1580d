# The journal.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.services.journald;
in
{
  options.services.journald = {
    storage = mkOption {
      type = types.enum [
        "persistent"
        "volatile"
        "auto"
        "none"
      ];
      default = "persistent";
      description = "Where the journal is: \"persistent\" on /var, \"volatile\" in memory.";
    };
    console = mkOption {
      type = types.str;
      default = "";
      description = "A terminal that shows the journal as well.";
    };
    rateLimitInterval = mkOption {
      type = types.str;
      default = "30s";
      description = "The time in which messages of a service are counted.";
    };
    rateLimitBurst = mkOption {
      type = types.int;
      default = 10000;
      description = "How many messages of a service are taken in that time; 0 is no limit.";
    };
    audit = mkOption {
      type = types.nullOr (
        types.oneOf [
          types.bool
          (types.enum [ "keep" ])
        ]
      );
      default = null;
      description = "Whether the kernel's audit is switched on.";
    };
    forwardToSyslog = mkOption {
      type = types.bool;
      default = false;
      description = "Whether messages go to a syslog daemon as well.";
    };
    extraConfig = mkOption {
      type = types.lines;
      default = "";
      example = "SystemMaxUse=500M";
      description = "More lines of journald.conf.";
    };
  };
  config = {
    environment.etc."systemd/journald.conf".text = ''
      [Journal]
      Storage=${cfg.storage}
      RateLimitInterval=${cfg.rateLimitInterval}
      RateLimitBurst=${toString cfg.rateLimitBurst}
    ''
    + lib.optionalString (cfg.console != "") ''
      ForwardToConsole=yes
      TTYPath=${cfg.console}
    ''
    + lib.optionalString cfg.forwardToSyslog "ForwardToSyslog=yes\n"
    + lib.optionalString (cfg.audit != null) "Audit=${if lib.isBool cfg.audit then lib.boolToString cfg.audit else cfg.audit}\n"
    + cfg.extraConfig;
  };
}
