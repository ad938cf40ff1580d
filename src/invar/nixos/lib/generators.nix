# Configuration file formats out of Nix values: key-value, INI, git INI, JSON, YAML, Lua, plist, dhall, pretty Nix.
{ lib }:

let
  inherit (builtins)
    concatStringsSep
    isAttrs
    isBool
    isFloat
    isInt
    isList
    isPath
    isString
    toJSON
    typeOf
    ;
  inherit (lib)
    concatMapStringsSep
    escape
    isDerivation
    isFunction
    mapAttrsToList
    optionalString
    ;

  functionText = function: if lib.functionArgs function == { } then "<function>" else "<function, args: {${
    concatStringsSep ", " (mapAttrsToList (name: optional: if optional then "${name}?" else name) (lib.functionArgs function))
  }}>";

  self = {
    mkValueStringDefault =
      { }:
      value:
      let
        unsupported = what: abort "generators.mkValueStringDefault: ${what} not supported: ${self.toPretty { } value}";
      in
      if isInt value then
        toString value
      else if isDerivation value then
        toString value
      else if isString value then
        value
      else if value == true then
        "true"
      else if value == false then
        "false"
      else if value == null then
        "null"
      else if isList value then
        unsupported "lists"
      else if isAttrs value then
        unsupported "attrsets"
      else if isFunction value then
        unsupported "functions"
      else if isFloat value then
        lib.strings.floatToString value
      else
        unsupported "this value is";

    mkKeyValueDefault =
      {
        mkValueString ? self.mkValueStringDefault { },
      }:
      separator: key: value:
      "${escape [ separator ] key}${separator}${mkValueString value}";

    toKeyValue =
      {
        mkKeyValue ? self.mkKeyValueDefault { } "=",
        listsAsDuplicateKeys ? false,
        indent ? "",
      }:
      let
        line = key: value: indent + mkKeyValue key value + "\n";
        lines = key: value: if listsAsDuplicateKeys && isList value then lib.concatMapStrings (line key) value else line key value;
      in
      set: lib.concatStrings (mapAttrsToList lines set);

    toINI =
      {
        mkSectionName ? name: escape [ "[" "]" ] name,
        mkKeyValue ? self.mkKeyValueDefault { } "=",
        listsAsDuplicateKeys ? false,
      }:
      sections:
      concatStringsSep "\n" (
        mapAttrsToList (
          name: values: "[${mkSectionName name}]\n" + self.toKeyValue { inherit mkKeyValue listsAsDuplicateKeys; } values
        ) sections
      );

    toINIWithGlobalSection =
      {
        mkSectionName ? name: escape [ "[" "]" ] name,
        mkKeyValue ? self.mkKeyValueDefault { } "=",
        listsAsDuplicateKeys ? false,
      }:
      {
        globalSection,
        sections ? { },
      }:
      (
        if globalSection == { } then
          ""
        else
          self.toKeyValue { inherit mkKeyValue listsAsDuplicateKeys; } globalSection + "\n"
      )
      + self.toINI { inherit mkSectionName mkKeyValue listsAsDuplicateKeys; } sections;

    toGitINI =
      sections:
      let
        sectionName =
          path:
          let
            parts = lib.splitString "." path;
            section = lib.head parts;
            subsection = concatStringsSep "." (lib.tail parts);
          in
          if lib.tail parts == [ ] then
            section
          else
            ''${section} "${subsection}"'';
        valueText =
          value:
          let
            escaped = builtins.replaceStrings [ "\\" "\"" "\n" "\t" "\b" ] [ "\\\\" "\\\"" "\\n" "\\t" "\\b" ] value;
          in
          if isString value then "\"${escaped}\"" else self.mkValueStringDefault { } value;
        keyValue = key: value: "\t${self.mkKeyValueDefault { mkValueString = valueText; } " = " key value}";
        # nested sets become dotted section names; a set without plain values makes no section of its own
        flattenSections =
          prefix: set:
          let
            plain = lib.filterAttrs (_: value: !(isAttrs value) || isDerivation value) set;
            nested = lib.filterAttrs (_: value: isAttrs value && !(isDerivation value)) set;
            here = concatStringsSep "." prefix;
          in
          lib.optionalAttrs (plain != { }) { ${here} = plain; }
          // lib.concatMapAttrs (name: flattenSections (prefix ++ [ name ])) nested;
      in
      self.toINI {
        mkSectionName = sectionName;
        mkKeyValue = keyValue;
        listsAsDuplicateKeys = true;
      } (lib.concatMapAttrs (name: value: flattenSections [ name ] value) sections);

    withRecursion =
      {
        depthLimit,
        throwOnDepthLimit ? true,
      }:
      assert isInt depthLimit;
      let
        special = [
          "__functor"
          "__functionArgs"
          "__toString"
          "__pretty"
        ];
        limit =
          depth: attribute: value:
          if depthLimit == null || builtins.elem attribute special then
            value
          else if depth > depthLimit then
            if throwOnDepthLimit then
              throw "Exceeded maximum eval-depth limit of ${toString depthLimit} while trying to evaluate with `generators.withRecursion'!"
            else
              {
                __pretty = lib.const "<unevaluated>";
                val = "<unevaluated>";
                __toString = lib.const "<unevaluated>";
              }
          else if isAttrs value && !(isDerivation value) then
            builtins.mapAttrs (limit (depth + 1)) value
          else if isList value then
            map (limit (depth + 1) attribute) value
          else
            value;
      in
      limit 0 "";

    toPretty =
      {
        allowPrettyValues ? false,
        multiline ? true,
        indent ? "",
      }:
      let
        go =
          indent: value:
          let
            open = if multiline then "\n${indent}  " else " ";
            close = if multiline then "\n${indent}" else " ";
          in
          if isInt value then
            toString value
          else if isFloat value then
            "~${toString value}"
          else if isString value then
            stringText indent value
          else if value == true then
            "true"
          else if value == false then
            "false"
          else if value == null then
            "null"
          else if isPath value then
            toString value
          else if isList value then
            if value == [ ] then "[ ]" else "[${open}${concatMapStringsSep open (go (indent + "  ")) value}${close}]"
          else if isFunction value then
            functionText value
          else if isAttrs value then
            if allowPrettyValues && value ? __pretty && value ? val then
              value.__pretty value.val
            else if value == { } then
              "{ }"
            else if isDerivation value then
              "<derivation ${value.name or "???"}>"
            else
              "{${open}${
                concatStringsSep open (
                  mapAttrsToList (
                    name: item:
                    "${lib.strings.escapeNixIdentifier name} = ${
                      builtins.addErrorContext "while evaluating an attribute `${name}`" (go (indent + "  ") item)
                    };"
                  ) value
                )
              }${close}}"
          else
            abort "generators.toPretty: should never happen (value is a ${typeOf value})";
        stringText =
          indent: text:
          let
            lines = lib.filter isString (builtins.split "\n" text);
            separator = "\n${indent}  ";
            escapeLine = builtins.replaceStrings [ "\${" "''" ] [ "''\${" "'''" ];
            body = map escapeLine lines;
            lastLine = lib.last body;
          in
          if multiline && lib.tail lines != [ ] then
            "''${separator}${concatStringsSep separator (lib.init body)}${
              if lastLine == "" then "\n${indent}" else separator + lastLine
            }''"
          else
            "\"${escape [ "\\" "\"" "\${" ] text}\"";
      in
      go indent;

    toJSON = { }: toJSON;
    toYAML = self.toJSON;

    toPlist =
      {
        escape ? false,
      }:
      value:
      let
        text = if escape then lib.strings.escapeXML else lib.id;
        element = name: content: "<${name}>${content}</${name}>";
        go =
          indent: item:
          if item == null then
            ""
          else if isBool item then
            indent + (if item then "<true/>" else "<false/>")
          else if isInt item then
            indent + element "integer" (toString item)
          else if isString item then
            indent + element "string" (text item)
          else if isList item then
            concatStringsSep "\n" [
              "${indent}<array>"
              (concatMapStringsSep "\n" (go ("\t" + indent)) item)
              "${indent}</array>"
            ]
          else if isAttrs item && !(isDerivation item) then
            concatStringsSep "\n" [
              "${indent}<dict>"
              (concatStringsSep "\n" (
                mapAttrsToList (name: inner: "\t${indent}${element "key" (text name)}\n${go ("\t" + indent) inner}") (
                  lib.filterAttrs (_: inner: inner != null) item
                )
              ))
              "${indent}</dict>"
            ]
          else if isFloat item then
            indent + element "real" (toString item)
          else
            indent + element "string" (text (toString item));
      in
      ''
        <?xml version="1.0" encoding="UTF-8"?>
        <!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
        <plist version="1.0">
        ${go "" value}
        </plist>'';

    toDhall =
      { }@arguments:
      value:
      if isAttrs value then
        "{ ${concatStringsSep ", " (mapAttrsToList (name: item: "${name} = ${self.toDhall arguments item}") value)} }"
      else if isList value then
        "[ ${concatMapStringsSep ", " (self.toDhall arguments) value} ]"
      else if isInt value then
        (optionalString (value >= 0) "+") + toString value
      else if isBool value then
        if value then "True" else "False"
      else if isFunction value then
        abort "generators.toDhall: cannot convert a function to Dhall"
      else if value == null then
        abort "generators.toDhall: cannot convert a null to Dhall"
      else
        toJSON value;

    mkLuaInline = expression: {
      _type = "lua-inline";
      expr = expression;
    };
    toLua =
      {
        multiline ? true,
        indent ? "",
        asBindings ? false,
      }@arguments:
      value:
      let
        deeper = "${indent}  ";
        open = if multiline then "\n${deeper}" else " ";
        close = if multiline then "\n${indent}" else " ";
        inner = arguments // {
          indent = if asBindings then indent else deeper;
          asBindings = false;
        };
        binding =
          key: item:
          if builtins.match "[[:alpha:]_][[:alnum:]_]*(\\.[[:alpha:]_][[:alnum:]_]*)*" key == null then
            throw "attribute `${key}` is not a valid Lua identifier"
          else
            "${indent}${key} = ${self.toLua inner item}\n";
      in
      if asBindings then
        lib.concatStrings (mapAttrsToList binding value)
      else if value == null then
        "nil"
      else if isInt value || isFloat value || isString value || isBool value then
        toJSON value
      else if isPath value || isDerivation value then
        toJSON "${value}"
      else if isList value then
        if value == [ ] then "{}" else "{${open}${concatMapStringsSep ",${open}" (self.toLua inner) value}${close}}"
      else if isAttrs value then
        if value._type or "" == "lua-inline" then
          "(${value.expr})"
        else if value == { } then
          "{}"
        else
          "{${open}${
            concatStringsSep ",${open}" (mapAttrsToList (key: item: "[${toJSON key}] = ${self.toLua inner item}") value)
          }${close}}"
      else
        abort "generators.toLua: type ${typeOf value} is unsupported";
  };
in
self
