# Units: from options to files below /etc/systemd/system.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.systemd;
  unitOptions = import ./systemd/unit-options.nix { inherit lib; };
  unitText = import ./systemd/unit-text.nix { inherit lib pkgs; };
  debianUnits = lib.genAttrs (import ./systemd/debian-units.nix) (_: true);

  # The name under which a package ships NAME@INSTANCE.SUFFIX.
  template =
    name:
    let
      parts = builtins.match "([^@]+@)[^.]+(\\.[a-z]+)" name;
    in
    if parts == null then name else lib.concatStrings parts;
  isDebian = name: debianUnits ? ${name} || debianUnits ? ${template name};

  submoduleOf =
    suffix: extraOptions:
    types.submodule (
      { name, ... }:
      {
        options = unitOptions.commonOptions // extraOptions;
        config.name = "${name}.${suffix}";
      }
    );
  unitsOf =
    suffix: extraOptions: description:
    mkOption {
      type = types.attrsOf (submoduleOf suffix extraOptions);
      default = { };
      inherit description;
    };
  mountName = where: if where == "/" then "-" else lib.replaceStrings [ "/" ] [ "-" ] (escaped where);
  escaped =
    where:
    lib.replaceStrings [ "-" ] [ "\\x2d" ] (lib.removeSuffix "/" (lib.removePrefix "/" where));
  mountsOf =
    extraOptions: description:
    mkOption {
      type = types.listOf (types.submodule { options = removeAttrs unitOptions.commonOptions [ "name" ] // extraOptions; });
      default = [ ];
      inherit description;
    };

  # One unit, whatever its kind: text (null: nothing of its own) and whether it only adds to a package's unit.
  unitOf = name: text: dropin: unit: {
    ${name} = {
      inherit text;
      dropin = unit.overrideStrategy == "asDropin" || isDebian name || dropin;
      inherit (unit)
        enable
        aliases
        wantedBy
        requiredBy
        upheldBy
        ;
    };
  };
  kind =
    suffix: textOf: isExtension: units:
    lib.concatMapAttrs (name: unit: unitOf "${name}.${suffix}" (textOf unit) (isExtension unit) unit) units;
  mountKind =
    suffix: textOf: units:
    lib.mergeAttrsList (map (unit: unitOf "${mountName unit.where}.${suffix}" (textOf unit) false unit) units);

  generated =
    lib.concatMapAttrs (
      name: service: unitOf "${name}.service" (unitText.serviceText name service) (!unitText.runsSomething service) service
    ) cfg.services
    // kind "target" unitText.targetText (_: false) cfg.targets
    // kind "socket" unitText.socketText (
      unit: unit.socketConfig == { } && unit.listenStreams ++ unit.listenDatagrams == [ ]
    ) cfg.sockets
    // kind "timer" unitText.timerText (unit: unit.timerConfig == { }) cfg.timers
    // kind "path" unitText.pathUnitText (unit: unit.pathConfig == { }) cfg.paths
    // kind "slice" unitText.sliceText (_: false) cfg.slices
    // mountKind "mount" unitText.mountText cfg.mounts
    // mountKind "automount" unitText.automountText cfg.automounts
    // lib.mapAttrs (name: unit: unit // { dropin = unit.overrideStrategy == "asDropin" || isDebian name; }) cfg.units;

  # A mount unit says everything: it replaces the file of systemd's own that has its name (tmp.mount).
  replaces = name: unit: !unit.dropin || lib.hasSuffix ".mount" name;
  fileOf = name: unit: if replaces name unit then "/etc/systemd/system/${name}" else "/usr/lib/systemd/system/${template name}";
  linksOf =
    name: unit: directory: others:
    map (other: lib.nameValuePair "systemd/system/${other}.${directory}/${name}" { source = fileOf name unit; }) others;

  # systemd takes an empty unit file for a masked one.
  fileText = unit: if unit.text == "" then "[Unit]\n" else unit.text;
  etcOf =
    name: unit:
    if !unit.enable then
      [ (lib.nameValuePair "systemd/system/${name}" { source = "/dev/null"; }) ]
    else
      lib.optional (replaces name unit) (lib.nameValuePair "systemd/system/${name}" { text = fileText unit; })
      ++ lib.optional (!(replaces name unit) && unit.text != "") (
        lib.nameValuePair "systemd/system/${name}.d/overrides.conf" { text = unit.text; }
      )
      ++ map (alias: lib.nameValuePair "systemd/system/${alias}" { source = fileOf name unit; }) unit.aliases
      ++ linksOf name unit "wants" unit.wantedBy
      ++ linksOf name unit "requires" unit.requiredBy
      ++ linksOf name unit "upholds" unit.upheldBy;

  masked = lib.filter (name: !(generated ? ${name})) cfg.suppressedSystemUnits;

  scheduled = lib.filterAttrs (_: service: service.enable && service.startAt != [ ]) cfg.services;
  managerSettings = lib.filterAttrs (_: value: value != null) cfg.settings.Manager;
in
{
  options.systemd = {
    package = lib.mkPackageOption pkgs "systemd" { };
    packages = mkOption {
      type = types.listOf types.package;
      default = [ ];
      description = "Packages whose units can be enabled by `wantedBy` and extended. Installing a package never enables its units.";
    };
    units = mkOption {
      default = { };
      description = "Units given as text, by full name.";
      type = types.attrsOf (
        types.submodule {
          options = unitOptions.sharedOptions // {
            text = mkOption {
              type = types.lines;
              default = "";
              description = "Text of the unit file.";
            };
          };
        }
      );
    };
    services = unitsOf "service" unitOptions.serviceOptions "Services: programs that systemd runs.";
    sockets = unitsOf "socket" unitOptions.socketOptions "Sockets that start a service at the first connection.";
    timers = unitsOf "timer" unitOptions.timerOptions "Timers that start a service at given times.";
    paths = unitsOf "path" unitOptions.pathOptions "Paths whose change starts a service.";
    slices = unitsOf "slice" unitOptions.sliceOptions "Slices: groups of units that share resources.";
    targets = unitsOf "target" { } "Targets: names for states of the system.";
    mounts = mountsOf unitOptions.mountOptions "Mounts.";
    automounts = mountsOf unitOptions.automountOptions "Mounts made at first use.";
    generators = mkOption {
      type = types.attrsOf types.path;
      default = { };
      example = {
        systemd-gpt-auto-generator = "/dev/null";
      };
      description = "Generators by name, and the program that each of them is. /dev/null turns one off.";
    };
    suppressedSystemUnits = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "systemd-backlight@.service" ];
      description = "Units of packages that must not run. A unit that the configuration itself defines does run.";
    };
    defaultUnit = mkOption {
      type = types.str;
      default = "multi-user.target";
      description = "The unit that the machine boots into.";
    };
    ctrlAltDelUnit = mkOption {
      type = types.str;
      default = "reboot.target";
      description = "The unit started by Ctrl-Alt-Delete on the console.";
    };
    globalEnvironment = mkOption {
      type = types.attrsOf (
        types.nullOr (
          types.oneOf [
            types.str
            types.path
            types.package
          ]
        )
      );
      default = { };
      example = {
        TZ = "CET";
      };
      description = "Variables of all units.";
    };
    managerEnvironment = mkOption {
      type = types.attrsOf (types.nullOr types.str);
      default = { };
      description = "Variables of systemd itself.";
    };
    enableEmergencyMode = mkOption {
      type = types.bool;
      default = true;
      description = "Whether a failed boot ends in a shell that asks for root's password. Of no use where nobody sees the console.";
    };
    settings.Manager = unitOptions.section "Manager";
    extraConfig = mkOption {
      type = types.lines;
      default = "";
      description = "More lines of system.conf, section [Manager].";
    };
  };

  config = {
    environment.systemPackages = cfg.packages ++ lib.concatMap (service: lib.filter lib.isDerivation service.path) (lib.attrValues cfg.services);

    systemd.timers = lib.mapAttrs (_: service: {
      wantedBy = [ "timers.target" ];
      timerConfig.OnCalendar = service.startAt;
    }) scheduled;

    systemd.settings.Manager = {
      DefaultEnvironment = lib.mkIf (cfg.globalEnvironment != { }) (
        lib.concatStringsSep " " (
          lib.mapAttrsToList (name: value: builtins.toJSON "${name}=${toString value}") (
            lib.filterAttrs (_: value: value != null) cfg.globalEnvironment
          )
        )
      );
      ManagerEnvironment = lib.mkIf (cfg.managerEnvironment != { }) (
        lib.concatStringsSep " " (
          lib.mapAttrsToList (name: value: builtins.toJSON "${name}=${value}") (
            lib.filterAttrs (_: value: value != null) cfg.managerEnvironment
          )
        )
      );
    };
    systemd.suppressedSystemUnits = lib.mkIf (!cfg.enableEmergencyMode) [
      "emergency.service"
      "emergency.target"
      "rescue.service"
      "rescue.target"
    ];

    environment.etc =
      lib.listToAttrs (
        lib.concatLists (lib.mapAttrsToList etcOf generated)
        ++ map (name: lib.nameValuePair "systemd/system/${name}" { source = "/dev/null"; }) masked
        ++ lib.mapAttrsToList (
          name: program: lib.nameValuePair "systemd/system-generators/${name}" { source = program; }
        ) cfg.generators
      )
      // {
        "systemd/system/default.target".source = "/usr/lib/systemd/system/${cfg.defaultUnit}";
        "systemd/system/ctrl-alt-del.target".source = "/usr/lib/systemd/system/${cfg.ctrlAltDelUnit}";
        "systemd/system.conf".text =
          unitText.sectionsText [
            {
              name = "Manager";
              values = managerSettings;
            }
          ]
          + lib.optionalString (cfg.extraConfig != "") "[Manager]\n${cfg.extraConfig}";
      };

    assertions = lib.mapAttrsToList (name: service: {
      assertion = !service.confinement.enable;
      message = "systemd.services.${name}.confinement: Debian's programs need the whole of /usr; use ProtectSystem and its kin.";
    }) cfg.services
    ++ lib.mapAttrsToList (name: service: {
      assertion = !(service.script != "" && service.serviceConfig ? ExecStart);
      message = "systemd.services.${name} has both `script` and serviceConfig.ExecStart.";
    }) cfg.services
    ++ map (name: {
      assertion = !(lib.hasInfix "/" name);
      message = "systemd: a unit cannot be named ${name}.";
    }) (lib.attrNames generated);
  };
}
