# Declaring options, and what can be asked of them. The declarations themselves are made by the module system.
{ lib }:

let
  native = builtins.invarModules lib;

  self = {
    inherit (native)
      mkOption
      mkEnableOption
      mkPackageOption
      mkSinkUndeclaredOptions
      mergeDefaultOption
      mergeOneOption
      mergeUniqueOption
      mergeEqualOption
      showOption
      showDefs
      showFiles
      showOptionWithDefLocs
      ;

    isOption = lib.isType "option";
    mkPackageOptionMD = self.mkPackageOption;

    getValues = map (definition: definition.value);
    getFiles = map (definition: definition.file);

    scrubOptionValue =
      value:
      if lib.isDerivation value then
        value // {
          type = "derivation";
          drvPath = value.name;
          outPath = value.name;
        }
      else if builtins.isList value then
        map self.scrubOptionValue value
      else if builtins.isAttrs value then
        builtins.mapAttrs (_: self.scrubOptionValue) (removeAttrs value [ "_args" ])
      else
        value;
    renderOptionValue =
      value:
      if value ? _type && value ? text then
        value
      else
        self.literalExpression (lib.generators.toPretty { multiline = true; } value);

    literalExpression =
      text:
      if builtins.isString text then
        {
          _type = "literalExpression";
          inherit text;
        }
      else
        throw "literalExpression expects a string.";
    literalCode = languageTag: text: lib.literalMD "```${languageTag}\n${text}\n```";
    literalMD =
      text:
      if builtins.isString text then
        {
          _type = "literalMD";
          inherit text;
        }
      else
        throw "literalMD expects a string.";
    mdDoc = text: text;

    optionAttrSetToDocList = self.optionAttrSetToDocList' [ ];
    optionAttrSetToDocList' =
      _: options:
      builtins.concatMap (
        option:
        let
          name = self.showOption option.loc;
          document = {
            inherit name;
            inherit (option) loc;
            description = option.description or null;
            declarations = builtins.filter (file: file != lib.modules.unknownModule) option.declarations;
            internal = option.internal or false;
            visible = option.visible or true != false;
            readOnly = option.readOnly or false;
            type = option.type.description or "unspecified";
          }
          // lib.optionalAttrs (option ? example) { example = self.renderOptionValue option.example; }
          // lib.optionalAttrs (option ? defaultText || option ? default) {
            default = self.renderOptionValue (option.defaultText or option.default);
          }
          // lib.optionalAttrs (option ? relatedPackages && option.relatedPackages != null) {
            inherit (option) relatedPackages;
          };
          nested = option.type.getSubOptions option.loc;
          wantsNested = option.visible or true != "shallow" && nested != { };
        in
        [ document ] ++ lib.optionals wantsNested (self.optionAttrSetToDocList nested)
      ) (lib.collect self.isOption options);
  };
in
self
