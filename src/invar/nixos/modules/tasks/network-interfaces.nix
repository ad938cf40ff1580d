# The machine's name, and how its interfaces get their addresses (by systemd-networkd).
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.networking;
  hostName = types.strMatching "^$|^[[:alnum:]]([[:alnum:]_-]{0,61}[[:alnum:]])?$";

  addressOptions = version: {
    options = {
      address = mkOption {
        type = types.str;
        description = "IPv${toString version} address of the interface.";
      };
      prefixLength = mkOption {
        type = types.addCheck types.int (bits: bits >= 0 && bits <= (if version == 4 then 32 else 128));
        description = "Length of the network's prefix, in bits.";
      };
    };
  };
  routeOptions = version: {
    options = {
      address = mkOption {
        type = types.str;
        description = "IPv${toString version} address of the network.";
      };
      prefixLength = mkOption {
        type = types.addCheck types.int (bits: bits >= 0 && bits <= (if version == 4 then 32 else 128));
        description = "Length of the network's prefix, in bits.";
      };
      via = mkOption {
        type = types.nullOr types.str;
        default = null;
        description = "The next hop.";
      };
    };
  };
  family = version: {
    addresses = mkOption {
      type = types.listOf (types.submodule (addressOptions version));
      default = [ ];
      description = "IPv${toString version} addresses of the interface.";
    };
    routes = mkOption {
      type = types.listOf (types.submodule (routeOptions version));
      default = [ ];
      description = "IPv${toString version} routes through the interface.";
    };
  };
  interfaceOptions =
    { name, ... }:
    {
      options = {
        name = mkOption {
          type = types.str;
          default = name;
          description = "Name of the interface.";
        };
        useDHCP = mkOption {
          type = types.nullOr types.bool;
          default = null;
          description = "Whether the interface gets its addresses by DHCP; null follows `networking.useDHCP` where no address is set.";
        };
        ipv4 = family 4;
        ipv6 = family 6;
        macAddress = mkOption {
          type = types.nullOr types.str;
          default = null;
          description = "The hardware address to give to the interface.";
        };
        mtu = mkOption {
          type = types.nullOr types.int;
          default = null;
          description = "The largest packet, in bytes.";
        };
      };
    };
  gatewayOptions = {
    options = {
      address = mkOption {
        type = types.str;
        description = "Address of the gateway.";
      };
      interface = mkOption {
        type = types.nullOr types.str;
        default = null;
        description = "The interface that leads to the gateway.";
      };
      metric = mkOption {
        type = types.nullOr types.int;
        default = null;
        description = "Preference among routes; the smallest wins.";
      };
    };
  };
  gateway = types.nullOr (types.coercedTo types.str (address: { inherit address; }) (types.submodule gatewayOptions));
  withPrefix = entry: "${entry.address}/${toString entry.prefixLength}";
  interfaces = lib.attrValues cfg.interfaces;
  gateways = lib.filter (gate: gate != null) [
    cfg.defaultGateway
    cfg.defaultGateway6
  ];
  gatewaysOf =
    interface:
    lib.filter (gate: gate.interface == interface.name || gate.interface == null && lib.length interfaces == 1) gateways;
in
{
  options.networking = {
    hostName = mkOption {
      type = hostName;
      default = "nixos";
      description = ''
        The machine's name. "" leaves it to the network: on EC2 the instance's metadata, else DHCP.
      '';
    };
    domain = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "home.arpa";
      description = "The domain that the machine is in.";
    };
    fqdn = mkOption {
      type = types.str;
      default =
        if cfg.hostName != "" && cfg.domain != null then
          "${cfg.hostName}.${cfg.domain}"
        else
          throw "The FQDN needs both networking.hostName and networking.domain.";
      defaultText = lib.literalExpression ''"''${networking.hostName}.''${networking.domain}"'';
      description = "The machine's fully qualified name.";
    };
    fqdnOrHostName = mkOption {
      type = types.str;
      readOnly = true;
      default = if cfg.domain == null then cfg.hostName else cfg.fqdn;
      description = "The fully qualified name, else the short one.";
    };
    hostId = mkOption {
      type = types.nullOr (types.strMatching "[0-9a-fA-F]{8}");
      default = null;
      example = "4e98920d";
      description = "The 32-bit number of the machine, in hexadecimal.";
    };
    nameservers = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "130.161.158.4" ];
      description = "Name servers, beside those that DHCP tells of.";
    };
    search = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "example.com" ];
      description = "Domains that short names are looked up in.";
    };
    useDHCP = mkOption {
      type = types.bool;
      default = true;
      description = "Whether every wired interface that has no address of its own asks for one by DHCP.";
    };
    dhcpcd.enable = mkOption {
      type = types.bool;
      default = false;
      description = "Whether dhcpcd asks for addresses: systemd-networkd does here.";
    };
    useNetworkd = mkOption {
      type = types.bool;
      default = true;
      description = "Whether systemd-networkd sets up the network. There is no other way here.";
    };
    usePredictableInterfaceNames = mkOption {
      type = types.bool;
      default = true;
      description = "Whether interfaces are named after their place in the machine rather than in order of appearance.";
    };
    interfaces = mkOption {
      type = types.attrsOf (types.submodule interfaceOptions);
      default = { };
      description = "Interfaces with settings of their own.";
    };
    defaultGateway = mkOption {
      type = gateway;
      default = null;
      example = "131.211.84.1";
      description = "The IPv4 default gateway.";
    };
    defaultGateway6 = mkOption {
      type = gateway;
      default = null;
      example = "2001:4d0:1e04:895::1";
      description = "The IPv6 default gateway.";
    };
  };

  config = {
    assertions = [
      {
        assertion = cfg.useNetworkd && !cfg.dhcpcd.enable;
        message = "Only systemd-networkd sets up the network here: leave networking.useNetworkd true and networking.dhcpcd.enable false.";
      }
      {
        assertion = lib.all (gate: gate.interface != null || lib.length interfaces == 1) gateways;
        message = "networking.defaultGateway: name the `interface` that leads to it, as there is not exactly one in networking.interfaces.";
      }
    ];
    environment.etc.hostname = lib.mkIf (cfg.hostName != "") { text = "${cfg.hostName}\n"; };
    boot.kernelParams = lib.optional (!cfg.usePredictableInterfaceNames) "net.ifnames=0";

    systemd.network.enable = lib.mkDefault true;
    systemd.network.networks = lib.mkMerge (
      [
        (lib.mkIf cfg.useDHCP {
          "99-ethernet-default-dhcp" = {
            matchConfig = {
              Type = "ether";
              Kind = "!*";
            };
            DHCP = "yes";
            networkConfig.IPv6PrivacyExtensions = "kernel";
          };
        })
      ]
      ++ map (interface: {
        "40-${interface.name}" = {
          matchConfig.Name = interface.name;
          DHCP = lib.mkIf (
            interface.useDHCP == true
            || interface.useDHCP == null && cfg.useDHCP && interface.ipv4.addresses ++ interface.ipv6.addresses == [ ]
          ) "yes";
          address = map withPrefix (interface.ipv4.addresses ++ interface.ipv6.addresses);
          routes =
            map (route: { Destination = withPrefix route; } // lib.optionalAttrs (route.via != null) { Gateway = route.via; }) (
              interface.ipv4.routes ++ interface.ipv6.routes
            )
            ++ map (
              gate: { Gateway = gate.address; } // lib.optionalAttrs (gate.metric != null) { Metric = gate.metric; }
            ) (gatewaysOf interface);
          linkConfig =
            lib.optionalAttrs (interface.macAddress != null) { MACAddress = interface.macAddress; }
            // lib.optionalAttrs (interface.mtu != null) { MTUBytes = toString interface.mtu; };
        };
      }) interfaces
    );
  };
}
