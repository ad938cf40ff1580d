# Proof of what a machine runs: again and again on its console, and for whoever asks over the network. On the machine
# `invar proof` tells it without this.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.invar.proof.http;
  console = config.invar.proof.console;
  onMachine = config.invar.machine.enable;
in
{
  options.invar.proof.console.interval = mkOption {
    type = types.nullOr types.ints.positive;
    default = 3600;
    description = ''
      How often the proof is printed on the serial console, in seconds, besides at boot and after each switch. EC2 keeps the last 64 KiB
      of a console: on a machine that runs for weeks an old line is gone, and tells nothing of today. null: not again.
    '';
  };
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
  config = lib.mkMerge [
    {
      # Named apart from the socket that answers.
      systemd.services.invar-proof-console = lib.mkIf onMachine {
        description = "Proof of what this machine runs, on its console";
        # A switch and a boot print it themselves.
        restartIfChanged = false;
        serviceConfig = {
          Type = "oneshot";
          ExecStart = "/usr/bin/invar proof --announce";
          Nice = 10;
        };
      };
      systemd.timers.invar-proof-console = lib.mkIf (onMachine && console.interval != null) {
        description = "Proof on the console, again and again";
        wantedBy = [ "timers.target" ];
        timerConfig = {
          OnActiveSec = console.interval;
          OnUnitActiveSec = console.interval;
          # Instances that were launched together need not all be busy at once.
          RandomizedDelaySec = console.interval / 20;
          AccuracySec = "1min";
        };
      };
    }
    (lib.mkIf cfg.enable {
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
    })
  ];
}
