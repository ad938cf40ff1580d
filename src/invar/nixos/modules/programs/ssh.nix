# The OpenSSH client, and the hosts that everybody knows.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.programs.ssh;
  hosts = lib.attrValues cfg.knownHosts;
  hostOptions =
    { name, config, ... }:
    {
      options = {
        certAuthority = mkOption {
          type = types.bool;
          default = false;
          description = "Whether the key signs hosts' keys.";
        };
        hostNames = mkOption {
          type = types.listOf types.str;
          default = [ name ] ++ config.extraHostNames;
          description = "Names and addresses of the host.";
        };
        extraHostNames = mkOption {
          type = types.listOf types.str;
          default = [ ];
          description = "More names and addresses of the host.";
        };
        publicKey = mkOption {
          type = types.nullOr types.str;
          default = null;
          description = "The host's public key.";
        };
        publicKeyFile = mkOption {
          type = types.nullOr types.path;
          default = null;
          description = "A file that holds the host's public key.";
        };
      };
    };
  hostText =
    host:
    lib.optionalString host.certAuthority "@cert-authority "
    + lib.concatStringsSep "," host.hostNames
    + " "
    + (if host.publicKey != null then host.publicKey else lib.fileContents host.publicKeyFile)
    + "\n";
in
{
  options.programs.ssh = {
    knownHosts = mkOption {
      type = types.attrsOf (types.submodule hostOptions);
      default = { };
      description = "Hosts whose keys are known.";
    };
    extraConfig = mkOption {
      type = types.lines;
      default = "";
      description = "More lines of ssh_config.";
    };
  };
  config.environment.etc = {
    "ssh/ssh_known_hosts" = lib.mkIf (hosts != [ ]) { text = lib.concatMapStrings hostText hosts; };
    "ssh/ssh_config.d/nixos.conf" = lib.mkIf (cfg.extraConfig != "") { text = cfg.extraConfig; };
  };
  config.assertions = lib.mapAttrsToList (name: host: {
    assertion = (host.publicKey == null) != (host.publicKeyFile == null);
    message = "programs.ssh.knownHosts.${name}: set one of publicKey and publicKeyFile.";
  }) cfg.knownHosts;
}
