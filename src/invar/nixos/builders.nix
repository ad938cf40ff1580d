# What `pkgs` holds beside packages: builders of small files, in nixpkgs' names. What would run a program is an error that says so.
{
  lib,
  addObject,
  debianPackage,
  packages,
  pythonPackages,
  withPackages,
  packagesWith,
  overlays,
  system,
}:
let
  bash = "/bin/bash";

  # A derivation that is a store object with the given nodes ("" is the object itself).
  object =
    {
      name,
      entries,
      meta ? { },
      passthru ? { },
    }:
    let
      outPath = addObject { inherit name entries; };
      self = {
        type = "derivation";
        inherit
          name
          outPath
          meta
          system
          ;
        drvPath = outPath;
        outputName = "out";
        outputs = [ "out" ];
        out = self;
        entryNames = builtins.attrNames entries;
        inherit passthru;
      }
      // passthru;
    in
    self;
  file = executable: text: {
    type = "file";
    inherit text executable;
  };
  symlink = target: {
    type = "symlink";
    target = "${target}";
  };
  noBuilders =
    what: _:
    throw "${what}: the native engine runs no builders. It takes packages from Debian as they are and writes files; `--engine nix` builds anything.";
  unlessEmpty = what: text: if text == "" then true else throw "${what}: the native engine runs no builders, so that it must be left out.";

  writeTextFile =
    {
      name,
      text,
      executable ? false,
      destination ? "",
      checkPhase ? "",
      meta ? { },
      passthru ? { },
      allowSubstitutes ? false,
      preferLocalBuild ? true,
      derivationArgs ? { },
    }:
    object {
      inherit name passthru;
      entries.${lib.removePrefix "/" destination} = file executable text;
      meta =
        lib.optionalAttrs (executable && lib.hasPrefix "/bin/" destination) {
          mainProgram = lib.removePrefix "/bin/" destination;
        }
        // meta;
    };
  writeText = name: text: writeTextFile { inherit name text; };
  script = interpreter: text: if lib.hasPrefix "#!" text then text else "#!${interpreter}\n${text}${lib.optionalString (!lib.hasSuffix "\n" text) "\n"}";
  executableFile =
    name: text:
    writeTextFile {
      inherit name text;
      executable = true;
    };
  executableBin =
    name: text:
    writeTextFile {
      inherit name text;
      executable = true;
      destination = "/bin/${name}";
    };

  isPackage = value: value ? debian;
  nameOf =
    arguments: arguments.name or "${arguments.pname}-${arguments.version or "0"}";
  # Links to everything in objects of one's own; the first that has a path wins.
  joinObjects =
    name: paths:
    object {
      inherit name;
      entries = lib.foldl' (
        found: path:
        lib.genAttrs (path.entryNames or (throw "${name}: ${toString path} can't be joined: only packages and what pkgs' builders make can be.")) (
          entry: symlink "${path}/${entry}"
        )
        // found
      ) { } paths;
    };
  join =
    what: arguments:
    assert unlessEmpty "${what}'s postBuild" (arguments.postBuild or "");
    let
      name = nameOf arguments;
      paths = lib.filter (path: path != null) (lib.flatten arguments.paths);
    in
    if lib.any isPackage paths then withPackages name paths else joinObjects name paths;

  kernelPackages = kernel: {
    inherit kernel;
    kernelOlder = lib.versionOlder kernel.version;
    kernelAtLeast = lib.versionAtLeast kernel.version;
  };
  architecture = (lib.systems.elaborate system).debian;
  pythonWithPackages = choose: withPackages "python3-env" ([ (debianPackage "python3") ] ++ choose pythonPackages);
  noBuilderNames = [
    "runCommand"
    "runCommandLocal"
    "runCommandCC"
    "fetchurl"
    "fetchzip"
    "fetchgit"
    "fetchFromGitHub"
    "fetchFromGitLab"
    "fetchpatch"
    "buildGoModule"
    "buildNpmPackage"
    "buildFHSEnv"
    "dockerTools"
    "makeDesktopItem"
    "rustPlatform"
    "substituteAll"
    "stdenvNoCC"
    "replaceVars"
    "applyPatches"
  ];
in
lib.genAttrs noBuilderNames (name: noBuilders "pkgs.${name}")
// rec {
  inherit
    lib
    system
    writeText
    writeTextFile
    ;
  hostPlatform = lib.systems.elaborate system;
  buildPlatform = hostPlatform;
  targetPlatform = hostPlatform;
  stdenv = {
    inherit hostPlatform buildPlatform targetPlatform;
    inherit (hostPlatform)
      isLinux
      isDarwin
      isx86_64
      isAarch64
      is64bit
      ;
    mkDerivation = noBuilders "pkgs.stdenv.mkDerivation";
  };
  config = { };
  inherit overlays;
  # Each adds to the overlays that there are; the result has all packages anew.
  extend = overlay: packagesWith (overlays ++ [ overlay ]);
  appendOverlays = more: packagesWith (overlays ++ more);
  runtimeShell = bash;
  bashInteractiveFHS = packages.bash;
  emptyFile = writeText "empty-file" "";
  emptyDirectory = object {
    name = "empty-directory";
    entries."".type = "directory";
  };

  writeTextDir =
    path: text:
    writeTextFile {
      inherit text;
      name = builtins.baseNameOf path;
      destination = "/${path}";
    };
  writeScript = executableFile;
  writeScriptBin = executableBin;
  writeShellScript = name: text: executableFile name (script bash text);
  writeShellScriptBin = name: text: executableBin name (script bash text);
  writeShellApplication =
    {
      name,
      text,
      runtimeInputs ? [ ],
      runtimeEnv ? null,
      meta ? { },
      passthru ? { },
      checkPhase ? null,
      excludeShellChecks ? [ ],
      extraShellCheckFlags ? [ ],
      bashOptions ? [
        "errexit"
        "nounset"
        "pipefail"
      ],
      derivationArgs ? { },
      inheritPath ? true,
    }:
    writeTextFile {
      inherit name meta passthru;
      executable = true;
      destination = "/bin/${name}";
      text = ''
        #!${bash}
        ${lib.concatMapStringsSep "\n" (option: "set -o ${option}") bashOptions}
      ''
      + lib.optionalString (runtimeEnv != null) (
        lib.concatStrings (lib.mapAttrsToList (variable: value: "${lib.toShellVar variable value}\nexport ${variable}\n") runtimeEnv)
      )
      + lib.optionalString (
        runtimeInputs != [ ]
      ) "export PATH=\"${lib.makeBinPath runtimeInputs}${lib.optionalString inheritPath ":$PATH"}\"\n"
      + "\n${text}";
    };
  writers = {
    writeBash = name: text: executableFile name (script bash text);
    writeBashBin = name: text: executableBin name (script bash text);
    writeDash = name: text: executableFile name (script "/bin/sh" text);
    writeDashBin = name: text: executableBin name (script "/bin/sh" text);
    writePython3 =
      name: arguments: text:
      executableFile name (script "${pythonWithPackages (_: arguments.libraries or [ ])}/bin/python3" text);
    writePython3Bin =
      name: arguments: text:
      executableBin name (script "${pythonWithPackages (_: arguments.libraries or [ ])}/bin/python3" text);
    writeText = writeText;
    writeJSON = name: value: writeText name (builtins.toJSON value);
  };

  symlinkJoin = join "pkgs.symlinkJoin";
  buildEnv = join "pkgs.buildEnv";
  linkFarm =
    name: entries:
    object {
      inherit name;
      entries =
        if lib.isAttrs entries then
          lib.mapAttrs (_: symlink) entries
        else
          lib.listToAttrs (map (entry: lib.nameValuePair entry.name (symlink entry.path)) entries);
    };
  linkFarmFromDrvs = name: paths: linkFarm name (map (path: { inherit (path) name; inherit path; }) paths);

  formats = import ./formats.nix { inherit lib writeText; };

  callPackage = lib.callPackageWith packages;
  callPackages = lib.callPackagesWith packages;
  newScope = extra: lib.callPackageWith (packages // extra);

  python3Packages = pythonPackages;
  python313Packages = pythonPackages;
  python3 = debianPackage "python3" // {
    pkgs = pythonPackages;
    withPackages = pythonWithPackages;
  };
  python313 = python3;

  linuxPackages = kernelPackages (debianPackage "linux-image-${architecture}");
  linuxPackages_6_12 = linuxPackages;
  linuxPackages_latest = linuxPackages;
  linuxPackages_cloud = kernelPackages (debianPackage "linux-image-cloud-${architecture}");
  linuxPackages_rt = kernelPackages (debianPackage "linux-image-rt-${architecture}");
}
