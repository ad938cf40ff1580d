# Proof of what a machine runs, for whoever asks over the network. On the machine `invar proof` tells it without this.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.invar.proof.http;
in
{
  options.invar.proof.http = {
    enable = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether `GET /proof?nonce=N` is answered, to anyone who reaches the port. What listens is systemd; a request starts a process
        that may do nothing but ask for the proof.
      '';
    };
    port = mkOption {
      type = types.port;
      # DEFAULT_PORT of src/invar/system/proof.py.
      default = 9741;
      description = "The TCP port, which the firewall lets in.";
    };
  };
  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = config.invar.machine.enable;
        message = "invar.proof.http needs Invar on the instance: invar.machine.enable.";
      }
    ];
    networking.firewall.allowedTCPPorts = [ cfg.port ];
    systemd.sockets = {
      invar-proof-http = {
        description = "Proof over HTTP";
        wantedBy = [ "sockets.target" ];
        listenStreams = [ (toString cfg.port) ];
        socketConfig = {
          Accept = true;
          MaxConnections = 16;
          MaxConnectionsPerSource = 4;
        };
      };
      invar-proof = {
        description = "Proof, for the part that speaks HTTP";
        wantedBy = [ "sockets.target" ];
        listenStreams = [ "/run/invar/proof.sock" ];
        socketConfig = {
          Accept = true;
          # Each runs every check once: more at a time would be a way to keep the machine busy.
          MaxConnections = 2;
          DirectoryMode = "0755";
        };
      };
    };
    systemd.services = {
      "invar-proof-http@" = {
        description = "Proof over HTTP";
        serviceConfig = {
          ExecStart = "/usr/bin/invar proof-http";
          StandardInput = "socket";
          StandardError = "journal";
          RuntimeMaxSec = 90;
          DynamicUser = true;
          CapabilityBoundingSet = "";
          LockPersonality = true;
          MemoryDenyWriteExecute = true;
          MemoryMax = "64M";
          NoNewPrivileges = true;
          PrivateDevices = true;
          PrivateNetwork = true;
          PrivateTmp = true;
          PrivateUsers = true;
          ProcSubset = "pid";
          ProtectClock = true;
          ProtectControlGroups = true;
          ProtectHome = true;
          ProtectHostname = true;
          ProtectKernelLogs = true;
          ProtectKernelModules = true;
          ProtectKernelTunables = true;
          ProtectProc = "invisible";
          ProtectSystem = "strict";
          RestrictAddressFamilies = "AF_UNIX";
          RestrictNamespaces = true;
          RestrictRealtime = true;
          RestrictSUIDSGID = true;
          SystemCallArchitectures = "native";
          SystemCallFilter = [
            "@system-service"
            "~@privileged @resources"
          ];
        };
      };
      "invar-proof@" = {
        description = "Proof of what this machine runs";
        serviceConfig = {
          ExecStart = "/usr/bin/invar proof --serve";
          StandardInput = "socket";
          StandardOutput = "socket";
          StandardError = "journal";
          RuntimeMaxSec = 60;
        };
      };
    };
  };
}
