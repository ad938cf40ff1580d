# The options of services.openssh.settings: what sshd_config(5) has, with NixOS's defaults.
{ lib }:
let
  inherit (lib) mkOption types;
  names = types.nullOr (types.listOf types.str);
in
{
  freeformType = types.attrsOf (
    types.nullOr (
      types.oneOf [
        types.bool
        types.int
        types.str
        (types.listOf types.str)
      ]
    )
  );
  options = {
    LogLevel = mkOption {
      type = types.enum [
        "QUIET"
        "FATAL"
        "ERROR"
        "INFO"
        "VERBOSE"
        "DEBUG"
        "DEBUG1"
        "DEBUG2"
        "DEBUG3"
      ];
      default = "INFO";
      description = "How much is told in the journal.";
    };
    UsePAM = mkOption {
      type = types.bool;
      default = true;
      description = "Whether PAM opens sessions.";
    };
    UseDns = mkOption {
      type = types.bool;
      default = false;
      description = "Whether the names of clients are looked up.";
    };
    X11Forwarding = mkOption {
      type = types.bool;
      default = false;
      description = "Whether X11 connections are forwarded.";
    };
    PasswordAuthentication = mkOption {
      type = types.bool;
      default = true;
      description = "Whether a password lets a user in.";
    };
    PermitRootLogin = mkOption {
      type = types.enum [
        "yes"
        "without-password"
        "prohibit-password"
        "forced-commands-only"
        "no"
      ];
      default = "prohibit-password";
      description = "Whether root may log in.";
    };
    KbdInteractiveAuthentication = mkOption {
      type = types.bool;
      default = true;
      description = "Whether PAM may ask questions to let a user in.";
    };
    GatewayPorts = mkOption {
      type = types.str;
      default = "no";
      description = "Whether others may connect to forwarded ports.";
    };
    KexAlgorithms = mkOption {
      type = names;
      default = [
        "mlkem768x25519-sha256"
        "sntrup761x25519-sha512"
        "sntrup761x25519-sha512@openssh.com"
        "curve25519-sha256"
        "curve25519-sha256@libssh.org"
      ];
      description = "Key exchanges.";
    };
    Macs = mkOption {
      type = names;
      default = [
        "hmac-sha2-512-etm@openssh.com"
        "hmac-sha2-256-etm@openssh.com"
        "umac-128-etm@openssh.com"
      ];
      description = "Message authentication codes.";
    };
    Ciphers = mkOption {
      type = names;
      default = [
        "chacha20-poly1305@openssh.com"
        "aes256-gcm@openssh.com"
        "aes128-gcm@openssh.com"
        "aes256-ctr"
        "aes192-ctr"
        "aes128-ctr"
      ];
      description = "Ciphers.";
    };
    StrictModes = mkOption {
      type = types.bool;
      default = true;
      description = "Whether files of a user that others can write to are refused.";
    };
    AllowUsers = mkOption {
      type = names;
      default = null;
      description = "Users who may log in; null is all.";
    };
    DenyUsers = mkOption {
      type = names;
      default = null;
      description = "Users who may not log in.";
    };
    AllowGroups = mkOption {
      type = names;
      default = null;
      description = "Groups whose users may log in; null is all.";
    };
    DenyGroups = mkOption {
      type = names;
      default = null;
      description = "Groups whose users may not log in.";
    };
    PrintMotd = mkOption {
      type = types.bool;
      default = false;
      description = "Whether sshd shows /etc/motd; PAM does.";
    };
    AuthorizedPrincipalsFile = mkOption {
      type = types.nullOr types.str;
      default = "none";
      description = "File of the names that a user's certificate may carry.";
    };
  };
}
