# The platform, and the package set that follows from it.
{
  config,
  lib,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.nixpkgs;
  platform = types.coercedTo types.str (system: { inherit system; }) types.attrs;
  architectures = {
    x86_64-linux = "amd64";
    aarch64-linux = "arm64";
  };
in
{
  options.nixpkgs = {
    hostPlatform = mkOption {
      type = platform;
      default = cfg.system;
      defaultText = "x86_64-linux";
      example = "aarch64-linux";
      description = "The platform that the system runs on: x86_64-linux or aarch64-linux.";
    };
    system = mkOption {
      type = types.str;
      default = "x86_64-linux";
      description = "The older name of `nixpkgs.hostPlatform`.";
    };
    overlays = mkOption {
      type = types.listOf types.unspecified;
      default = [ ];
      description = "Functions `final: prev: { ... }` that add packages to `pkgs` or replace them.";
    };
    pkgs = mkOption {
      type = types.nullOr types.raw;
      default = null;
      description = "A package set made beforehand, as `import nixpkgs { overlays = [ ... ]; }` gives. Then `nixpkgs.overlays` come on top of it.";
    };
    architecture = mkOption {
      type = types.enum (lib.attrValues architectures);
      internal = true;
      readOnly = true;
      default = architectures.${cfg.hostPlatform.system} or "amd64";
      description = "Debian's name of the platform.";
    };
  };
  config = {
    _module.args.pkgs =
      if cfg.pkgs == null then
        builtins.invarPackages {
          inherit (cfg) overlays;
          inherit (cfg.hostPlatform) system;
        }
      else if cfg.overlays == [ ] then
        cfg.pkgs
      else
        cfg.pkgs.appendOverlays cfg.overlays;
    assertions = [
      {
        assertion = architectures ? ${cfg.hostPlatform.system};
        message = "nixpkgs.hostPlatform is ${cfg.hostPlatform.system}; the native engine builds x86_64-linux and aarch64-linux.";
      }
    ];
  };
}
