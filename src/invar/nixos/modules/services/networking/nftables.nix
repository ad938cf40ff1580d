# nftables: the rules that the kernel filters packets by, loaded before the network is up.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.networking.nftables;
  tableOptions =
    { name, ... }:
    {
      options = {
        enable = mkOption {
          type = types.bool;
          default = true;
          description = "Whether the table is there.";
        };
        name = mkOption {
          type = types.str;
          default = name;
          description = "Name of the table.";
        };
        family = mkOption {
          type = types.enum [
            "ip"
            "ip6"
            "inet"
            "arp"
            "bridge"
            "netdev"
          ];
          description = "The table's address family.";
        };
        content = mkOption {
          type = types.lines;
          description = "What is in the table.";
        };
      };
    };
  tables = lib.filter (table: table.enable) (lib.attrValues cfg.tables);
  # Declared, deleted and declared again: so loading it twice is the same as loading it once, in one transaction.
  tableText = table: ''
    table ${table.family} ${table.name}
    delete table ${table.family} ${table.name}
    table ${table.family} ${table.name} {
    ${table.content}}
  '';
  rulesText =
    lib.optionalString cfg.flushRuleset "flush ruleset\n"
    + cfg.extraDeletions
    + lib.concatMapStrings tableText tables
    + cfg.ruleset
    + lib.optionalString (cfg.rulesetFile != null) "include \"${cfg.rulesetFile}\"\n";
in
{
  options.networking.nftables = {
    enable = mkOption {
      type = types.bool;
      default = false;
      description = "Whether rules of one's own are loaded. The firewall uses nftables in any case.";
    };
    ruleset = mkOption {
      type = types.lines;
      default = "";
      description = "Rules in nft's own language.";
    };
    rulesetFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      description = "A file of such rules.";
    };
    flushRuleset = mkOption {
      type = types.bool;
      default = cfg.ruleset != "" || cfg.rulesetFile != null;
      description = "Whether all rules are dropped before these are loaded.";
    };
    extraDeletions = mkOption {
      type = types.lines;
      default = "";
      description = "Text put before the rules, to delete what others made.";
    };
    checkRuleset = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the rules are checked at build time. The native engine can't; a wrong rule fails nftables.service.";
    };
    tables = mkOption {
      type = types.attrsOf (types.submodule tableOptions);
      default = { };
      description = "Tables, each replaced as a whole when it changes.";
    };
  };

  config = lib.mkIf (cfg.enable || config.networking.firewall.enable) {
    environment.systemPackages = [ pkgs.nftables ];
    environment.etc."nftables.conf".text = rulesText;
    systemd.services.nftables = {
      description = "nftables firewall";
      wantedBy = [ "sysinit.target" ];
      before = [
        "network-pre.target"
        "shutdown.target"
      ];
      wants = [ "network-pre.target" ];
      conflicts = [ "shutdown.target" ];
      after = [ "systemd-modules-load.service" ];
      reloadIfChanged = true;
      restartTriggers = [ rulesText ];
      unitConfig.DefaultDependencies = false;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "/usr/sbin/nft -f /etc/nftables.conf";
        ExecReload = "/usr/sbin/nft -f /etc/nftables.conf";
        ExecStop = "/usr/sbin/nft flush ruleset";
      };
    };
  };
}
