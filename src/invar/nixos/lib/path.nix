# Paths and subpaths ("./a/b"): joining, comparing, normalising.
{ lib }:

let
  inherit (builtins) concatStringsSep isPath isString length;

  # null when `value` is a subpath, else what is wrong with it
  subpathFault =
    value:
    if !(isString value) then
      "The given value is of type ${builtins.typeOf value}, but a string was expected"
    else if value == "" then
      "The given string is empty"
    else if builtins.substring 0 1 value == "/" then
      "The given string \"${value}\" starts with a `/`, representing an absolute path"
    else if lib.elem ".." (lib.splitString "/" value) then
      "The given string \"${value}\" contains a `..` component, which is not allowed in subpaths"
    else
      null;

  components = text: builtins.filter (part: part != "" && part != ".") (lib.splitString "/" text);
  joinRelative = parts: if parts == [ ] then "./." else "./" + concatStringsSep "/" parts;

  # a path as its file system root and the components below it
  deconstruct =
    path:
    let
      walk =
        below: current: if dirOf current == current then { root = current; components = below; } else walk ([ (baseNameOf current) ] ++ below) (dirOf current);
    in
    walk [ ] path;

  requirePath =
    caller: value:
    lib.throwIfNot (isPath value) "lib.path.${caller}: The argument is of type ${builtins.typeOf value}, but a path was expected";

  requireSubpath =
    caller: value:
    let
      fault = subpathFault value;
    in
    lib.throwIfNot (fault == null) "lib.path.${caller}: The argument is not a valid subpath string:\n    ${toString fault}";

  self = {
    append =
      path: subpath: requirePath "append" path (requireSubpath "append" subpath (path + ("/" + subpath)));
    hasPrefix =
      prefix:
      let
        base = deconstruct prefix;
      in
      path:
      let
        other = deconstruct path;
      in
      requirePath "hasPrefix" prefix (
        requirePath "hasPrefix" path (
          base.root == other.root && lib.lists.hasPrefix base.components other.components
        )
      );
    removePrefix =
      prefix:
      let
        base = deconstruct prefix;
      in
      path:
      let
        other = deconstruct path;
      in
      requirePath "removePrefix" prefix (
        requirePath "removePrefix" path (
          if base.root == other.root && lib.lists.hasPrefix base.components other.components then
            joinRelative (lib.drop (length base.components) other.components)
          else
            throw "lib.path.removePrefix: The first path argument \"${toString prefix}\" is not a component-wise prefix of the second path argument \"${toString path}\""
        )
      );
    splitRoot =
      path:
      let
        parts = deconstruct path;
      in
      requirePath "splitRoot" path {
        inherit (parts) root;
        subpath = joinRelative parts.components;
      };
    hasStorePathPrefix =
      path:
      let
        below = lib.removePrefix "${builtins.storeDir}/" (toString path);
        first = lib.head (lib.splitString "/" below);
      in
      requirePath "hasStorePathPrefix" path (
        below != toString path && builtins.match "[0-9a-z]{32}-.+|[0-9a-z]{52}" first != null
      );

    subpath = {
      isValid = value: subpathFault value == null;
      join =
        subpaths:
        joinRelative (
          builtins.concatLists (
            lib.imap0 (
              index: value:
              let
                fault = subpathFault value;
              in
              lib.throwIfNot (fault == null)
                "lib.path.subpath.join: Element at index ${toString index} is not a valid subpath string:\n    ${toString fault}"
                (components value)
            ) subpaths
          )
        );
      components = value: requireSubpath "subpath.components" value (components value);
      normalise = value: requireSubpath "subpath.normalise" value (joinRelative (components value));
    };
  };
in
self
