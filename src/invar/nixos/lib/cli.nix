# GNU-style command lines out of attribute sets.
{ lib }:

let
  self = {
    toGNUCommandLineShell = options: set: lib.escapeShellArgs (self.toGNUCommandLine options set);

    toGNUCommandLine =
      {
        mkOptionName ? name: if builtins.stringLength name == 1 then "-${name}" else "--${name}",
        mkBool ? name: value: lib.optional value (mkOptionName name),
        mkList ? name: value: lib.concatMap (mkOption name) value,
        mkOption ?
          name: value:
          if value == null then
            [ ]
          else if optionValueSeparator == null then
            [
              (mkOptionName name)
              (lib.generators.mkValueStringDefault { } value)
            ]
          else
            [ "${mkOptionName name}${optionValueSeparator}${lib.generators.mkValueStringDefault { } value}" ],
        optionValueSeparator ? null,
      }:
      set:
      let
        render =
          name: value:
          if builtins.isBool value then
            mkBool name value
          else if builtins.isList value then
            mkList name value
          else
            mkOption name value;
      in
      builtins.concatLists (lib.mapAttrsToList render set);

    toCommandLineShellGNU = options: set: lib.escapeShellArgs (self.toCommandLineGNU options set);
    toCommandLineGNU =
      {
        isLong ? name: builtins.stringLength name > 1,
        explicitBool ? false,
        formatArg ? lib.generators.mkValueStringDefault { },
      }:
      self.toCommandLine (name: {
        option = if isLong name then "--${name}" else "-${name}";
        sep = if isLong name then "=" else "";
        inherit explicitBool formatArg;
      });

    toCommandLineShell = format: set: lib.escapeShellArgs (self.toCommandLine format set);
    toCommandLine =
      format: set:
      let
        render =
          name: value:
          let
            inherit
              ({
                formatArg = lib.generators.mkValueStringDefault { };
                explicitBool = false;
                sep = null;
              } // format name)
              option
              sep
              formatArg
              explicitBool
              ;
          in
          if value == null || (!explicitBool && value == false) then
            [ ]
          else if !explicitBool && value == true then
            [ option ]
          else if builtins.isList value then
            lib.concatMap (render name) value
          else if sep == null then
            [
              option
              (formatArg value)
            ]
          else
            [ "${option}${sep}${formatArg value}" ];
      in
      builtins.concatLists (lib.mapAttrsToList render set);
  };
in
self
