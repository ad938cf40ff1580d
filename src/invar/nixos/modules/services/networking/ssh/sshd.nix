# The OpenSSH server. Host keys are made at first boot and stay on /var: none is ever in an image.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.openssh;

  valueText =
    name: value:
    if value == true then
      "yes"
    else if value == false then
      "no"
    else if lib.isList value then
      lib.concatStringsSep (
        if
          lib.elem name [
            "AllowUsers"
            "DenyUsers"
            "AllowGroups"
            "DenyGroups"
            "AcceptEnv"
          ]
        then
          " "
        else
          ","
      ) (map toString value)
    else
      toString value;
  settingsText = lib.concatStrings (
    lib.mapAttrsToList (name: value: "${name} ${valueText name value}\n") (lib.filterAttrs (_: value: value != null) cfg.settings)
  );
  addressText =
    listen:
    let
      host = if lib.hasInfix ":" listen.addr && !lib.hasPrefix "[" listen.addr then "[${listen.addr}]" else listen.addr;
    in
    "ListenAddress ${host}${lib.optionalString (listen.port != null) ":${toString listen.port}"}\n";

  configText =
    lib.concatMapStrings (port: "Port ${toString port}\n") cfg.ports
    + lib.concatMapStrings addressText cfg.listenAddresses
    + lib.optionalString (cfg.banner != null) "Banner ${pkgs.writeText "ssh_banner" cfg.banner}\n"
    + lib.optionalString cfg.allowSFTP "${toString ([ "Subsystem sftp" cfg.sftpServerExecutable ] ++ cfg.sftpFlags)}\n"
    + "AuthorizedKeysFile ${toString cfg.authorizedKeysFiles}\n"
    + lib.optionalString (cfg.authorizedKeysCommand != "none") ''
      AuthorizedKeysCommand ${cfg.authorizedKeysCommand}
      AuthorizedKeysCommandUser ${cfg.authorizedKeysCommandUser}
    ''
    + lib.concatMapStrings (key: "HostKey ${key.path}\n") cfg.hostKeys
    + settingsText
    + cfg.extraConfig;

  keyText =
    key:
    ''
      if ! [ -s "${key.path}" ]; then
        mkdir -p "$(dirname "${key.path}")"
        rm -f "${key.path}.new" "${key.path}.new.pub"
        ssh-keygen -q -t "${key.type}" ${lib.optionalString (key ? bits) "-b ${toString key.bits}"} -C "" -N "" -f "${key.path}.new"
        mv "${key.path}.new.pub" "${key.path}.pub"
        mv "${key.path}.new" "${key.path}"
      fi
    '';

  serverUnit = {
    description = "SSH Daemon";
    after = [ "network.target" "sshd-keygen.service" ];
    wants = [ "sshd-keygen.service" ];
    serviceConfig = {
      ExecStart = lib.concatStringsSep " " (
        [ "${lib.optionalString cfg.startWhenNeeded "-"}${lib.getExe' cfg.package "sshd"}" ]
        ++ [ (if cfg.startWhenNeeded then "-i" else "-D") ]
        ++ [ "-f /etc/ssh/sshd_config" ]
      );
      KillMode = "process";
      RuntimeDirectory = "sshd";
      RuntimeDirectoryPreserve = true;
    };
  };
in
{
  options.services.openssh = {
    enable = mkOption {
      type = types.bool;
      default = false;
      description = "Whether the OpenSSH server runs.";
    };
    package = lib.mkPackageOption pkgs "openssh" { };
    startWhenNeeded = mkOption {
      type = types.bool;
      default = false;
      description = "Whether systemd listens, and starts a server for each connection.";
    };
    allowSFTP = mkOption {
      type = types.bool;
      default = true;
      description = "Whether files can be transferred by SFTP.";
    };
    sftpServerExecutable = mkOption {
      type = types.str;
      default = "/usr/lib/openssh/sftp-server";
      example = "internal-sftp";
      description = "The SFTP server.";
    };
    sftpFlags = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [
        "-f AUTHPRIV"
        "-l INFO"
      ];
      description = "Arguments of the SFTP server.";
    };
    ports = mkOption {
      type = types.listOf types.port;
      default = [ 22 ];
      description = "Ports to listen on.";
    };
    openFirewall = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the firewall lets connections to the ports in.";
    };
    listenAddresses = mkOption {
      type = types.listOf (
        types.submodule {
          options = {
            addr = mkOption {
              type = types.str;
              description = "Address to listen on.";
            };
            port = mkOption {
              type = types.nullOr types.port;
              default = null;
              description = "Port to listen on; null is each of `ports`.";
            };
          };
        }
      );
      default = [ ];
      example = [
        {
          addr = "192.168.3.1";
          port = 22;
        }
      ];
      description = "Addresses to listen on; all of them if the list is empty.";
    };
    hostKeys = mkOption {
      type = types.listOf types.attrs;
      default = [
        {
          type = "ed25519";
          path = "/var/lib/ssh/ssh_host_ed25519_key";
        }
      ];
      example = [
        {
          type = "rsa";
          bits = 4096;
          path = "/var/lib/ssh/ssh_host_rsa_key";
        }
      ];
      description = ''
        Host keys, made at boot where they are missing: `type`, `path` and, for RSA, `bits`. /etc is read-only, so that they are below
        /var. NixOS's list has an RSA key too; making one would hold up the first boot.
      '';
    };
    generateHostKeys = mkOption {
      type = types.bool;
      default = cfg.enable;
      defaultText = lib.literalExpression "config.services.openssh.enable";
      description = "Whether missing host keys are made.";
    };
    banner = mkOption {
      type = types.nullOr types.lines;
      default = null;
      description = "Text shown before somebody logs in.";
    };
    authorizedKeysFiles = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Files that hold the keys which let a user in; %h is the home directory and %u the name.";
    };
    authorizedKeysInHomedir = mkOption {
      type = types.bool;
      default = true;
      description = "Whether ~/.ssh/authorized_keys counts.";
    };
    authorizedKeysCommand = mkOption {
      type = types.str;
      default = "none";
      description = "A program that prints the keys of a user.";
    };
    authorizedKeysCommandUser = mkOption {
      type = types.str;
      default = "nobody";
      description = "As whom that program runs.";
    };
    moduliFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = "/etc/my-local-ssh-moduli;";
      description = "Primes for Diffie-Hellman groups; null leaves Debian's.";
    };
    extraConfig = mkOption {
      type = types.lines;
      default = "";
      description = "More lines of sshd_config, at its end.";
    };
    settings = mkOption {
      default = { };
      description = "Settings of sshd_config(5), by name.";
      type = types.submodule (import ./sshd-settings.nix { inherit lib; });
    };
  };

  config = lib.mkIf cfg.enable {
    services.openssh.authorizedKeysFiles =
      lib.optional cfg.authorizedKeysInHomedir "%h/.ssh/authorized_keys" ++ [ "/etc/ssh/authorized_keys.d/%u" ];

    environment.systemPackages = [ cfg.package ];
    environment.etc = {
      "ssh/sshd_config".text = configText;
    }
    // lib.optionalAttrs (cfg.moduliFile != null) { "ssh/moduli".source = cfg.moduliFile; };

    networking.firewall.allowedTCPPorts = lib.optionals cfg.openFirewall (
      cfg.ports ++ lib.concatMap (listen: lib.optional (listen.port != null) listen.port) cfg.listenAddresses
    );

    systemd.services.sshd-keygen = lib.mkIf cfg.generateHostKeys {
      description = "SSH Host Keys Generation";
      unitConfig.ConditionFileNotEmpty = map (key: "|!${key.path}") cfg.hostKeys;
      script = lib.concatMapStrings keyText cfg.hostKeys;
      serviceConfig = {
        Type = "oneshot";
        UMask = "0077";
      };
    };

    systemd.services.sshd = lib.mkIf (!cfg.startWhenNeeded) (
      lib.mkMerge [
        serverUnit
        {
          wantedBy = [ "multi-user.target" ];
          restartTriggers = [ configText ];
          stopIfChanged = false;
          serviceConfig = {
            Type = "notify";
            Restart = "on-failure";
            RestartPreventExitStatus = 255;
            ExecReload = "/bin/kill -HUP $MAINPID";
          };
        }
      ]
    );
    systemd.services."sshd@" = lib.mkIf cfg.startWhenNeeded (
      lib.mkMerge [
        serverUnit
        { serviceConfig.StandardInput = "socket"; }
      ]
    );
    systemd.sockets.sshd = lib.mkIf cfg.startWhenNeeded {
      description = "SSH Socket";
      wantedBy = [ "sockets.target" ];
      listenStreams =
        if cfg.listenAddresses != [ ] then
          lib.concatMap (
            { addr, port }:
            if port != null then [ "${addr}:${toString port}" ] else map (p: "${addr}:${toString p}") cfg.ports
          ) cfg.listenAddresses
        else
          map toString cfg.ports;
      socketConfig.Accept = true;
    };

    assertions = [
      {
        assertion = !(lib.any (key: lib.hasPrefix "/etc/" key.path) cfg.hostKeys);
        message = "services.openssh.hostKeys: /etc is read-only and in the image; keep host keys below /var, in /var/lib/ssh for example.";
      }
      {
        assertion = lib.all (key: key ? type && key ? path) cfg.hostKeys;
        message = "services.openssh.hostKeys: each key needs `type` and `path`.";
      }
    ];
  };
}
