# `nixosSystem`: the library's modules and those of a configuration, evaluated together. Arguments are NixOS's own.
{ lib, modulesPath }:
{
  # null: modules set nixpkgs.hostPlatform.
  system ? null,
  modules,
  specialArgs ? { },
  pkgs ? null,
  extraModules ? [ ],
  extraArgs ? { },
  prefix ? [ ],
  check ? true,
  modulesLocation ? null,
  ...
}@arguments:
let
  given = [
    {
      _file = "nixosSystem";
      config = lib.mkMerge [
        (lib.mkIf (system != null) { nixpkgs.system = lib.mkDefault system; })
        (lib.mkIf (pkgs != null) { nixpkgs.pkgs = lib.mkDefault pkgs; })
        { _module.args = extraArgs; _module.check = check; }
      ];
    }
  ];
  located =
    if modulesLocation == null then modules else map (lib.setDefaultModuleLocation modulesLocation) modules;
  baseModules = arguments.baseModules or (import "${modulesPath}/module-list.nix");
  evaluated = (arguments.lib or lib).evalModules {
    class = "nixos";
    inherit prefix;
    modules = baseModules ++ extraModules ++ given ++ located;
    specialArgs = {
      inherit modulesPath;
      lib = arguments.lib or lib;
    }
    // specialArgs;
  };
  withPkgs =
    result:
    result
    // {
      inherit (result._module.args) pkgs;
      lib = arguments.lib or lib;
      inherit extraArgs;
      extendModules = more: withPkgs (result.extendModules more);
    };
in
withPkgs evaluated
