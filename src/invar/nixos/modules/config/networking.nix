# /etc/hosts, name resolution and proxies.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.networking;
  proxyVariables = lib.filterAttrs (_: value: value != null) {
    http_proxy = cfg.proxy.httpProxy;
    https_proxy = cfg.proxy.httpsProxy;
    ftp_proxy = cfg.proxy.ftpProxy;
    all_proxy = cfg.proxy.allProxy;
    no_proxy = cfg.proxy.noProxy;
  };
  proxyOption =
    scheme: default:
    mkOption {
      type = types.nullOr types.str;
      inherit default;
      example = "http://127.0.0.1:3128";
      description = "The proxy for ${scheme}.";
    };
  hostsOf = address: names: "${address} ${lib.concatStringsSep " " names}\n";
in
{
  options.networking = {
    hosts = mkOption {
      type = types.attrsOf (types.listOf types.str);
      default = { };
      example = {
        "127.0.0.1" = [ "foo.bar.baz" ];
        "192.168.0.2" = [
          "fileserver.local"
          "nameserver.local"
        ];
      };
      description = "Names of addresses, for /etc/hosts.";
    };
    extraHosts = mkOption {
      type = types.lines;
      default = "";
      example = "192.168.0.1 lanlocalhost";
      description = "More lines of /etc/hosts.";
    };
    enableIPv6 = mkOption {
      type = types.bool;
      default = true;
      description = "Whether IPv6 is used.";
    };
    timeServers = mkOption {
      type = types.listOf types.str;
      default = [
        "0.debian.pool.ntp.org"
        "1.debian.pool.ntp.org"
        "2.debian.pool.ntp.org"
        "3.debian.pool.ntp.org"
      ];
      description = "NTP servers to take the time from.";
    };
    proxy = {
      default = proxyOption "everything that has no proxy of its own" null;
      httpProxy = proxyOption "HTTP" cfg.proxy.default;
      httpsProxy = proxyOption "HTTPS" cfg.proxy.default;
      ftpProxy = proxyOption "FTP" cfg.proxy.default;
      allProxy = proxyOption "any scheme" cfg.proxy.default;
      noProxy = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "127.0.0.1,localhost,.localdomain";
        description = "Hosts that are reached without a proxy.";
      };
      envVars = mkOption {
        type = types.attrs;
        internal = true;
        default = proxyVariables;
        description = "The variables that tell programs of the proxies.";
      };
    };
  };

  config = {
    assertions = [
      {
        assertion = !(lib.hasAttrByPath [ "127.0.0.1" ] cfg.hosts) || lib.elem "localhost" cfg.hosts."127.0.0.1";
        message = "networking.hosts: 127.0.0.1 must keep the name localhost.";
      }
    ];
    networking.hosts = {
      "127.0.0.1" = [ "localhost" ];
      "::1" = lib.mkIf cfg.enableIPv6 [ "localhost" ];
      # A machine can always look up its own name, without any name server.
      "127.0.0.2" = lib.mkIf (cfg.hostName != "") (lib.optional (cfg.domain != null) cfg.fqdn ++ [ cfg.hostName ]);
    };
    environment.etc.hosts.text =
      lib.concatStrings (lib.mapAttrsToList hostsOf (lib.filterAttrs (_: names: names != [ ]) cfg.hosts)) + cfg.extraHosts;
    environment.sessionVariables = cfg.proxy.envVars;
    boot.kernel.sysctl = lib.mkIf (!cfg.enableIPv6) {
      "net.ipv6.conf.all.disable_ipv6" = true;
      "net.ipv6.conf.default.disable_ipv6" = true;
    };
  };
}
