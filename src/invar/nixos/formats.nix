# `pkgs.formats`: types of settings, and files written from them.
{ lib, writeText }:
let
  inherit (lib) types;

  atoms = [
    types.bool
    types.int
    types.float
    types.str
    types.path
  ];
  nested =
    description: extra:
    let
      value = types.nullOr (
        types.oneOf (
          atoms
          ++ extra
          ++ [
            (types.attrsOf value)
            (types.listOf value)
          ]
        )
      ) // { inherit description; };
    in
    value;

  tomlKey = name: if builtins.match "[A-Za-z0-9_-]+" name != null then name else builtins.toJSON name;
  isTable = value: lib.isAttrs value && !lib.isDerivation value;
  isTables = value: lib.isList value && value != [ ] && lib.all isTable value;
  tomlValue =
    value:
    if lib.isList value then
      "[${lib.concatMapStringsSep ", " tomlValue value}]"
    else if isTable value then
      "{ ${lib.concatStringsSep ", " (lib.mapAttrsToList (name: one: "${tomlKey name} = ${tomlValue one}") value)} }"
    else if lib.isBool value then
      lib.boolToString value
    else if lib.isInt value || lib.isFloat value then
      toString value
    else
      builtins.toJSON "${value}";
  # https://toml.io/en/v1.0.0: plain values first, then tables and arrays of tables under their headers.
  tomlTable =
    path: table:
    let
      present = lib.filterAttrs (_: value: value != null) table;
      plain = lib.filterAttrs (_: value: !(isTable value) && !(isTables value)) present;
      tables = lib.filterAttrs (_: isTable) present;
      arrays = lib.filterAttrs (_: isTables) present;
      header = name: lib.concatMapStringsSep "." tomlKey (path ++ [ name ]);
    in
    lib.concatStrings (lib.mapAttrsToList (name: value: "${tomlKey name} = ${tomlValue value}\n") plain)
    + lib.concatStrings (lib.mapAttrsToList (name: value: "\n[${header name}]\n${tomlTable (path ++ [ name ]) value}") tables)
    + lib.concatStrings (
      lib.concatLists (
        lib.mapAttrsToList (name: values: map (value: "\n[[${header name}]]\n${tomlTable (path ++ [ name ]) value}") values) arrays
      )
    );

  iniAtom = types.nullOr (
    types.oneOf [
      types.bool
      types.int
      types.float
      types.str
    ]
  );
  # Lists become one line each, or one value by `listToValue`.
  iniValue =
    {
      listsAsDuplicateKeys ? false,
      listToValue ? null,
      atomsCoercedToLists ? null,
      ...
    }:
    if listsAsDuplicateKeys || listToValue != null then types.either iniAtom (types.listOf iniAtom) else iniAtom;
  generatorOptions =
    arguments: removeAttrs arguments [ "listToValue" "atomsCoercedToLists" ];
  prepared =
    { listToValue ? null, ... }: if listToValue == null then value: value else lib.mapAttrs (_: value: if lib.isList value then listToValue value else value);
in
{
  json =
    { }:
    {
      type = nested "JSON value" [ ];
      generate = name: value: writeText name (builtins.toJSON value + "\n");
    };
  # Every JSON text is YAML 1.2.
  yaml =
    { }:
    {
      type = nested "YAML value" [ ];
      generate = name: value: writeText name (builtins.toJSON value + "\n");
    };
  toml =
    { }:
    {
      type = nested "TOML value" [ ];
      generate = name: value: writeText name (tomlTable [ ] value);
    };
  ini = arguments: {
    type = types.attrsOf (types.attrsOf (iniValue arguments));
    lib.types.atom = iniAtom;
    generate =
      name: value: writeText name (lib.generators.toINI (generatorOptions arguments) (lib.mapAttrs (_: prepared arguments) value));
  };
  iniWithGlobalSection = arguments: {
    type = types.submodule {
      options = {
        globalSection = lib.mkOption {
          type = types.attrsOf (iniValue arguments);
          default = { };
          description = "Lines before all sections.";
        };
        sections = lib.mkOption {
          type = types.attrsOf (types.attrsOf (iniValue arguments));
          default = { };
          description = "Sections, by name.";
        };
      };
    };
    generate =
      name:
      {
        globalSection ? { },
        sections ? { },
      }:
      writeText name (
        lib.generators.toINIWithGlobalSection (generatorOptions arguments) {
          globalSection = prepared arguments globalSection;
          sections = lib.mapAttrs (_: prepared arguments) sections;
        }
      );
  };
  keyValue = arguments: {
    type = types.attrsOf (iniValue arguments);
    generate = name: value: writeText name (lib.generators.toKeyValue (generatorOptions arguments) (prepared arguments value));
  };
}
