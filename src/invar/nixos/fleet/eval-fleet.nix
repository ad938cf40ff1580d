# The value of a fleet.nix: the options of fleets and the file's own modules, evaluated together.
{ lib }:
{ modules }:
lib.evalModules {
  class = "fleet";
  modules = [ ./options.nix ] ++ modules;
}
