# The name service switch: where users, groups and hosts are looked up.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.system.nssDatabases;
  database =
    what:
    mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Where ${what} are looked up, in this order.";
    };
in
{
  options.system = {
    nssModules = mkOption {
      type = types.listOf types.path;
      internal = true;
      default = [ ];
      description = "Packages that hold name service modules.";
    };
    nssDatabases = {
      passwd = database "users";
      group = database "groups";
      shadow = database "passwords";
      sudoers = database "sudo rules";
      hosts = database "hosts";
      services = database "services";
    };
  };
  config = {
    system.nssDatabases = {
      passwd = lib.mkBefore [ "files" ];
      group = lib.mkBefore [ "files" ];
      shadow = lib.mkBefore [ "files" ];
      sudoers = lib.mkBefore [ "files" ];
      hosts = lib.mkMerge [
        (lib.mkBefore [ "files" ])
        (lib.mkAfter [ "dns" ])
      ];
      services = lib.mkBefore [ "files" ];
    };
    environment.systemPackages = config.system.nssModules;
    environment.etc."nsswitch.conf".text = ''
      passwd:    ${lib.concatStringsSep " " cfg.passwd}
      group:     ${lib.concatStringsSep " " cfg.group}
      shadow:    ${lib.concatStringsSep " " cfg.shadow}
      gshadow:   files
      sudoers:   ${lib.concatStringsSep " " cfg.sudoers}

      hosts:     ${lib.concatStringsSep " " cfg.hosts}
      networks:  files

      ethers:    files
      services:  ${lib.concatStringsSep " " cfg.services}
      protocols: files
      rpc:       files
    '';
  };
}
