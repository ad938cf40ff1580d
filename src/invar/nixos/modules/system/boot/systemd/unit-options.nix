# The options of systemd.services.NAME, systemd.sockets.NAME and so on. systemd.unit(5) and its kin say what the directives mean.
{ lib }:
let
  inherit (lib) mkOption types;

  unitValue = types.oneOf [
    types.bool
    types.int
    types.float
    types.str
    types.path
    types.package
  ];
  # A directive: one value, or a list of them, which become one line each. Lists of several definitions are joined.
  directive = lib.mkOptionType {
    name = "systemd option";
    description = "systemd option";
    check = value: value == null || unitValue.check value || lib.isList value && lib.all unitValue.check value;
    merge =
      loc: defs:
      if lib.any (def: lib.isList def.value) defs then
        lib.concatMap (def: lib.toList def.value) defs
      else
        lib.mergeEqualOption loc defs;
  };

  section =
    name:
    mkOption {
      type = types.attrsOf directive;
      default = { };
      description = "Directives of the section [${name}].";
    };
  names =
    description:
    mkOption {
      type = types.listOf types.str;
      default = [ ];
      inherit description;
    };
  script =
    description:
    mkOption {
      type = types.lines;
      default = "";
      inherit description;
    };
  flag =
    default: description:
    mkOption {
      type = types.bool;
      inherit default description;
    };
  triggers =
    description:
    mkOption {
      type = types.listOf types.unspecified;
      default = [ ];
      inherit description;
    };
in
rec {
  inherit directive section;

  sharedOptions = {
    enable = flag true "Whether the unit may run. false masks it: nothing can start it.";
    overrideStrategy = mkOption {
      type = types.enum [
        "asDropinIfExists"
        "asDropin"
      ];
      default = "asDropinIfExists";
      description = ''
        Whether the definition is a drop-in beside a package's unit, or a unit of its own. `asDropinIfExists` decides by itself: units
        of systemd's own are dropped in, and so are services that name no program to run.
      '';
    };
    aliases = names "More names of the unit.";
    requiredBy = names "Units that require this one.";
    upheldBy = names "Units that keep this one running.";
    wantedBy = names "Units that want this one. Without any, nothing starts the unit at boot.";
  };

  commonOptions = sharedOptions // {
    description = mkOption {
      type = types.singleLineStr;
      default = "";
      description = "What the unit is, in a line.";
    };
    documentation = names "Where to read about the unit.";
    requires = names "Units that are started with this one and without which it stops.";
    wants = names "Units that are started with this one.";
    upholds = names "Units that are kept running while this one runs.";
    after = names "Units that come up first, if they come up.";
    before = names "Units that come up later, if they come up.";
    bindsTo = names "Units without which this one stops, whatever stopped them.";
    partOf = names "Units that stop and restart this one with them.";
    conflicts = names "Units that can't run beside this one.";
    requisite = names "Units that must run already.";
    unitConfig = section "Unit";
    onFailure = names "Units that are started when this one fails.";
    onSuccess = names "Units that are started when this one ends well.";
    startLimitBurst = mkOption {
      type = types.nullOr types.int;
      default = null;
      description = "How often the unit may start within `startLimitIntervalSec`.";
    };
    startLimitIntervalSec = mkOption {
      type = types.nullOr types.int;
      default = null;
      description = "The time in which starts are counted, in seconds.";
    };
    restartTriggers = triggers "Values whose change restarts the unit.";
    reloadTriggers = triggers "Values whose change reloads the unit.";
    name = mkOption {
      type = types.str;
      internal = true;
      description = "The unit's full name.";
    };
  };

  serviceOptions = {
    environment = mkOption {
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
        PATH = "/foo/bar/bin";
        LANG = "nl_NL.UTF-8";
      };
      description = "Variables of the service's programs.";
    };
    path = mkOption {
      type = types.listOf (
        types.oneOf [
          types.package
          types.str
        ]
      );
      default = [ ];
      description = "Packages whose programs come first in the service's PATH. They are installed for it.";
    };
    serviceConfig = section "Service";
    confinement.enable = flag false "Whether the service sees its own files only: not possible with Debian packages.";
    script = script "Shell text that the service runs as its main program.";
    scriptArgs = mkOption {
      type = types.str;
      default = "";
      example = "%i";
      description = "Arguments of the main shell text.";
    };
    preStart = script "Shell text run before the main program.";
    postStart = script "Shell text run after the main program has started.";
    reload = script "Shell text run to reload the configuration.";
    preStop = script "Shell text run to stop the service.";
    postStop = script "Shell text run after the service has stopped.";
    jobScripts = mkOption {
      type = types.listOf types.unspecified;
      internal = true;
      default = [ ];
      description = "The scripts made for the service.";
    };
    restartIfChanged = flag true "Whether a switch restarts the service when its unit has changed.";
    reloadIfChanged = flag false "Whether a switch reloads the service instead of restarting it.";
    stopIfChanged = flag true "Whether a restart at a switch is a stop before it and a start after it.";
    notSocketActivated = flag false "Whether the service is restarted itself although a socket starts it.";
    startAt = mkOption {
      type = types.either types.str (types.listOf types.str);
      default = [ ];
      apply = lib.toList;
      example = "Sun 14:00:00";
      description = "When to start the service, as systemd.time(7) writes it.";
    };
    enableStrictShellChecks = flag false "Whether the scripts are checked with shellcheck. There are no checks at build time.";
    enableDefaultPath = flag true "Accepted for NixOS's sake: services find Debian's programs in /usr/bin in any case.";
  };

  socketOptions = {
    listenStreams = names "Addresses of stream sockets to listen on.";
    listenDatagrams = names "Addresses of datagram sockets to listen on.";
    socketConfig = section "Socket";
  };
  timerOptions.timerConfig = section "Timer";
  pathOptions.pathConfig = section "Path";
  sliceOptions.sliceConfig = section "Slice";
  mountOptions = {
    what = mkOption {
      type = types.str;
      example = "/dev/sda1";
      description = "What to mount.";
    };
    where = mkOption {
      type = types.str;
      example = "/mnt";
      description = "Where to mount it.";
    };
    type = mkOption {
      type = types.str;
      default = "";
      example = "ext4";
      description = "The type of the file system.";
    };
    options = mkOption {
      type = types.commas;
      default = "";
      example = "noatime";
      description = "Mount options.";
    };
    mountConfig = section "Mount";
  };
  automountOptions = {
    where = mkOption {
      type = types.str;
      example = "/mnt";
      description = "Where to mount at first use.";
    };
    automountConfig = section "Automount";
  };
}
