# PostgreSQL. The cluster is made at first boot, on /var; its configuration is in the image.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.postgresql;
  schema = cfg.package.psqlSchema;
  # Debian keeps the server's programs apart, by major version.
  programs = "/usr/lib/postgresql/${schema}/bin";
  psql = "${programs}/psql --port=${toString cfg.settings.port}";

  asText =
    value:
    if value == true then
      "yes"
    else if value == false then
      "no"
    else if lib.isString value then
      "'${lib.replaceStrings [ "'" ] [ "''" ] value}'"
    else
      toString value;
  settingsText = lib.concatStrings (
    lib.mapAttrsToList (name: value: "${name} = ${asText value}\n") (lib.filterAttrs (_: value: value != null) cfg.settings)
  );
  configFile = pkgs.writeTextDir "postgresql.conf" settingsText;

  # Text as an SQL literal, and as an SQL name.
  literal = text: "'${lib.replaceStrings [ "'" ] [ "''" ] text}'";
  identifier = text: "\"${lib.replaceStrings [ "\"" ] [ "\"\"" ] text}\"";
  run = sql: "${psql} -d postgres --no-psqlrc --tuples-only --no-align --set ON_ERROR_STOP=1 --command ${lib.escapeShellArg sql}";
  unless =
    query: sql:
    ''
      if [ -z "$(${run query})" ]; then
        ${run sql}
      fi
    '';
  clausesOf =
    user:
    lib.concatStringsSep " " (
      lib.mapAttrsToList (
        clause: value:
        if lib.isBool value then
          (if value then clause else "no${clause}")
        else
          "${lib.replaceStrings [ "_" ] [ " " ] clause} ${if lib.isInt value then toString value else literal value}"
      ) (lib.filterAttrs (_: value: value != null) user.ensureClauses)
    );
  setupText =
    lib.concatMapStrings (
      database: unless "SELECT 1 FROM pg_database WHERE datname = ${literal database}" "CREATE DATABASE ${identifier database}"
    ) cfg.ensureDatabases
    + lib.concatMapStrings (
      user:
      unless "SELECT 1 FROM pg_roles WHERE rolname = ${literal user.name}" "CREATE USER ${identifier user.name}"
      + lib.optionalString user.ensureDBOwnership "${run "ALTER DATABASE ${identifier user.name} OWNER TO ${identifier user.name}"}\n"
      + lib.optionalString (clausesOf user != "") "${run "ALTER ROLE ${identifier user.name} ${clausesOf user}"}\n"
    ) cfg.ensureUsers;

  clause =
    description:
    mkOption {
      type = types.nullOr types.bool;
      default = null;
      inherit description;
    };
  userOptions = {
    options = {
      name = mkOption {
        type = types.str;
        description = "Name of the role.";
      };
      ensureDBOwnership = mkOption {
        type = types.bool;
        default = false;
        description = "Whether the role owns the database of the same name.";
      };
      ensureClauses = mkOption {
        default = { };
        example = {
          superuser = true;
          createrole = true;
          createdb = true;
        };
        description = "What the role may do; null leaves it as it is.";
        type = types.submodule {
          options = {
            superuser = clause "Whether the role may do everything.";
            createrole = clause "Whether it may make roles.";
            createdb = clause "Whether it may make databases.";
            "inherit" = clause "Whether it has the rights of the roles that it is in.";
            login = clause "Whether it may log in.";
            replication = clause "Whether it may replicate.";
            bypassrls = clause "Whether row-level security does not hold for it.";
            connection_limit = mkOption {
              type = types.nullOr types.int;
              default = null;
              description = "How many connections it may have.";
            };
          };
        };
      };
    };
  };
in
{
  options.services.postgresql = {
    enable = lib.mkEnableOption "PostgreSQL";
    enableJIT = lib.mkEnableOption "compilation of queries at run time";
    package = mkOption {
      type = types.package;
      default = pkgs.postgresql_17;
      defaultText = lib.literalExpression "pkgs.postgresql_17";
      example = lib.literalExpression "pkgs.postgresql_17";
      description = "The PostgreSQL to run. trixie has version 17 only.";
    };
    finalPackage = mkOption {
      type = types.package;
      readOnly = true;
      default = cfg.package;
      defaultText = lib.literalExpression "config.services.postgresql.package";
      description = "The same, with its extensions.";
    };
    checkConfig = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the configuration is checked at build time. The native engine can't.";
    };
    dataDir = mkOption {
      type = types.path;
      default = "/var/lib/postgresql/${schema}";
      defaultText = lib.literalExpression ''"/var/lib/postgresql/''${config.services.postgresql.package.psqlSchema}"'';
      description = "The directory of the cluster.";
    };
    authentication = mkOption {
      type = types.lines;
      default = "";
      description = "Lines of pg_hba.conf: who may connect, and how that is proved.";
    };
    identMap = mkOption {
      type = types.lines;
      default = "";
      example = "map-name-0 system-username-0 database-username-0";
      description = "Lines of pg_ident.conf: which users of the system are which roles.";
    };
    initdbArgs = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [
        "--data-checksums"
        "--allow-group-access"
      ];
      description = "More arguments of initdb.";
    };
    initialScript = mkOption {
      type = types.nullOr types.path;
      default = null;
      description = "A file of SQL run once, on the new cluster.";
    };
    ensureDatabases = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [
        "gitea"
        "nextcloud"
      ];
      description = "Databases made where they are missing. None is ever dropped.";
    };
    ensureUsers = mkOption {
      type = types.listOf (types.submodule userOptions);
      default = [ ];
      description = "Roles made where they are missing. None is ever dropped.";
    };
    enableTCPIP = mkOption {
      type = types.bool;
      default = false;
      description = "Whether other machines can connect; then `authentication` must say who may.";
    };
    extensions = mkOption {
      type = types.either (types.listOf types.package) (types.functionTo (types.listOf types.package));
      default = [ ];
      example = lib.literalExpression "[ pkgs.postgresql-17-postgis-3 ]";
      description = "Debian packages of extensions.";
    };
    settings = mkOption {
      type = types.submodule {
        freeformType = types.attrsOf (
          types.nullOr (
            types.oneOf [
              types.bool
              types.float
              types.int
              types.str
            ]
          )
        );
        options = {
          shared_preload_libraries = mkOption {
            type = types.nullOr (types.coercedTo (types.listOf types.str) (lib.concatStringsSep ",") types.commas);
            default = null;
            example = [ "auto_explain" ];
            description = "Libraries loaded at start.";
          };
          log_line_prefix = mkOption {
            type = types.str;
            default = "[%p] ";
            example = "%m [%p] ";
            description = "What each line of the log begins with.";
          };
          port = mkOption {
            type = types.port;
            default = 5432;
            description = "The port to listen on.";
          };
        };
      };
      default = { };
      example = {
        log_connections = true;
        log_statement = "all";
        logging_collector = true;
      };
      description = "Settings of postgresql.conf.";
    };
    superUser = mkOption {
      type = types.str;
      internal = true;
      readOnly = true;
      default = "postgres";
      description = "The role that may do everything.";
    };
    systemCallFilter = mkOption {
      type = types.attrsOf types.unspecified;
      internal = true;
      default = { };
      description = "System calls of the service; those of its other hardening stay.";
    };
  };

  config = lib.mkIf cfg.enable {
    services.postgresql = {
      settings = {
        hba_file = toString (pkgs.writeText "pg_hba.conf" cfg.authentication);
        ident_file = toString (pkgs.writeText "pg_ident.conf" cfg.identMap);
        log_destination = "stderr";
        listen_addresses = if cfg.enableTCPIP then "*" else "localhost";
        unix_socket_directories = lib.mkDefault "/run/postgresql";
        jit = lib.mkDefault (if cfg.enableJIT then "on" else "off");
      };
      authentication = lib.mkMerge [
        (lib.mkBefore "# Generated file; do not edit!")
        (lib.mkAfter ''
          # default value of services.postgresql.authentication
          local all postgres         peer map=postgres
          local all all              peer
          host  all all 127.0.0.1/32 md5
          host  all all ::1/128      md5
        '')
      ];
      identMap = lib.mkAfter ''
        postgres root     postgres
        postgres postgres postgres
      '';
    };

    environment.systemPackages = [
      cfg.package
    ]
    ++ (if lib.isFunction cfg.extensions then cfg.extensions { } else cfg.extensions);

    users.users.postgres = {
      description = "PostgreSQL server user";
      group = "postgres";
      home = "/var/lib/postgresql";
      shell = "/bin/bash";
      isSystemUser = true;
    };
    users.groups.postgres = { };

    systemd.targets.postgresql = {
      description = "PostgreSQL";
      wantedBy = [ "multi-user.target" ];
      requires = [
        "postgresql.service"
        "postgresql-setup.service"
      ];
    };

    systemd.services.postgresql = {
      description = "PostgreSQL Server";
      after = [ "network.target" ];
      requires = [ "postgresql-initdb.service" ];
      environment.PGDATA = cfg.dataDir;
      restartTriggers = [ settingsText ];
      unitConfig.RequiresMountsFor = cfg.dataDir;
      serviceConfig = {
        ExecStart = "${programs}/postgres -c config_file=${configFile}/postgresql.conf";
        ExecReload = "/bin/kill -HUP $MAINPID";
        Type = "notify";
        User = "postgres";
        Group = "postgres";
        RuntimeDirectory = "postgresql";
        RuntimeDirectoryMode = "2775";
        RuntimeDirectoryPreserve = true;
        StateDirectory = lib.mkIf (cfg.dataDir == "/var/lib/postgresql/${schema}") "postgresql postgresql/${schema}";
        StateDirectoryMode = "0750";
        # PostgreSQL shuts down fast on SIGINT; SIGTERM would wait for clients.
        KillSignal = "SIGINT";
        KillMode = "mixed";
        TimeoutSec = 120;
        OOMScoreAdjust = -900;
        Restart = "always";
        PrivateTmp = true;
        PrivateDevices = true;
        ProtectSystem = "strict";
        ProtectHome = true;
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        ProtectProc = "invisible";
        ReadWritePaths = lib.optional (cfg.dataDir != "/var/lib/postgresql/${schema}") cfg.dataDir;
        RestrictAddressFamilies = [
          "AF_INET"
          "AF_INET6"
          "AF_NETLINK"
          "AF_UNIX"
        ];
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        LockPersonality = true;
        NoNewPrivileges = true;
        RemoveIPC = true;
        SystemCallArchitectures = "native";
        UMask = if lib.elem "--allow-group-access" cfg.initdbArgs then "0027" else "0077";
      };
    };

    # The cluster appears under its own name when it is whole: a boot that was cut short leaves nothing half-made.
    systemd.services.postgresql-initdb = {
      description = "PostgreSQL cluster";
      before = [ "postgresql.service" ];
      unitConfig.ConditionPathExists = "!${cfg.dataDir}/PG_VERSION";
      unitConfig.RequiresMountsFor = cfg.dataDir;
      script = ''
        rm -rf "$DATA.new"
        ${programs}/initdb --pgdata "$DATA.new" --username ${cfg.superUser} --auth-local=peer --auth-host=scram-sha-256 ${lib.escapeShellArgs cfg.initdbArgs}
        rm -f "$DATA.new"/*.conf
        touch "$DATA.new/.first_startup"
        if [ -d "$DATA" ]; then rmdir "$DATA"; fi
        mv "$DATA.new" "$DATA"
      '';
      environment.DATA = cfg.dataDir;
      serviceConfig = {
        Type = "oneshot";
        User = "postgres";
        Group = "postgres";
        StateDirectory = "postgresql";
        StateDirectoryMode = "0750";
        UMask = "0077";
      };
    };

    systemd.services.postgresql-setup = {
      description = "PostgreSQL databases and roles";
      requires = [ "postgresql.service" ];
      after = [ "postgresql.service" ];
      environment.PGHOST = "/run/postgresql";
      script = ''
        if [ -e "${cfg.dataDir}/.first_startup" ]; then
          ${lib.optionalString (cfg.initialScript != null) "${psql} -d postgres --no-psqlrc --set ON_ERROR_STOP=1 --file ${cfg.initialScript}"}
          rm -f "${cfg.dataDir}/.first_startup"
        fi
      ''
      + setupText;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        User = "postgres";
        Group = "postgres";
        Restart = "on-failure";
        RestartSec = 2;
      };
    };

    assertions = map (user: {
      assertion = !user.ensureDBOwnership || lib.elem user.name cfg.ensureDatabases;
      message = "services.postgresql.ensureUsers: ${user.name} is to own the database ${user.name}, which is not in ensureDatabases.";
    }) cfg.ensureUsers;
  };
}
