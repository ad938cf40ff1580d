# Functions on plain values: identity, booleans, numbers, warnings, function arguments.
{ lib }:

let
  inherit (builtins)
    bitAnd
    bitOr
    bitXor
    concatStringsSep
    div
    elem
    elemAt
    foldl'
    fromJSON
    fromTOML
    isFunction
    lessThan
    match
    readFile
    substring
    trace
    ;

  hexDigits = [ "0" "1" "2" "3" "4" "5" "6" "7" "8" "9" "A" "B" "C" "D" "E" "F" ];

  hexValues = builtins.listToAttrs (
    builtins.concatLists (
      builtins.genList (
        value:
        let
          digit = elemAt hexDigits value;
        in
        [
          { name = digit; inherit value; }
          { name = lib.toLower digit; inherit value; }
        ]
      ) 16
    )
  );

  self = {
    id = value: value;
    const = value: _: value;
    pipe = foldl' (value: function: function value);
    concat = left: right: left ++ right;
    "or" = left: right: left || right;
    and = left: right: left && right;
    xor = left: right: (!left) != (!right);
    bitNot = builtins.sub (-1);
    boolToString = value: if value then "true" else "false";
    boolToYesNo = value: if value then "yes" else "no";
    mergeAttrs = left: right: left // right;
    flip = function: left: right: function right left;
    defaultTo = default: value: if value == null then default else value;
    mapNullable = function: value: if value == null then null else function value;

    min = left: right: if left < right then left else right;
    max = left: right: if left > right then left else right;
    mod = base: modulus: base - modulus * (div base modulus);
    compare = left: right: if left < right then -1 else if left > right then 1 else 0;
    splitByAndCompare =
      belongsFirst: compareFirst: compareSecond: left: right:
      if belongsFirst left then
        if belongsFirst right then compareFirst left right else -1
      else if belongsFirst right then
        1
      else
        compareSecond left right;

    release = "25.11";
    versionSuffix = "pre-invar";
    version = self.release + self.versionSuffix;
    codeName = "Xantusia";
    oldestSupportedRelease = 2505;
    isInOldestRelease = release: release <= self.oldestSupportedRelease;
    oldestSupportedReleaseIsAtLeast = release: release <= self.oldestSupportedRelease;
    revisionWithDefault = default: default;
    inNixShell = false;
    inPureEvalMode = !(builtins ? currentSystem);

    importJSON = path: fromJSON (readFile path);
    importTOML = path: fromTOML (readFile path);

    warn = builtins.warn or (message: value: trace "evaluation warning: ${message}" value);
    warnIf = condition: message: if condition then self.warn message else self.id;
    warnIfNot = condition: message: if condition then self.id else self.warn message;
    throwIf = condition: message: if condition then throw message else self.id;
    throwIfNot = condition: message: if condition then self.id else throw message;
    info = message: value: trace "INFO: ${message}" value;
    showWarnings = warnings: value: foldl' (rest: message: self.warn message rest) value warnings;
    checkListOfEnum =
      message: valid: given:
      let
        unexpected = builtins.filter (value: !(elem value valid)) given;
      in
      self.throwIfNot (unexpected == [ ])
        "${message}: ${concatStringsSep ", " unexpected} unexpected; valid ones: ${concatStringsSep ", " valid}";

    setFunctionArgs = function: arguments: {
      __functor = _: function;
      __functionArgs = arguments;
    };
    functionArgs =
      function:
      if function ? __functor then
        function.__functionArgs or (self.functionArgs (function.__functor function))
      else
        builtins.functionArgs function;
    isFunction = value: isFunction value || (value ? __functor && self.isFunction (value.__functor value));
    mirrorFunctionArgs =
      original:
      let
        arguments = self.functionArgs original;
      in
      function: self.setFunctionArgs function arguments;
    toFunction = value: if self.isFunction value then value else _: value;

    fromHexString =
      text:
      let
        digits = match "(0x)?([0-7]?[0-9A-Fa-f]{1,15})" text;
        hex = elemAt digits 1;
        count = builtins.stringLength hex;
      in
      if digits == null then
        throw "lib.fromHexString: `${text}' is not a hexadecimal number of 64 bits"
      else
        foldl' (total: index: total * 16 + hexValues.${substring index 1 hex}) 0 (builtins.genList self.id count);
    toHexString = number: lib.concatMapStrings (elemAt hexDigits) (self.toBaseDigits 16 number);
    toBaseDigits =
      base: number:
      let
        digits =
          rest: seen:
          if rest < base then [ rest ] ++ seen else digits (rest / base) ([ (self.mod rest base) ] ++ seen);
      in
      assert builtins.isInt base && builtins.isInt number && base >= 2 && number >= 0;
      digits number [ ];

    inherit bitAnd bitOr bitXor lessThan;
    inherit (builtins)
      add
      deepSeq
      genericClosure
      isBool
      isFloat
      isInt
      pathExists
      readFile
      seq
      sub
      ;
    inherit (builtins) ceil floor;
  };
in
self
