# nginx, the web server.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.nginx;
  hosts = cfg.virtualHosts;
  configText = import ./config-text.nix { inherit lib config; };
  flag =
    default: description:
    mkOption {
      type = types.bool;
      inherit default description;
    };
  lines =
    description:
    mkOption {
      type = types.lines;
      default = "";
      inherit description;
    };
  size =
    description:
    mkOption {
      type = types.nullOr types.ints.positive;
      default = null;
      inherit description;
    };
  optionalText =
    default: description:
    mkOption {
      type = types.nullOr types.str;
      inherit default description;
    };
  upstreamOptions = {
    options = {
      servers = mkOption {
        type = types.attrsOf (
          types.submodule {
            freeformType = types.attrsOf (
              types.nullOr (
                types.oneOf [
                  types.bool
                  types.int
                  types.str
                ]
              )
            );
            options.backup = flag false "Whether the server is asked only when the others don't answer.";
          }
        );
        default = { };
        example = {
          "127.0.0.1:8000" = { };
        };
        description = "Servers by address, each with its parameters.";
      };
      extraConfig = lines "More lines of the upstream.";
    };
  };
  hasOwnUser = cfg.user == "nginx";
in
{
  options.services.nginx = {
    enable = lib.mkEnableOption "the nginx web server";
    package = lib.mkPackageOption pkgs "nginx" { };
    additionalModules = mkOption {
      type = types.listOf types.package;
      default = [ ];
      example = lib.literalExpression "[ pkgs.libnginx-mod-http-brotli-filter ]";
      description = "Debian packages of dynamic modules, libnginx-mod-*. Their modules are loaded.";
    };
    enableReload = flag false "Whether a changed configuration is taken up by a reload instead of a restart.";
    user = mkOption {
      type = types.str;
      default = "nginx";
      description = "The user that nginx runs as.";
    };
    group = mkOption {
      type = types.str;
      default = "nginx";
      description = "The group that nginx runs as.";
    };
    virtualHosts = mkOption {
      type = types.attrsOf (types.submodule (import ./vhost-options.nix { inherit lib; nginx = cfg; }));
      default = {
        localhost = { };
      };
      example = lib.literalExpression ''
        {
          "hydra.example.com" = {
            forceSSL = true;
            sslCertificate = "/var/lib/certificates/hydra.cert";
            sslCertificateKey = "/var/lib/certificates/hydra.key";
            locations."/".proxyPass = "http://localhost:3000";
          };
        }
      '';
      description = "Hosts, by name.";
    };
    upstreams = mkOption {
      type = types.attrsOf (types.submodule upstreamOptions);
      default = { };
      description = "Groups of servers that requests are passed on to.";
    };
    statusPage = flag false "Whether http://localhost/nginx_status tells of nginx's state, to the machine itself only.";
    recommendedTlsSettings = flag false "Whether the recommended TLS settings are used.";
    recommendedOptimisation = flag false "Whether the recommended settings for speed are used.";
    recommendedGzipSettings = flag false "Whether the recommended gzip settings are used.";
    recommendedProxySettings = flag false "Whether the recommended proxy settings are used.";
    recommendedUwsgiSettings = flag false "Whether the recommended uwsgi settings are used.";
    proxyTimeout = mkOption {
      type = types.str;
      default = "60s";
      example = "20s";
      description = "How long an upstream may take, with the recommended proxy settings.";
    };
    defaultListenAddresses = mkOption {
      type = types.listOf types.str;
      default = [ "0.0.0.0" ] ++ lib.optional config.networking.enableIPv6 "[::0]";
      description = "Addresses that hosts listen on by default.";
    };
    defaultHTTPListenPort = mkOption {
      type = types.port;
      default = 80;
      description = "The port for HTTP.";
    };
    defaultSSLListenPort = mkOption {
      type = types.port;
      default = 443;
      description = "The port for HTTPS.";
    };
    logError = mkOption {
      type = types.str;
      default = "stderr";
      description = "Where errors are logged; \"stderr\" is the journal.";
    };
    prependConfig = lines "Lines at the beginning of the configuration, outside all blocks.";
    config = lines "The configuration beside the events, in place of the options.";
    appendConfig = lines "Lines at the end of the configuration, outside all blocks.";
    eventsConfig = lines "Lines of the events block.";
    commonHttpConfig = mkOption {
      type = types.lines;
      default = "";
      example = ''
        log_format myformat '$remote_addr - $remote_user [$time_local] "$request"';
      '';
      description = "Lines of the http block, before the hosts.";
    };
    httpConfig = lines "The http block, in place of the options.";
    appendHttpConfig = lines "Lines at the end of the http block.";
    streamConfig = lines "The stream block. It needs the package libnginx-mod-stream in `additionalModules`.";
    clientMaxBodySize = mkOption {
      type = types.str;
      default = "10m";
      description = "The largest request body.";
    };
    serverTokens = flag false "Whether nginx tells its version.";
    sslCiphers = optionalText "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305" "Ciphers of TLS 1.2.";
    sslProtocols = mkOption {
      type = types.str;
      default = "TLSv1.2 TLSv1.3";
      description = "Versions of TLS.";
    };
    sslDhparam = mkOption {
      type = types.nullOr types.path;
      default = null;
      description = "Diffie-Hellman parameters, in a file on the machine.";
    };
    resolver = {
      addresses = mkOption {
        type = types.listOf types.str;
        default = [ ];
        description = "Name servers that nginx asks itself.";
      };
      valid = mkOption {
        type = types.str;
        default = "";
        description = "How long their answers hold.";
      };
      ipv6 = flag true "Whether it asks for IPv6 addresses as well.";
    };
    mapHashBucketSize = size "Size of the hash tables' buckets for maps, in bytes.";
    mapHashMaxSize = size "Largest size of the hash tables for maps.";
    serverNamesHashBucketSize = size "Size of the hash tables' buckets for names of hosts, in bytes.";
    serverNamesHashMaxSize = size "Largest size of the hash tables for names of hosts.";
  };

  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ] ++ cfg.additionalModules;
    environment.etc."nginx/nginx.conf".text =
      lib.optionalString (cfg.additionalModules != [ ]) "include /etc/nginx/modules-enabled/*.conf;\n" + configText;

    systemd.services.nginx = {
      description = "Nginx Web Server";
      wantedBy = [ "multi-user.target" ];
      after = [ "network.target" ];
      stopIfChanged = false;
      reloadIfChanged = cfg.enableReload;
      restartTriggers = [ configText ];
      startLimitIntervalSec = 60;
      serviceConfig = {
        ExecStartPre = "${lib.getExe cfg.package} -q -t -e stderr -c /etc/nginx/nginx.conf";
        ExecStart = "${lib.getExe cfg.package} -e stderr -c /etc/nginx/nginx.conf";
        ExecReload = [
          "${lib.getExe cfg.package} -q -t -e stderr -c /etc/nginx/nginx.conf"
          "/bin/kill -HUP $MAINPID"
        ];
        Restart = "always";
        RestartSec = "10s";
        User = cfg.user;
        Group = cfg.group;
        RuntimeDirectory = "nginx";
        RuntimeDirectoryMode = "0750";
        CacheDirectory = "nginx";
        CacheDirectoryMode = "0750";
        LogsDirectory = "nginx";
        LogsDirectoryMode = "0750";
        ProcSubset = "pid";
        ProtectProc = "invisible";
        UMask = "0027";
        CapabilityBoundingSet = [ "CAP_NET_BIND_SERVICE CAP_SYS_RESOURCE" ];
        AmbientCapabilities = [ "CAP_NET_BIND_SERVICE CAP_SYS_RESOURCE" ];
        NoNewPrivileges = true;
        ProtectSystem = "strict";
        ProtectHome = lib.mkDefault true;
        PrivateTmp = true;
        PrivateDevices = true;
        ProtectHostname = true;
        ProtectClock = true;
        ProtectKernelTunables = true;
        ProtectKernelModules = true;
        ProtectKernelLogs = true;
        ProtectControlGroups = true;
        RestrictAddressFamilies = [ "AF_UNIX AF_INET AF_INET6" ];
        RestrictNamespaces = true;
        LockPersonality = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        RemoveIPC = true;
        PrivateMounts = true;
        SystemCallArchitectures = "native";
      };
    };

    services.logrotate.settings.nginx = lib.mapAttrs (_: lib.mkDefault) {
      files = [ "/var/log/nginx/*.log" ];
      frequency = "weekly";
      su = "${cfg.user} ${cfg.group}";
      rotate = 26;
      compress = true;
      delaycompress = true;
      postrotate = "[ ! -f /run/nginx/nginx.pid ] || kill -USR1 `cat /run/nginx/nginx.pid`";
    };

    users.users = lib.optionalAttrs hasOwnUser {
      nginx = {
        group = cfg.group;
        isSystemUser = true;
      };
    };
    users.groups = lib.optionalAttrs (cfg.group == "nginx") { nginx = { }; };

    assertions =
      lib.concatLists (
        lib.mapAttrsToList (name: host: [
          {
            assertion = lib.count (on: on) [
              host.addSSL
              host.onlySSL
              host.forceSSL
              host.rejectSSL
            ] <= 1;
            message = "services.nginx.virtualHosts.\"${name}\": addSSL, onlySSL, forceSSL and rejectSSL exclude one another.";
          }
          {
            assertion = host.basicAuth == { } && lib.all (location: location.basicAuth == { }) (lib.attrValues host.locations);
            message = "services.nginx.virtualHosts.\"${name}\".basicAuth: passwords in plain text would be in the image for everyone to read. Use basicAuthFile.";
          }
          {
            assertion = lib.all (location: location.root == null || location.alias == null) (lib.attrValues host.locations);
            message = "services.nginx.virtualHosts.\"${name}\": a location has either `root` or `alias`.";
          }
        ]) hosts
      )
      ++ [
        {
          assertion = cfg.httpConfig == "" || cfg.config == "";
          message = "services.nginx: set one of `config` and `httpConfig`.";
        }
      ];
  };
}
