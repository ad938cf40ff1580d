# The text of unit files, from evaluated options.
{ lib, pkgs }:
let
  asValue = value: if value == true then "true" else if value == false then "false" else toString value;
  defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin";

  unitSection =
    unit:
    lib.filterAttrs (_: value: value != [ ] && value != "" && value != null) {
      Description = unit.description;
      Documentation = toString unit.documentation;
      Requires = toString unit.requires;
      Wants = toString unit.wants;
      Upholds = toString unit.upholds;
      After = toString unit.after;
      Before = toString unit.before;
      BindsTo = toString unit.bindsTo;
      PartOf = toString unit.partOf;
      Conflicts = toString unit.conflicts;
      Requisite = toString unit.requisite;
      OnFailure = toString unit.onFailure;
      OnSuccess = toString unit.onSuccess;
      StartLimitIntervalSec = unit.startLimitIntervalSec;
      StartLimitBurst = unit.startLimitBurst;
      X-Restart-Triggers = triggerText unit.restartTriggers;
      X-Reload-Triggers = triggerText unit.reloadTriggers;
    }
    // unit.unitConfig;

  # What changes with any of the values, and is short.
  triggerText =
    triggers: lib.optionalString (triggers != [ ]) (builtins.hashString "sha256" (lib.concatMapStringsSep "\n" toString triggers));

  pathText =
    path:
    lib.concatMapStrings (
      entry: if lib.isDerivation entry then "${lib.getBin entry}/bin:${lib.getBin entry}/sbin:" else "${entry}/bin:${entry}/sbin:"
    ) path
    + defaultPath;

  environmentLines =
    service:
    let
      variables = lib.filterAttrs (_: value: value != null) (
        lib.optionalAttrs (service.path != [ ]) { PATH = pathText service.path; } // service.environment
      );
    in
    lib.mapAttrsToList (name: value: "Environment=${builtins.toJSON "${name}=${toString value}"}\n") variables;

  # What `invar switch` reads to know how a changed unit is taken up.
  switchDirectives =
    service:
    lib.optional (!service.restartIfChanged && !service.reloadIfChanged) "X-RestartIfChanged=false\n"
    ++ lib.optional service.reloadIfChanged "X-ReloadIfChanged=true\n"
    ++ lib.optional (!service.stopIfChanged) "X-StopIfChanged=false\n"
    ++ lib.optional service.notSocketActivated "X-NotSocketActivated=true\n";

  sectionText =
    name: values: extra:
    let
      lines =
        lib.concatLists (
          lib.mapAttrsToList (
            key: value: map (item: "${key}=${asValue item}\n") (if value == null then [ ] else lib.toList value)
          ) values
        )
        ++ extra;
    in
    lib.optionalString (lines != [ ]) "[${name}]\n${lib.concatStrings lines}\n";

  jobScript =
    unit: phase: text:
    pkgs.writeShellScript "unit-script-${lib.replaceStrings [ "\\" "@" "/" ] [ "-" "_" "-" ] unit}-${phase}" "set -e\n\n${text}";

  scriptDirectives =
    name: service:
    let
      job = phase: text: lib.optional (text != "") (toString (jobScript name phase text));
      merged =
        directive: ours:
        lib.optionalAttrs (ours != [ ]) {
          ${directive} = ours ++ lib.toList (service.serviceConfig.${directive} or [ ]);
        };
      main = job "start" service.script;
    in
    service.serviceConfig
    // merged "ExecStartPre" (job "pre-start" service.preStart)
    // lib.optionalAttrs (main != [ ]) {
      ExecStart = lib.concatStringsSep " " (main ++ lib.optional (service.scriptArgs != "") service.scriptArgs);
    }
    // merged "ExecStartPost" (job "post-start" service.postStart)
    // merged "ExecReload" (job "reload" service.reload)
    // merged "ExecStop" (job "pre-stop" service.preStop)
    // merged "ExecStopPost" (job "post-stop" service.postStop);
in
rec {
  # What a service runs: its directives and its scripts.
  serviceDirectives = scriptDirectives;

  # Whether a service names something to run; if not, it can only add to a unit that a package ships.
  runsSomething =
    service:
    service.script != ""
    || lib.any (directive: service.serviceConfig ? ${directive}) [
      "ExecStart"
      "ExecStop"
      "SuccessAction"
    ]
    || service.serviceConfig.Type or "" == "oneshot" && service.preStart + service.postStart != "";

  serviceText =
    name: service:
    sectionText "Unit" (unitSection service) [ ]
    + sectionText "Service" (scriptDirectives name service) (environmentLines service ++ switchDirectives service);

  plainText = unit: sectionText "Unit" (unitSection unit) [ ];
  targetText = plainText;
  socketText =
    unit:
    plainText unit
    + sectionText "Socket" (
      lib.filterAttrs (_: value: value != [ ]) {
        ListenStream = unit.listenStreams;
        ListenDatagram = unit.listenDatagrams;
      }
      // lib.optionalAttrs (unit.socketConfig ? ListenStream && unit.listenStreams != [ ]) {
        ListenStream = unit.listenStreams ++ lib.toList unit.socketConfig.ListenStream;
      }
      // removeAttrs unit.socketConfig (lib.optional (unit.listenStreams != [ ]) "ListenStream")
    ) [ ];
  timerText = unit: plainText unit + sectionText "Timer" unit.timerConfig [ ];
  pathUnitText = unit: plainText unit + sectionText "Path" unit.pathConfig [ ];
  sliceText = unit: plainText unit + sectionText "Slice" unit.sliceConfig [ ];
  mountText =
    unit:
    plainText unit
    + sectionText "Mount" (
      {
        What = unit.what;
        Where = unit.where;
      }
      // lib.optionalAttrs (unit.type != "") { Type = unit.type; }
      // lib.optionalAttrs (unit.options != "") { Options = unit.options; }
      // unit.mountConfig
    ) [ ];
  automountText = unit: plainText unit + sectionText "Automount" ({ Where = unit.where; } // unit.automountConfig) [ ];

  # Sections in the given order, for configuration files of systemd's own daemons.
  sectionsText = sections: lib.concatMapStrings (one: sectionText one.name one.values [ ]) sections;
}
