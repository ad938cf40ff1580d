# `lib.nixos`: evaluating modules without the whole of NixOS's list.
{ lib, ... }:
{
  evalModules =
    {
      prefix ? [ ],
      modules ? [ ],
      specialArgs ? { },
    }:
    lib.evalModules {
      inherit prefix modules;
      class = "nixos";
      specialArgs = {
        modulesPath = toString ../modules;
      }
      // specialArgs;
    };
  runTest = _: throw "lib.nixos.runTest: Invar boots machines by `invar check`; declare invar.checks instead.";
}
