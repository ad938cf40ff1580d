# The machines that systems are built for: x86_64-linux and aarch64-linux, elaborated.
{ lib }:

let
  cpus = {
    x86_64 = { bits = 64; family = "x86"; linuxArch = "x86_64"; qemuArch = "x86_64"; debian = "amd64"; efi = "x64"; };
    aarch64 = { bits = 64; family = "arm"; linuxArch = "arm64"; qemuArch = "aarch64"; debian = "arm64"; efi = "aa64"; };
  };

  elaborateSystem =
    system:
    let
      cpuName = lib.head (lib.splitString "-" system);
      cpu =
        cpus.${cpuName}
          or (throw "lib.systems.elaborate: unknown system '${system}'; known: ${builtins.concatStringsSep ", " self.doubles.all}");
      final = {
        inherit system;
        config = "${cpuName}-unknown-linux-gnu";
        libc = "glibc";
        linuxArch = cpu.linuxArch;
        qemuArch = cpu.qemuArch;
        efiArch = cpu.efi;
        darwinArch = null;
        linker = "bfd";
        isStatic = false;
        hasSharedLibraries = true;
        useLLVM = false;
        parsed = {
          _type = "system";
          abi = { _type = "abi"; name = "gnu"; };
          cpu = { _type = "cpu-type"; name = cpuName; inherit (cpu) bits family; significantByte.name = "littleEndian"; };
          kernel = { _type = "kernel"; name = "linux"; execFormat.name = "elf"; families = { }; };
          vendor = { _type = "vendor"; name = "unknown"; };
        };
        isLinux = true;
        isUnix = true;
        isElf = true;
        isGnu = true;
        isMusl = false;
        isDarwin = false;
        isMacOS = false;
        isWindows = false;
        isBSD = false;
        isFreeBSD = false;
        isNone = false;
        is64bit = cpu.bits == 64;
        is32bit = cpu.bits == 32;
        isLittleEndian = true;
        isBigEndian = false;
        isx86 = cpu.family == "x86";
        isx86_64 = cpuName == "x86_64";
        isx86_32 = false;
        isi686 = false;
        isAarch = cpu.family == "arm";
        isAarch64 = cpuName == "aarch64";
        isAarch32 = false;
        isRiscV = false;
        isPower = false;
        isMips = false;
        isEfi = true;
        debian = cpu.debian;
        canExecute = other: other.system or null == system;
        emulatorAvailable = _: false;
        extensions = {
          executable = "";
          library = ".so";
          sharedLibrary = ".so";
          staticLibrary = ".a";
        };
      };
    in
    final;

  self = {
    doubles = rec {
      all = [ "aarch64-linux" "x86_64-linux" ];
      linux = all;
      unix = all;
      gnu = all;
      x86_64 = [ "x86_64-linux" ];
      x86 = x86_64;
      aarch64 = [ "aarch64-linux" ];
      aarch = aarch64;
      arm = [ ];
      darwin = [ ];
      windows = [ ];
      none = [ ];
      mesaPlatforms = all;
    };
    flakeExposed = self.doubles.all;
    elaborate =
      value:
      let
        system = if builtins.isString value then value else value.system or (self.systemOfConfig value.config);
      in
      elaborateSystem system // lib.optionalAttrs (builtins.isAttrs value) value;
    systemOfConfig = config: "${lib.head (lib.splitString "-" config)}-linux";
    equals = left: right: removeAttrs left [ "canExecute" "emulatorAvailable" ] == removeAttrs right [ "canExecute" "emulatorAvailable" ];
    examples = {
      gnu64.config = "x86_64-unknown-linux-gnu";
      aarch64-multiplatform.config = "aarch64-unknown-linux-gnu";
    };
    toLosslessStringMaybe = value: if builtins.isString value then value else value.system or null;
    inspect = {
      patterns = { };
      predicates = { };
    };
  };
in
self
