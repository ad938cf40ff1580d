# Names of hosts, by systemd-resolved.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.resolved;
  net = config.networking;
  line = name: list: lib.optionalString (list != [ ]) "${name}=${lib.concatStringsSep " " list}\n";
  protocol =
    default: description:
    mkOption {
      type = types.enum [
        "true"
        "resolve"
        "false"
      ];
      inherit default description;
    };
in
{
  options.services.resolved = {
    enable = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether systemd-resolved looks up names. Without it /etc/resolv.conf holds `networking.nameservers` alone, as nothing can
        write into /etc.
      '';
    };
    fallbackDns = mkOption {
      type = types.nullOr (types.listOf types.str);
      default = null;
      example = [ ];
      description = "Name servers for when there are no others; null leaves systemd's own list.";
    };
    domains = mkOption {
      type = types.listOf types.str;
      default = net.search;
      defaultText = lib.literalExpression "config.networking.search";
      description = "Domains that short names are looked up in.";
    };
    llmnr = protocol "true" "Whether names of the local network are looked up and answered by LLMNR.";
    dnssec = mkOption {
      type = types.enum [
        "true"
        "allow-downgrade"
        "false"
      ];
      default = "false";
      description = "Whether answers are checked by DNSSEC.";
    };
    dnsovertls = mkOption {
      type = types.enum [
        "true"
        "opportunistic"
        "false"
      ];
      default = "false";
      description = "Whether questions are asked through TLS.";
    };
    extraConfig = mkOption {
      type = types.lines;
      default = "";
      description = "More lines of resolved.conf.";
    };
  };
  config = lib.mkMerge [
    (lib.mkIf cfg.enable {
      environment.systemPackages = [ pkgs.systemd-resolved ];
      systemd.services.systemd-resolved = {
        wantedBy = [ "sysinit.target" ];
        aliases = [ "dbus-org.freedesktop.resolve1.service" ];
      };
      environment.etc = {
        "resolv.conf".source = "/run/systemd/resolve/stub-resolv.conf";
        "systemd/resolved.conf".text = ''
          [Resolve]
        ''
        + line "DNS" net.nameservers
        + lib.optionalString (cfg.fallbackDns != null) "FallbackDNS=${lib.concatStringsSep " " cfg.fallbackDns}\n"
        + line "Domains" cfg.domains
        + ''
          LLMNR=${cfg.llmnr}
          DNSSEC=${cfg.dnssec}
          DNSOverTLS=${cfg.dnsovertls}
        ''
        + cfg.extraConfig;
      };
    })
    (lib.mkIf (!cfg.enable) {
      environment.etc."resolv.conf".text =
        lib.optionalString (net.search != [ ]) "search ${lib.concatStringsSep " " net.search}\n"
        + lib.concatStrings (map (server: "nameserver ${server}\n") net.nameservers);
    })
  ];
}
