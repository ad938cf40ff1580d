# Derivations that are evaluated late, and warnings on them.
{ lib }:

{
  lazyDerivation =
    {
      derivation,
      meta ? null,
      passthru ? { },
      outputs ? [ "out" ],
    }:
    let
      checked =
        if derivation.type or null == "derivation" then
          derivation
        else
          throw "lazyDerivation: input must be a derivation.";
    in
    {
      type = "derivation";
      inherit (checked)
        drvPath
        name
        outPath
        system
        ;
      inherit outputs;
      outputName = checked.outputName;
    }
    // lib.genAttrs outputs (name: checked.${name})
    // lib.optionalAttrs (meta != null) { inherit meta; }
    // passthru;
  optionalDrvAttr = condition: value: if condition then value else null;
  warnOnInstantiate =
    message: package:
    let
      toWarn = removeAttrs package [ "meta" "name" "type" "outputName" ];
    in
    package // lib.mapAttrs (_: lib.warn message) toWarn;
}
