# The firewall: what may come in. Written for nftables.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.networking.firewall;
  portRange = types.submodule {
    options = {
      from = mkOption {
        type = types.port;
        description = "First port.";
      };
      to = mkOption {
        type = types.port;
        description = "Last port.";
      };
    };
  };
  portOptions = {
    allowedTCPPorts = mkOption {
      type = types.listOf types.port;
      default = [ ];
      apply = canonical;
      example = [
        22
        80
      ];
      description = "TCP ports that may be reached.";
    };
    allowedTCPPortRanges = mkOption {
      type = types.listOf portRange;
      default = [ ];
      example = [
        {
          from = 8999;
          to = 9003;
        }
      ];
      description = "Ranges of TCP ports that may be reached.";
    };
    allowedUDPPorts = mkOption {
      type = types.listOf types.port;
      default = [ ];
      apply = canonical;
      example = [ 53 ];
      description = "UDP ports that may be reached.";
    };
    allowedUDPPortRanges = mkOption {
      type = types.listOf portRange;
      default = [ ];
      example = [
        {
          from = 60000;
          to = 61000;
        }
      ];
      description = "Ranges of UDP ports that may be reached.";
    };
  };
  canonical = ports: lib.unique (lib.sort (a: b: a < b) ports);

  portSet =
    ports: ranges:
    lib.concatStringsSep ", " (
      map toString ports ++ map (range: "${toString range.from}-${toString range.to}") ranges
    );
  acceptPorts =
    match: protocol: ports: ranges:
    lib.optional (ports != [ ] || ranges != [ ]) "${match}${protocol} dport { ${portSet ports ranges} } accept";
  acceptOn =
    match: ports:
    acceptPorts match "tcp" ports.allowedTCPPorts ports.allowedTCPPortRanges
    ++ acceptPorts match "udp" ports.allowedUDPPorts ports.allowedUDPPortRanges;
  interfaceSet = names: lib.concatMapStringsSep ", " (name: "\"${name}\"") names;
  linesOf = text: lib.filter (line: line != "") (lib.splitString "\n" text);
  logged = match: what: "${match}log level info prefix \"refused ${what}: \"";
  chain = name: lines: "  chain ${name} {\n${lib.concatMapStrings (line: "    ${line}\n") lines}  }\n";

  rpfilter = [
    "type filter hook prerouting priority mangle + 10; policy drop;"
    "meta nfproto ipv4 udp sport . udp dport { 67 . 68, 68 . 67 } accept"
    "fib saddr . mark ${lib.optionalString (cfg.checkReversePath != "loose") ". iif "}oif exists accept"
  ]
  ++ linesOf cfg.extraReversePathFilterRules
  ++ lib.optional cfg.logReversePathDrops (logged "" "by the reverse path filter");

  input = [
    "type filter hook input priority filter; policy drop;"
    "iifname { ${interfaceSet ([ "lo" ] ++ cfg.trustedInterfaces)} } accept"
    "ct state vmap { invalid : drop, established : accept, related : accept, new : jump input-allow, untracked : jump input-allow }"
  ]
  ++ lib.optional cfg.logRefusedConnections (logged "tcp flags & (fin | syn | rst | ack) == syn " "connection")
  ++ lib.optional (cfg.logRefusedPackets && cfg.logRefusedUnicastsOnly) "meta pkttype { broadcast, multicast } drop"
  ++ lib.optional cfg.logRefusedPackets (logged "" "packet")
  ++ lib.optionals cfg.rejectPackets [
    "meta l4proto tcp reject with tcp reset"
    "reject"
  ];

  inputAllow =
    acceptOn "" cfg
    ++ lib.concatLists (lib.mapAttrsToList (name: ports: acceptOn "iifname \"${name}\" " ports) cfg.interfaces)
    ++ lib.optional cfg.allowPing "icmp type echo-request ${
      lib.optionalString (cfg.pingLimit != null) "limit rate ${cfg.pingLimit} "
    }accept"
    ++ [
      "icmpv6 type != { nd-redirect, 139 } accept"
      "ip6 daddr fe80::/64 udp dport 546 accept"
    ]
    ++ linesOf cfg.extraInputRules;

  forward = [
    "type filter hook forward priority filter; policy drop;"
    "ct state vmap { invalid : drop, established : accept, related : accept, new : jump forward-allow, untracked : jump forward-allow }"
  ];
  forwardAllow = [ "icmpv6 type != { router-renumbering, 139 } accept" ] ++ linesOf cfg.extraForwardRules;
in
{
  options.networking.firewall = {
    enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether only what is allowed may come in.";
    };
    backend = mkOption {
      type = types.enum [ "nftables" ];
      default = "nftables";
      description = "What the firewall is made of.";
    };
    logRefusedConnections = mkOption {
      type = types.bool;
      default = true;
      description = "Whether refused connections are logged.";
    };
    logRefusedPackets = mkOption {
      type = types.bool;
      default = false;
      description = "Whether every refused packet is logged.";
    };
    logRefusedUnicastsOnly = mkOption {
      type = types.bool;
      default = true;
      description = "Whether refused broadcasts and multicasts stay out of the log of packets.";
    };
    rejectPackets = mkOption {
      type = types.bool;
      default = false;
      description = "Whether the sender is told that a packet was refused.";
    };
    trustedInterfaces = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "enp0s2" ];
      description = "Interfaces through which everything may come in.";
    };
    allowPing = mkOption {
      type = types.bool;
      default = true;
      description = "Whether pings are answered.";
    };
    pingLimit = mkOption {
      type = types.nullOr (types.separatedString " ");
      default = null;
      example = "2/second";
      description = "How many pings are answered.";
    };
    checkReversePath = mkOption {
      type = types.either types.bool (
        types.enum [
          "strict"
          "loose"
        ]
      );
      default = "loose";
      description = ''
        Whether packets whose sender could not be answered through any interface ("loose"), or through the one that they came in by
        (true, "strict"), are dropped.
      '';
    };
    logReversePathDrops = mkOption {
      type = types.bool;
      default = false;
      description = "Whether such packets are logged.";
    };
    filterForward = mkOption {
      type = types.bool;
      default = false;
      description = "Whether packets that pass through the machine are filtered.";
    };
    extraInputRules = mkOption {
      type = types.lines;
      default = "";
      example = "ip6 saddr { fc00::/7, fe80::/10 } tcp dport 24800 accept";
      description = "More rules, in nft's language, for what comes in.";
    };
    extraForwardRules = mkOption {
      type = types.lines;
      default = "";
      description = "More rules, in nft's language, for what passes through.";
    };
    extraReversePathFilterRules = mkOption {
      type = types.lines;
      default = "";
      description = "More rules, in nft's language, for the check of senders.";
    };
    interfaces = mkOption {
      type = types.attrsOf (types.submodule { options = portOptions; });
      default = { };
      description = "Ports that may be reached through one interface only.";
    };
  }
  // portOptions;

  config = lib.mkIf cfg.enable {
    networking.nftables.tables.nixos-fw = {
      family = "inet";
      content =
        lib.optionalString (cfg.checkReversePath != false) (chain "rpfilter" rpfilter)
        + chain "input" input
        + chain "input-allow" inputAllow
        + lib.optionalString cfg.filterForward (chain "forward" forward + chain "forward-allow" forwardAllow);
    };
    assertions = [
      {
        assertion = cfg.extraForwardRules == "" || cfg.filterForward;
        message = "networking.firewall.extraForwardRules needs networking.firewall.filterForward.";
      }
    ];
  };
}
