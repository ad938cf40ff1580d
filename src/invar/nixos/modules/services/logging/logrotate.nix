# Log files that don't grow for ever.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.logrotate;
  directive = types.nullOr (
    types.oneOf [
      types.bool
      types.int
      types.str
    ]
  );
  settingOptions =
    { name, ... }:
    {
      freeformType = types.attrsOf directive;
      options = {
        enable = mkOption {
          type = types.bool;
          default = true;
          description = "Whether the files are looked after.";
        };
        global = mkOption {
          type = types.bool;
          default = false;
          description = "Whether these are directives for all files.";
        };
        files = mkOption {
          type = types.coercedTo types.str (file: [ file ]) (types.listOf types.str);
          default = [ name ];
          description = "The files, as patterns.";
        };
        frequency = mkOption {
          type = types.nullOr types.str;
          default = null;
          example = "weekly";
          description = "How often the files are rotated.";
        };
        priority = mkOption {
          type = types.int;
          default = 1000;
          description = "Place among the settings; the smallest comes first.";
        };
      };
    };
  scripts = [
    "firstaction"
    "lastaction"
    "postrotate"
    "preremove"
    "prerotate"
  ];
  # A switch that is off is written as "noNAME"; scripts are blocks.
  lineOf =
    name: value:
    if value == null then
      ""
    else if lib.elem name scripts then
      "${name}\n    ${value}\n  endscript\n"
    else if value == true then
      "${name}\n"
    else if value == false then
      "no${name}\n"
    else
      "${name} ${toString value}\n";
  bodyOf =
    setting:
    lib.optional (setting.frequency != null) "${setting.frequency}\n"
    ++ lib.mapAttrsToList lineOf (
      removeAttrs setting [
        "enable"
        "files"
        "frequency"
        "global"
        "priority"
      ]
    );
  blockOf =
    setting:
    if setting.global then
      lib.concatStrings (bodyOf setting)
    else
      "${lib.concatMapStringsSep " " (file: "\"${file}\"") setting.files} {\n${
        lib.concatMapStrings (line: "  ${line}") (lib.filter (line: line != "") (bodyOf setting))
      }}\n";
  enabled = lib.sort (a: b: a.priority < b.priority) (lib.filter (setting: setting.enable) (lib.attrValues cfg.settings));
in
{
  options.services.logrotate = {
    enable = mkOption {
      type = types.bool;
      default = lib.any (setting: setting.enable && !setting.global) (lib.attrValues cfg.settings);
      defaultText = lib.literalExpression "whether there is anything to rotate";
      description = "Whether log files are rotated.";
    };
    allowNetworking = mkOption {
      type = types.bool;
      default = false;
      description = "Whether the scripts may use the network.";
    };
    settings = mkOption {
      type = types.attrsOf (types.submodule settingOptions);
      default = { };
      example = lib.literalExpression ''{ "/var/log/app/*.log" = { frequency = "daily"; rotate = 7; }; }'';
      description = "What to rotate and how, with the directives of logrotate.conf(5).";
    };
    extraConfig = mkOption {
      type = types.lines;
      default = "";
      description = "More lines of the configuration.";
    };
  };
  config.services.logrotate.settings.header = {
    global = true;
    priority = 100;
    missingok = lib.mkDefault true;
    notifempty = lib.mkDefault true;
    frequency = lib.mkDefault "weekly";
    rotate = lib.mkDefault 4;
  };
  config.environment = lib.mkIf cfg.enable {
    systemPackages = [ pkgs.logrotate ];
    etc."logrotate.conf".text = lib.concatMapStrings blockOf enabled + cfg.extraConfig;
  };
  config.systemd.services.logrotate = lib.mkIf cfg.enable {
    description = "Logrotate Service";
    startAt = "hourly";
    restartIfChanged = false;
    serviceConfig = {
      Type = "oneshot";
      ExecStart = "/usr/sbin/logrotate --state /var/lib/logrotate/status /etc/logrotate.conf";
      StateDirectory = "logrotate";
      Nice = 19;
      IOSchedulingClass = "best-effort";
      IOSchedulingPriority = 7;
      PrivateNetwork = !cfg.allowNetworking;
      ProtectSystem = "full";
      ProtectHome = true;
      PrivateDevices = true;
      NoNewPrivileges = true;
    };
  };
}
