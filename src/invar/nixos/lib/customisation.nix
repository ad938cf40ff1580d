# Calling and overriding functions that make packages.
{ lib }:

let
  inherit (builtins)
    attrNames
    filter
    head
    intersectAttrs
    isAttrs
    isFunction
    mapAttrs
    ;

  # `f` applied to what `values` and `given` offer of its arguments, overridable; a missing argument is named with its likes
  callWith =
    values: function: given:
    let
      wanted = lib.functionArgs function;
      known = intersectAttrs wanted values // given;
      missing = filter (name: !(wanted.${name} || known ? ${name})) (attrNames wanted);
      near =
        name:
        let
          close = lib.take 3 (
            lib.sortOn (lib.levenshtein name) (filter (lib.strings.levenshteinAtMost 2 name) (attrNames values))
          );
        in
        lib.optionalString (close != [ ]) ", did you mean ${lib.concatMapStringsSep " or " (other: "\"${other}\"") close}?";
      complain = name: "Function called without required argument \"${name}\"${near name}";
    in
    if missing == [ ] then
      lib.makeOverridable function known
    else
      abort "lib.customisation.callPackageWith: ${complain (head missing)}";

  asFunction = value: if lib.isFunction value then value else import value;

  self = {
    overrideDerivation =
      package: change:
      let
        changed = builtins.derivation (package.drvAttrs // change package);
      in
      lib.flip (lib.extendDerivation (builtins.seq package.drvPath true)) changed (
        {
          meta = package.meta or { };
          passthru = package.passthru or { };
        }
        // package.passthru or { }
        // lib.optionalAttrs (package ? __spliced) { __spliced = { }; }
      );

    makeOverridable =
      function:
      lib.mirrorFunctionArgs function (
        original:
        let
          result = function original;
          merged = changes: original // (if lib.isFunction changes then changes original else changes);
          again = changes: self.makeOverridable function (merged changes);
          wrap = change: self.makeOverridable (lib.mirrorFunctionArgs function (arguments: change (function arguments))) original;
          override = lib.mirrorFunctionArgs function again;
        in
        if isAttrs result then
          result
          // {
            inherit override;
            overrideDerivation = change: wrap (package: self.overrideDerivation package change);
          }
          // lib.optionalAttrs (result ? overrideAttrs) {
            overrideAttrs = change: wrap (package: package.overrideAttrs change);
          }
        else if isFunction result then
          lib.setFunctionArgs result (lib.functionArgs result) // { inherit override; }
        else
          result
      );

    callPackageWith = values: function: callWith values (asFunction function);
    callPackagesWith =
      values: function: given:
      let
        loaded = asFunction function;
        arguments = intersectAttrs (lib.functionArgs loaded) values // given;
        packages = loaded arguments;
        one = name: arguments: (loaded arguments).${name};
      in
      if lib.isDerivation packages then
        throw "function `callPackages` was called on a *single* derivation \"${packages.name or "<name-missing>"}\"; did you mean to use `callPackage` instead?"
      else
        mapAttrs (name: _: self.makeOverridable (one name) arguments) packages;

    extendDerivation =
      condition: passthru: package:
      let
        outputs = package.outputs or [ "out" ];
        common =
          package
          // passthru
          // lib.genAttrs outputs output
          // {
            all = map output outputs;
          };
        output =
          name:
          common
          // {
            outPath =
              assert condition;
              package.${name}.outPath;
            drvPath =
              assert condition;
              package.${name}.drvPath;
            outputName = name;
            inherit (package.${name}) type;
          };
      in
      common
      // {
        drvPath =
          assert condition;
          package.drvPath;
        outPath =
          assert condition;
          package.outPath;
      };

    hydraJob =
      package:
      if package == null then
        null
      else
        let
          outputs = package.outputs or [ "out" ];
          kept = lib.genAttrs outputs (name: { inherit (package.${name}) outPath type; inherit name; });
        in
        { inherit (package) name system meta drvPath; type = "derivation"; inherit outputs; } // kept;

    makeScope =
      newScope: function:
      let
        scope = function scope // {
          newScope = extra: newScope (scope // extra);
          callPackage = scope.newScope { };
          overrideScope = overlay: self.makeScope newScope (lib.extends overlay function);
          packages = function;
        };
      in
      scope;
    makeScopeWithSplicing' =
      { newScope, ... }: { f, ... }: self.makeScope newScope f;
  };
in
self
