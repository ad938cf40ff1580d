# The module system in plain Nix, for real Nix and for comparison: what `builtins.invarModules lib` has natively.
# It is right rather than quick, and its errors are short.
lib:
let
  inherit (builtins)
    all any attrNames catAttrs concatLists concatMap concatStringsSep elem elemAt filter foldl' functionArgs
    genericClosure head intersectAttrs isAttrs isBool isFloat isFunction isInt isList isPath isString length
    listToAttrs map mapAttrs match removeAttrs sort toString
    ;
  zipAttrsWith =
    builtins.zipAttrsWith or (
      function: sets:
      mapAttrs (name: _: function name (catAttrs name sets)) (foldl' (a: b: a // b) { } sets)
    );
  tag = value: if isAttrs value then value._type or "" else "";
  isCallable = value: isFunction value || (isAttrs value && value ? __functor);
  last = list: elemAt list (length list - 1);
  reverse = list: lib.genList (i: elemAt list (length list - 1 - i)) (length list);
  showOption = loc: concatStringsSep "." loc;
  at = loc: value: foldl' (inner: name: { ${name} = inner; }) value (reverse loc);
  fault = loc: text: throw "The option `${showOption loc}' ${text}";

  # --- properties of definitions
  mkIf = condition: content: { _type = "if"; inherit condition content; };
  mkMerge = contents: { _type = "merge"; inherit contents; };
  mkOverride = priority: content: { _type = "override"; inherit priority content; };
  mkOrder = priority: content: { _type = "order"; inherit priority content; };

  pushDown =
    value:
    if tag value == "merge" then
      concatMap pushDown value.contents
    else if tag value == "if" then
      map (mapAttrs (_: mkIf value.condition)) (pushDown value.content)
    else if tag value == "override" then
      map (mapAttrs (_: mkOverride value.priority)) (pushDown value.content)
    else
      [ value ];
  discharge =
    value:
    if tag value == "merge" then
      concatMap discharge value.contents
    else if tag value == "if" then
      if value.condition then discharge value.content else [ ]
    else
      [ value ];
  strongest =
    definitions:
    let
      priority = definition: if tag definition.value == "override" then definition.value.priority else 100;
      highest = foldl' (low: definition: if priority definition < low then priority definition else low) 9999 definitions;
    in
    map (
      definition:
      if tag definition.value == "override" then definition // { value = definition.value.content; } else definition
    ) (filter (definition: priority definition == highest) definitions);
  ordered =
    definitions:
    let
      order = definition: if tag definition.value == "order" then definition.value.priority else 1000;
    in
    if any (definition: tag definition.value == "order") definitions then
      map (
        definition: if tag definition.value == "order" then definition // { value = definition.value.content; } else definition
      ) (sort (a: b: order a < order b) definitions)
    else
      definitions;

  final =
    definitions:
    ordered (
      strongest (concatMap (definition: map (value: definition // { inherit value; }) (discharge definition.value)) definitions)
    );
  merged =
    loc: type: definitions:
    let
      found = final definitions;
      wrong = filter (definition: !(type.check definition.value)) found;
    in
    {
      isDefined = found != [ ];
      value =
        if found == [ ] then
          type.emptyValue.value or (fault loc "is used but not defined.")
        else if wrong != [ ] then
          fault loc "is not of type `${type.name}'."
        else
          type.merge loc found;
      inherit found;
    };

  # --- types
  one = loc: definitions: if length definitions == 1 then (head definitions).value else fault loc "is defined several times.";
  equal =
    loc: definitions:
    foldl' (
      first: definition: if definition.value == first then first else fault loc "has conflicting definition values."
    ) (head definitions).value definitions;
  anyhow =
    loc: definitions:
    let
      values = catAttrs "value" definitions;
    in
    if length values == 1 then
      head values
    else if all isList values then
      concatLists values
    else if all isAttrs values then
      foldl' (a: b: a // b) { } values
    else if all isBool values then
      any (value: value) values
    else if all isString values then
      concatStringsSep "" values
    else
      equal loc definitions;
  mkOptionType =
    given:
    {
      _type = "option-type";
      description = given.name;
      check = _: true;
      merge = anyhow;
      emptyValue = { };
      getSubModules = null;
      getSubOptions = _: { };
      typeMerge = other: if other.name == given.name then mkOptionType given else null;
    }
    // given;
  scalar = name: check: mkOptionType { inherit name check; merge = equal; };
  between = low: high: scalar "int" (value: isInt value && (low == null || value >= low) && (high == null || value <= high));
  lines = separator: mkOptionType {
    name = "separatedString";
    check = isString;
    merge = _: definitions: concatStringsSep separator (catAttrs "value" definitions);
  };
  isPackage = value: isAttrs value && value.type or "" == "derivation";
  entries =
    element: loc: definitions:
    zipAttrsWith (name: found: merged (loc ++ [ name ]) element found) (
      map (definition: mapAttrs (_: value: definition // { inherit value; }) definition.value) definitions
    );
  joined = make: name: element: {
    inherit name;
    inherit (element) getSubModules;
    typeMerge =
      other:
      let
        both = element.typeMerge other.element;
      in
      if other.name == name && both != null then make both else null;
    inherit element;
  };
  submodule =
    {
      modules,
      specialArgs ? { },
      shorthand ? true,
    }:
    mkOptionType {
      name = "submodule";
      inherit modules;
      check = value: isAttrs value || isCallable value || isPath value;
      emptyValue.value = { };
      getSubModules = modules;
      merge =
        loc: definitions:
        (evalModules {
          inherit specialArgs;
          prefix = loc;
          modules =
            modules
            ++ [ { _module.args.name = mkOverride 1500 (last loc); } ]
            ++ map (
              definition:
              if isAttrs definition.value && shorthand then
                { _file = definition.file; config = definition.value; }
              else
                { _file = definition.file; imports = [ definition.value ]; }
            ) definitions;
        }).config;
      typeMerge =
        other:
        if other.name == "submodule" then submodule { modules = modules ++ other.modules; inherit specialArgs shorthand; } else null;
    };
  types = rec {
    unspecified = mkOptionType { name = "unspecified"; };
    raw = mkOptionType { name = "raw"; merge = one; };
    anything = mkOptionType {
      name = "anything";
      merge =
        loc: definitions:
        if all (definition: isAttrs definition.value && !isPackage definition.value) definitions then
          (attrsOf anything).merge loc definitions
        else if length definitions == 1 then
          (head definitions).value
        else
          equal loc definitions;
    };
    bool = scalar "bool" isBool;
    int = scalar "int" isInt;
    float = scalar "float" isFloat;
    number = either int float;
    ints = {
      inherit between;
      positive = between 1 null;
      unsigned = between 0 null;
    };
    port = between 0 65535;
    str = scalar "str" isString;
    singleLineStr = scalar "singleLineStr" (value: isString value && match "[^\n\r]*\n?" value != null) // {
      merge = loc: definitions: lib.removeSuffix "\n" (equal loc definitions);
    };
    strMatching = pattern: scalar "strMatching" (value: isString value && match pattern value != null);
    path = scalar "path" (value: (isPath value || isString value || value ? outPath) && lib.substring 0 1 (toString value) == "/");
    package = mkOptionType { name = "package"; check = value: isPackage value || lib.isStorePath value; merge = one; };
    shellPackage = package;
    attrs = mkOptionType {
      name = "attrs";
      check = isAttrs;
      merge = _: definitions: foldl' (a: b: a // b.value) { } definitions;
      emptyValue.value = { };
    };
    separatedString = lines;
    commas = lines ",";
    optionType = mkOptionType { name = "optionType"; check = value: tag value == "option-type"; merge = one; };
    enum = values: scalar "enum" (value: elem value values);
    passwdEntry = element: addCheck element (value: match "[^:\n]*" value != null);
    addCheck = type: check: type // { check = value: type.check value && check value; };
    unique = _: uniq;
    uniq = element: element // { merge = loc: definitions: builtins.seq (one loc definitions) (element.merge loc definitions); };
    nullOr =
      element:
      mkOptionType (
        joined nullOr "nullOr" element
        // {
          check = value: value == null || element.check value;
          emptyValue.value = null;
          merge =
            loc: definitions:
            if all (definition: definition.value == null) definitions then null else element.merge loc definitions;
        }
      );
    either =
      left: right:
      mkOptionType {
        name = "either";
        check = value: left.check value || right.check value;
        merge =
          loc: definitions:
          let
            fits = type: all (definition: type.check definition.value) definitions;
          in
          if fits left then
            left.merge loc definitions
          else if fits right then
            right.merge loc definitions
          else
            one loc definitions;
      };
    oneOf = given: foldl' either (head given) (lib.tail given);
    coercedTo =
      from: function: to:
      mkOptionType {
        name = "coercedTo";
        inherit (to) emptyValue;
        check = value: to.check value || (from.check value && to.check (function value));
        merge =
          loc: definitions:
          to.merge loc (
            map (
              definition: if from.check definition.value then definition // { value = function definition.value; } else definition
            ) definitions
          );
      };
    listOf =
      element:
      mkOptionType (
        joined listOf "listOf" element
        // {
          check = isList;
          emptyValue.value = [ ];
          merge =
            loc: definitions:
            concatMap (
              definition:
              concatMap (
                value:
                let
                  found = merged (loc ++ [ "*" ]) element [ (definition // { inherit value; }) ];
                in
                if found.isDefined then [ found.value ] else [ ]
              ) definition.value
            ) definitions;
        }
      );
    nonEmptyListOf = element: addCheck (listOf element) (value: value != [ ]) // { emptyValue = { }; };
    attrsOf =
      element:
      mkOptionType (
        joined attrsOf "attrsOf" element
        // {
          check = isAttrs;
          emptyValue.value = { };
          merge = loc: definitions: mapAttrs (_: found: found.value) (lib.filterAttrs (_: found: found.isDefined) (entries element loc definitions));
        }
      );
    lazyAttrsOf =
      element:
      mkOptionType (
        joined lazyAttrsOf "lazyAttrsOf" element
        // {
          check = isAttrs;
          emptyValue.value = { };
          merge = loc: definitions: mapAttrs (_: found: found.value) (entries element loc definitions);
        }
      );
    functionTo =
      element:
      mkOptionType {
        name = "functionTo";
        check = isCallable;
        merge =
          loc: definitions: argument:
          (merged loc element (map (definition: definition // { value = definition.value argument; }) definitions)).value;
      };
    deferredModule = mkOptionType {
      name = "deferredModule";
      check = value: isAttrs value || isCallable value || isPath value;
      emptyValue.value = { };
      merge = _: definitions: { imports = catAttrs "value" definitions; };
    };
    submodule = modules: submoduleWith { modules = if isList modules then modules else [ modules ]; shorthandOnlyDefinesConfig = true; };
    submoduleWith = given: submoduleOf {
      inherit (given) modules;
      specialArgs = given.specialArgs or { };
      shorthand = given.shorthandOnlyDefinesConfig or false;
    };
  }
  // { lines = lines "\n"; };
  submoduleOf = submodule;

  # --- evaluation
  internal = {
    options._module = {
      args = mkOption { type = types.lazyAttrsOf types.raw; default = { }; };
      check = mkOption { type = types.bool; default = true; };
      freeformType = mkOption { type = types.nullOr types.optionType; default = null; };
    };
  };

  evalModules =
    {
      modules,
      specialArgs ? { },
      prefix ? [ ],
      ...
    }@given:
    let
      arguments = {
        inherit lib specialArgs options;
        config = everything;
      }
      // specialArgs;
      load =
        file: key: module:
        if isPath module || isString module then
          load (toString module) (toString module) (import module)
        else if isCallable module then
          load file key (
            module (
              arguments // mapAttrs (name: _: arguments.${name} or everything._module.args.${name}) (lib.functionArgs module)
            )
          )
        else
          let
            full = module ? config || module ? options;
            own = [ "_file" "_class" "key" "imports" "disabledModules" "freeformType" ];
            config = if full then module.config or { } else if tag module != "" then module else removeAttrs module own;
          in
          {
            file = module._file or file;
            key = toString (module.key or key);
            imports = module.imports or [ ];
            options = module.options or { };
            config = if module ? freeformType then mkMerge [ config { _module = { inherit (module) freeformType; }; } ] else config;
          };
      loadAll =
        parent: file: listed:
        lib.imap1 (number: module: load file "${parent}:anon-${toString number}" module) listed;
      flat = reverse (
        genericClosure {
          startSet = loadAll "" "<unknown-file>" (modules ++ [ internal { _module.args = { inherit extendModules; }; } ]);
          operator = module: loadAll module.key module.file module.imports;
        }
      );
      root = group prefix (map (module: { inherit (module) file options; }) flat) (
        map (module: { inherit (module) file; value = module.config; }) flat
      );
      inherit (root) options;
      free = root.values._module.freeformType;
      rest = map (one: { inherit (one) file; value = at one.path one.value; }) root.unmatched;
      everything =
        if free == null || rest == [ ] then root.values else lib.recursiveUpdate (free.merge prefix rest) root.values;
      unknown = head rest;
      config =
        if rest != [ ] && free == null && root.values._module.check then
          throw "The option `${showOption (prefix ++ (head root.unmatched).path)}' does not exist. Definition in ${unknown.file}"
        else
          removeAttrs everything [ "_module" ];
      extendModules = more: evalModules (given // { modules = modules ++ more.modules or [ ]; specialArgs = specialArgs // more.specialArgs or { }; });
    in
    {
      _type = "configuration";
      inherit config options extendModules;
      inherit (root.values) _module;
    };

  # Declarations `{ file, options }` and definitions `{ file, value }` below `loc`, as values, options, and what matches none.
  group =
    loc: declarations: definitions:
    let
      declared = zipAttrsWith (_: found: found) (
        map (one: mapAttrs (_: options: { inherit (one) file; inherit options; }) one.options) declarations
      );
      defined = zipAttrsWith (_: found: found) (
        concatMap (
          definition: map (mapAttrs (_: value: definition // { inherit value; })) (pushDown definition.value)
        ) definitions
      );
      nodes = mapAttrs (
        name: found:
        if any (one: tag one.options == "option") found then
          { isGroup = false; node = option (loc ++ [ name ]) found (defined.${name} or [ ]); }
        else
          { isGroup = true; node = group (loc ++ [ name ]) found (defined.${name} or [ ]); }
      ) declared;
    in
    {
      values = mapAttrs (_: one: if one.isGroup then one.node.values else one.node.value) nodes;
      options = mapAttrs (_: one: if one.isGroup then one.node.options else one.node) nodes;
      unmatched =
        concatMap (
          name: map (one: one // { path = [ name ] ++ one.path; }) nodes.${name}.node.unmatched
        ) (filter (name: nodes.${name}.isGroup) (attrNames nodes))
        ++ concatMap (
          name: concatMap (one: map (value: one // { path = [ name ]; inherit value; }) [ one.value ]) defined.${name}
        ) (filter (name: !(declared ? ${name})) (attrNames defined));
    };

  option =
    loc: declarations: definitions:
    let
      both =
        a: b:
        let
          type = if a ? type && b ? type then a.type.typeMerge b.type else a.type or b.type or null;
        in
        a // b // (if type == null then { } else { inherit type; });
      asOption =
        one:
        if tag one.options == "option" then
          one.options
        else
          { type = types.submodule { options = one.options; }; };
      declaration = foldl' both { } (map asOption declarations);
      type = declaration.type or types.unspecified;
      all = definitions ++ (if declaration ? default then [ { file = (head declarations).file; value = mkOverride 1500 declaration.default; } ] else [ ]);
      result = merged loc type all;
    in
    declaration
    // {
      _type = "option";
      inherit loc type;
      inherit (result) isDefined;
      value = (declaration.apply or (value: value)) result.value;
      files = catAttrs "file" result.found;
      definitions = catAttrs "value" result.found;
      definitionsWithLocations = result.found;
      declarations = catAttrs "file" declarations;
    };

  mkOption = given: { _type = "option"; } // given;
in
{
  inherit evalModules mkIf mkMerge mkOverride mkOrder mkOption mkOptionType types showOption;
  mkOptionDefault = mkOverride 1500;
  mkDefault = mkOverride 1000;
  mkImageMediaOverride = mkOverride 60;
  mkForce = mkOverride 50;
  mkVMOverride = mkOverride 10;
  mkBefore = mkOrder 500;
  mkAfter = mkOrder 1500;
  mkEnableOption = name: mkOption { type = types.bool; default = false; example = true; description = "Whether to enable ${name}."; };
  mkPackageOption =
    pkgs: name: given:
    mkOption (
      {
        type = (if given.nullable or false then types.nullOr else type: type) types.package;
        description = "The package to use.";
      }
      // (
        if given.default or name == null then
          { default = null; }
        else
          { default = lib.attrByPath (lib.toList (given.default or name)) (throw "no package ${toString name}") pkgs; }
      )
    );
  showFiles = concatStringsSep ", ";
  mergeEqualOption = equal;
  mergeOneOption = one;
  mergeDefaultOption = anyhow;
  setDefaultModuleLocation = file: module: { _file = file; imports = [ module ]; };
}
