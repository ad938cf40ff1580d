# Who keeps a module and where its manual is: accepted in every module, of no effect on the system.
{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.meta = {
    maintainers = mkOption {
      type = types.listOf types.unspecified;
      internal = true;
      default = [ ];
      description = "Maintainers of a module.";
    };
    doc = mkOption {
      type = types.nullOr types.unspecified;
      internal = true;
      default = null;
      description = "The chapter of the manual that a module brings.";
    };
    buildDocsInSandbox = mkOption {
      type = types.bool;
      internal = true;
      default = true;
      description = "Whether the documentation of a module can be built apart from the rest.";
    };
  };
}
