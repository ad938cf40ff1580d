# The network, by systemd-networkd: links, virtual devices and networks as systemd.network(5) has them.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.systemd.network;
  unitOptions = import ./systemd/unit-options.nix { inherit lib; };
  unitText = import ./systemd/unit-text.nix { inherit lib pkgs; };

  # A section's option and its name in the file.
  networkSections = {
    matchConfig = "Match";
    linkConfig = "Link";
    networkConfig = "Network";
    dhcpV4Config = "DHCPv4";
    dhcpV6Config = "DHCPv6";
    dhcpPrefixDelegationConfig = "DHCPPrefixDelegation";
    ipv6AcceptRAConfig = "IPv6AcceptRA";
    ipv6SendRAConfig = "IPv6SendRA";
    dhcpServerConfig = "DHCPServer";
    bridgeConfig = "Bridge";
    canConfig = "CAN";
  };
  repeatedSections = {
    addresses = "Address";
    routes = "Route";
    routingPolicyRules = "RoutingPolicyRule";
    bridgeVLANs = "BridgeVLAN";
  };
  netdevSections = {
    netdevConfig = "NetDev";
    vlanConfig = "VLAN";
    bridgeConfig = "Bridge";
    bondConfig = "Bond";
    vxlanConfig = "VXLAN";
    tunnelConfig = "Tunnel";
    wireguardConfig = "WireGuard";
    tunConfig = "Tun";
    tapConfig = "Tap";
    macvlanConfig = "MACVLAN";
  };
  linkSections = {
    matchConfig = "Match";
    linkConfig = "Link";
  };

  sectionOptions = lib.mapAttrs (_: name: unitOptions.section name);
  repeatedOptions = lib.mapAttrs (
    _: name:
    mkOption {
      type = types.listOf (types.attrsOf unitOptions.directive);
      default = [ ];
      description = "Sections [${name}], each with its directives.";
    }
  );
  common = {
    enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the file is there.";
    };
    extraConfig = mkOption {
      type = types.lines;
      default = "";
      description = "More text of the file.";
    };
  };
  strings =
    description:
    mkOption {
      type = types.listOf types.str;
      default = [ ];
      inherit description;
    };
  networkOptions = {
    options =
      common
      // sectionOptions networkSections
      // repeatedOptions repeatedSections
      // {
        name = mkOption {
          type = types.nullOr types.str;
          default = null;
          description = "Name of the interface.";
        };
        DHCP = mkOption {
          type = types.nullOr (
            types.enum [
              "yes"
              "no"
              "ipv4"
              "ipv6"
            ]
          );
          default = null;
          description = "Whether addresses come by DHCP.";
        };
        address = strings "Addresses, with the length of their prefix.";
        gateway = strings "Addresses of gateways.";
        dns = strings "Name servers.";
        ntp = strings "NTP servers.";
        domains = strings "Domains that names are looked up in.";
        vlan = strings "VLANs on the interface.";
        bridge = strings "Bridges that the interface belongs to.";
        bond = strings "Bonds that the interface belongs to.";
      };
  };
  netdevOptions = {
    options =
      common
      // sectionOptions netdevSections
      // {
        wireguardPeers = mkOption {
          type = types.listOf (types.attrsOf unitOptions.directive);
          default = [ ];
          description = "Sections [WireGuardPeer], each with its directives.";
        };
      };
  };
  linkOptions = {
    options = common // sectionOptions linkSections;
  };

  # NAME's sections first, in the order that people write them.
  order = [
    "Match"
    "NetDev"
    "Link"
    "Network"
  ];
  sectionsOf =
    table: file:
    let
      all = lib.mapAttrsToList (option: name: {
        inherit name;
        values = file.${option};
      }) table;
      first = lib.concatMap (name: lib.filter (one: one.name == name) all) order;
    in
    first ++ lib.filter (one: !(lib.elem one.name order)) all;
  repeatedOf =
    table: file:
    lib.concatLists (
      lib.mapAttrsToList (option: name: map (values: { inherit name values; }) file.${option}) table
    );
  withShorthands =
    file:
    file
    // {
      matchConfig = lib.optionalAttrs (file.name != null) { Name = file.name; } // file.matchConfig;
      networkConfig =
        lib.filterAttrs (_: value: value != null && value != [ ]) {
          inherit (file) DHCP;
          Address = file.address;
          Gateway = file.gateway;
          DNS = file.dns;
          NTP = file.ntp;
          Domains = lib.optional (file.domains != [ ]) (toString file.domains);
          VLAN = file.vlan;
          Bridge = file.bridge;
          Bond = file.bond;
        }
        // file.networkConfig;
    };
  networkText = file: unitText.sectionsText (sectionsOf networkSections (withShorthands file) ++ repeatedOf repeatedSections file) + file.extraConfig;
  netdevText =
    file:
    unitText.sectionsText (sectionsOf netdevSections file ++ repeatedOf { wireguardPeers = "WireGuardPeer"; } file) + file.extraConfig;
  linkText = file: unitText.sectionsText (sectionsOf linkSections file) + file.extraConfig;
  filesOf =
    suffix: textOf: files:
    lib.mapAttrs' (name: file: lib.nameValuePair "systemd/network/${name}.${suffix}" { text = textOf file; }) (
      lib.filterAttrs (_: file: file.enable) files
    );
in
{
  options.systemd.network = {
    enable = mkOption {
      type = types.bool;
      default = false;
      description = "Whether systemd-networkd runs.";
    };
    networks = mkOption {
      type = types.attrsOf (types.submodule networkOptions);
      default = { };
      description = "Networks: which interface gets which addresses and routes.";
    };
    netdevs = mkOption {
      type = types.attrsOf (types.submodule netdevOptions);
      default = { };
      description = "Virtual network devices.";
    };
    links = mkOption {
      type = types.attrsOf (types.submodule linkOptions);
      default = { };
      description = "Links: names and low-level settings of devices.";
    };
    config.networkConfig = unitOptions.section "Network";
    wait-online = {
      enable = mkOption {
        type = types.bool;
        default = true;
        description = "Whether network-online.target waits until the network is up. Nothing waits for it at boot unless it says so.";
      };
      anyInterface = mkOption {
        type = types.bool;
        default = true;
        description = "Whether one interface that is up is enough.";
      };
      ignoredInterfaces = strings "Interfaces that are not waited for.";
      timeout = mkOption {
        type = types.ints.unsigned;
        default = 120;
        description = "How long to wait, in seconds; 0 is for ever.";
      };
      extraArgs = strings "More arguments of systemd-networkd-wait-online.";
    };
  };

  config = lib.mkIf cfg.enable {
    environment.etc =
      filesOf "network" networkText cfg.networks
      // filesOf "netdev" netdevText cfg.netdevs
      // filesOf "link" linkText cfg.links
      // lib.optionalAttrs (cfg.config.networkConfig != { }) {
        "systemd/networkd.conf".text = unitText.sectionsText [
          {
            name = "Network";
            values = cfg.config.networkConfig;
          }
        ];
      };
    systemd.sockets.systemd-networkd.wantedBy = [ "sockets.target" ];
    systemd.services.systemd-networkd = {
      wantedBy = [ "multi-user.target" ];
      aliases = [ "dbus-org.freedesktop.network1.service" ];
      restartTriggers = map networkText (lib.attrValues cfg.networks);
    };
    systemd.services.systemd-networkd-wait-online = lib.mkIf cfg.wait-online.enable {
      wantedBy = [ "network-online.target" ];
      serviceConfig.ExecStart = [
        ""
        (lib.concatStringsSep " " (
          [ "/usr/lib/systemd/systemd-networkd-wait-online" ]
          ++ lib.optional cfg.wait-online.anyInterface "--any"
          ++ map (name: "--ignore=${name}") cfg.wait-online.ignoredInterfaces
          ++ [ "--timeout=${toString cfg.wait-online.timeout}" ]
          ++ cfg.wait-online.extraArgs
        ))
      ];
    };
  };
}
