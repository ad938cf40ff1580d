# Functions on strings: joining, splitting, escaping, numbers in strings, versions are in versions.nix.
{ lib }:

let
  inherit (builtins)
    concatMap
    concatStringsSep
    elem
    elemAt
    filter
    foldl'
    fromJSON
    genList
    head
    isAttrs
    isInt
    isList
    isPath
    isString
    length
    map
    match
    replaceStrings
    split
    storeDir
    stringLength
    substring
    tail
    toJSON
    typeOf
    unsafeDiscardStringContext
    ;

  lowerLetters = self.stringToCharacters "abcdefghijklmnopqrstuvwxyz";
  upperLetters = self.stringToCharacters "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  asciiTable = import ./ascii-table.nix;

  hexOf = code: self.toLower (lib.trivial.toHexString code);
  twoHex = code: self.fixedWidthString 2 "0" (hexOf code);

  # the keywords that are no identifiers in attribute position
  keywords = [ "assert" "else" "if" "in" "inherit" "let" "or" "rec" "then" "with" ];

  parseInt =
    caller: pattern: text:
    let
      found = match pattern text;
      strippedNumber = elemAt found 1;
      value = fromJSON (if head found == "-" then "-${strippedNumber}" else strippedNumber);
    in
    if found == null then
      throw "${caller}: Could not convert ${self.escapeNixString text} to int."
    else
      value;

  self = {
    inherit
      concatStringsSep
      elem
      elemAt
      filter
      fromJSON
      head
      isInt
      isList
      isPath
      isString
      length
      match
      replaceStrings
      split
      storeDir
      stringLength
      substring
      tail
      toJSON
      typeOf
      unsafeDiscardStringContext
      ;
    inherit (builtins) compareVersions parseDrvName readFile;

    join = concatStringsSep;
    concatStrings = concatStringsSep "";
    concatMapStrings = function: list: concatStringsSep "" (map function list);
    concatImapStrings = function: list: concatStringsSep "" (lib.imap1 function list);
    concatMapStringsSep = separator: function: list: concatStringsSep separator (map function list);
    concatImapStringsSep = separator: function: list: concatStringsSep separator (lib.imap1 function list);
    concatMapAttrsStringSep = lib.attrsets.concatMapAttrsStringSep;
    concatLines = lines: self.concatMapStrings (line: line + "\n") lines;
    intersperse =
      separator: list:
      if list == [ ] || length list == 1 then
        list
      else
        tail (concatMap (value: [ separator value ]) list);
    replicate = count: text: concatStringsSep "" (genList (_: text) count);
    replaceString = from: to: replaceStrings [ from ] [ to ];

    trim = self.trimWith {
      start = true;
      end = true;
    };
    trimWith =
      {
        start ? false,
        end ? false,
      }:
      text:
      let
        blank = " \t\r\n";
        pattern =
          if start && end then
            "[${blank}]*(.*[^${blank}])[${blank}]*"
          else if start then
            "[${blank}]*(.*)"
          else if end then
            "(.*[^${blank}])[${blank}]*"
          else
            "(.*)";
        found = match pattern text;
      in
      if found == null then "" else head found;

    makeSearchPath = directory: packages: concatStringsSep ":" (map (path: path + "/" + directory) (filter (path: path != null) packages));
    makeSearchPathOutput =
      output: directory: packages:
      self.makeSearchPath directory (map (lib.getOutput output) packages);
    makeLibraryPath = self.makeSearchPathOutput "lib" "lib";
    makeIncludePath = self.makeSearchPathOutput "dev" "include";
    makeBinPath = self.makeSearchPathOutput "bin" "bin";
    normalizePath =
      text:
      let
        collapse =
          path:
          let
            shorter = replaceStrings [ "//" ] [ "/" ] path;
          in
          if shorter == path then path else collapse shorter;
      in
      collapse text;

    optionalString = condition: text: if condition then text else "";
    hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
    hasSuffix =
      suffix: text:
      let
        rest = stringLength text - stringLength suffix;
      in
      rest >= 0 && substring rest (-1) text == suffix;
    hasInfix = infix: text: match ".*${self.escapeRegex infix}.*" "${text}" != null;
    removePrefix =
      prefix: text: if self.hasPrefix prefix text then substring (stringLength prefix) (-1) text else text;
    removeSuffix =
      suffix: text:
      if self.hasSuffix suffix text then substring 0 (stringLength text - stringLength suffix) text else text;

    stringToCharacters = text: genList (index: substring index 1 text) (stringLength text);
    stringAsChars = function: text: self.concatMapStrings function (self.stringToCharacters text);
    charToInt = character: asciiTable.${character};
    splitString =
      separator: text:
      let
        parts = filter isString (split (self.escapeRegex (toString separator)) (toString text));
      in
      map (self.addContextFrom text) parts;
    splitStringBy =
      predicate: keepSplit: text:
      let
        count = stringLength text;
        walk =
          index: start: previous:
          if index == count then
            [ (substring start (-1) text) ]
          else
            let
              character = substring index 1 text;
            in
            if predicate previous character then
              [ (substring start (index - start) text) ]
              ++ walk (index + 1) (if keepSplit then index else index + 1) character
            else
              walk (index + 1) start character;
      in
      walk 0 0 "";
    commonPrefixLength =
      left: right:
      let
        limit = lib.min (stringLength left) (stringLength right);
        from = index: if index >= limit || substring index 1 left != substring index 1 right then index else from (index + 1);
      in
      from 0;
    commonSuffixLength =
      left: right:
      let
        leftLength = stringLength left;
        rightLength = stringLength right;
        limit = lib.min leftLength rightLength;
        from =
          index:
          if
            index >= limit || substring (leftLength - index - 1) 1 left != substring (rightLength - index - 1) 1 right
          then
            index
          else
            from (index + 1);
      in
      from 0;
    addContextFrom = source: target: substring 0 0 source + target;
    levenshtein =
      left: right:
      let
        width = stringLength right;
        firstRow = genList lib.id (width + 1);
        nextRow =
          row: index:
          foldl' (
            built: column:
            let
              cost = if substring index 1 left == substring column 1 right then 0 else 1;
              best = lib.min (lib.min (lib.last built + 1) (elemAt row (column + 1) + 1)) (elemAt row column + cost);
            in
            built ++ [ best ]
          ) [ (index + 1) ] (genList lib.id width);
      in
      lib.last (foldl' nextRow firstRow (genList lib.id (stringLength left)));
    levenshteinAtMost = limit: left: right: self.levenshtein left right <= limit;

    escape = list: replaceStrings list (map (character: "\\${character}") list);
    escapeC = list: replaceStrings list (map (character: "\\x${twoHex (self.charToInt character)}") list);
    escapeRegex = self.escape (self.stringToCharacters "\\[{()^$?*+|.");
    escapeURL =
      let
        unreserved = self.stringToCharacters "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
        reserved = removeAttrs asciiTable unreserved;
      in
      replaceStrings (builtins.attrNames reserved) (
        map (code: "%${self.toUpper (twoHex code)}") (builtins.attrValues reserved)
      );
    escapeShellArg =
      value:
      let
        text = toString value;
      in
      if match "[[:alnum:],._+:@%/-]+" text == null then "'${replaceStrings [ "'" ] [ "'\\''" ] text}'" else text;
    escapeShellArgs = self.concatMapStringsSep " " self.escapeShellArg;
    isValidPosixName = name: match "[a-zA-Z_][a-zA-Z0-9_]*" name != null;
    toShellVar =
      name: value:
      lib.throwIfNot (self.isValidPosixName name) "toShellVar: ${name} is not a valid shell variable name" (
        if isAttrs value && !self.isStringLike value then
          "declare -A ${name}=(${
            concatStringsSep " " (lib.mapAttrsToList (key: item: "[${self.escapeShellArg key}]=${self.escapeShellArg item}") value)
          })"
        else if isList value then
          "declare -a ${name}=(${self.escapeShellArgs value})"
        else
          "${name}=${self.escapeShellArg value}"
      );
    toShellVars = variables: concatStringsSep "\n" (lib.mapAttrsToList self.toShellVar variables);
    escapeNixString = text: self.escape [ "$" ] (toJSON text);
    escapeNixIdentifier =
      name:
      if match "[a-zA-Z_][a-zA-Z0-9_'-]*" name != null && !(elem name keywords) then name else self.escapeNixString name;
    escapeXML = replaceStrings [ "\"" "'" "<" ">" "&" ] [ "&quot;" "&apos;" "&lt;" "&gt;" "&amp;" ];
    escapeSystemdPath =
      path:
      let
        trimmed = self.removePrefix "/" (self.removeSuffix "/" (self.normalizePath (toString path)));
        escapedDot = if self.hasPrefix "." trimmed then "\\x2e" + substring 1 (-1) trimmed else trimmed;
        kept = self.stringToCharacters "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:_.";
        escapeCharacter =
          character:
          if character == "/" then
            "-"
          else if elem character kept then
            character
          else
            "\\x${twoHex (self.charToInt character)}";
      in
      if trimmed == "" then
        "-"
      else if trimmed == escapedDot then
        self.stringAsChars escapeCharacter trimmed
      else
        "\\x2e" + self.stringAsChars escapeCharacter (substring 1 (-1) trimmed);
    escapeSystemdExecArg =
      argument:
      let
        text =
          if isPath argument then
            "${argument}"
          else if isString argument then
            argument
          else if isInt argument || builtins.isFloat argument || lib.isDerivation argument then
            toString argument
          else
            throw "escapeSystemdExecArg only allows strings, paths, numbers and derivations";
      in
      replaceStrings [ "%" "$" ] [ "%%" "$$" ] (toJSON text);
    escapeSystemdExecArgs = self.concatMapStringsSep " " self.escapeSystemdExecArg;

    toLower = replaceStrings upperLetters lowerLetters;
    toUpper = replaceStrings lowerLetters upperLetters;
    toSentenceCase = text: self.toUpper (substring 0 1 text) + self.toLower (substring 1 (-1) text);
    toCamelCase =
      text:
      let
        words = filter (word: isString word && word != "") (split "[-_ ]" text);
        capital = word: self.toUpper (substring 0 1 word) + substring 1 (-1) word;
      in
      if words == [ ] then
        ""
      else
        self.toLower (substring 0 1 (head words)) + substring 1 (-1) (head words) + self.concatMapStrings capital (tail words);

    nameFromURL =
      url: separator:
      let
        file = lib.last (self.splitString "/" url);
        name = head (self.splitString separator file);
      in
      assert name != file;
      name;
    getName =
      value:
      let
        parse = name: (builtins.parseDrvName name).name;
      in
      if isString value then parse value else value.pname or (parse value.name);
    getVersion =
      value:
      let
        parse = name: (builtins.parseDrvName name).version;
      in
      if isString value then parse value else value.version or (parse value.name);

    cmakeOptionType =
      type: feature: value:
      "-D${feature}:${self.toUpper type}=${value}";
    cmakeBool = feature: value: self.cmakeOptionType "bool" feature (self.toUpper (lib.boolToString value));
    cmakeFeature = self.cmakeOptionType "string";
    mesonOption = feature: value: "-D${feature}=${value}";
    mesonBool = feature: value: self.mesonOption feature (lib.boolToString value);
    mesonEnable = feature: value: self.mesonOption feature (if value then "enabled" else "disabled");
    enableFeature = flag: feature: "--${if flag then "enable" else "disable"}-${feature}";
    enableFeatureAs = flag: feature: value: self.enableFeature flag feature + self.optionalString flag "=${value}";
    withFeature = flag: feature: "--${if flag then "with" else "without"}-${feature}";
    withFeatureAs = flag: feature: value: self.withFeature flag feature + self.optionalString flag "=${value}";

    fixedWidthString =
      width: filler: text:
      let
        used = stringLength text;
      in
      assert used <= width;
      if used == width then text else filler + self.fixedWidthString (width - stringLength filler) filler text;
    fixedWidthNumber = width: number: self.fixedWidthString width "0" (toString number);
    floatToString =
      value:
      let
        exact = toString value;
        printed = toJSON value;
      in
      if fromJSON exact == value then exact else lib.warn "Imprecise conversion from float to string ${exact}" (builtins.seq printed exact);

    isConvertibleWithToString =
      value:
      self.isStringLike value
      || elem (typeOf value) [ "null" "int" "float" "bool" ]
      || (isList value && lib.all self.isConvertibleWithToString value);
    isStringLike = value: isString value || isPath value || value ? outPath || value ? __toString;
    isCoercibleToString = self.isConvertibleWithToString;
    isStorePath =
      value:
      self.isStringLike value
      && (
        let
          text = toString value;
        in
        substring 0 1 text == "/"
        && (dirOf text == storeDir || match "${storeDir}/\\.links/.+" text != null)
        && text != storeDir
      );

    toInt = text: parseInt "toInt" "[[:space:]]*(-?)(0|[1-9][0-9]*)[[:space:]]*" (
      if match "[[:space:]]*-?0[0-9]+[[:space:]]*" text != null then
        throw "toInt: Ambiguity in interpretation of ${self.escapeNixString text} between octal and zero padded integer."
      else
        text
    );
    toIntBase10 = parseInt "toIntBase10" "[[:space:]]*0*(-?)(0|[1-9][0-9]*)[[:space:]]*";

    readPathsFromFile = root: file: map (path: root + "/${path}") (filter (line: line != "" && !(self.hasPrefix "#" line)) (self.splitString "\n" (builtins.readFile file)));
    fileContents = file: self.removeSuffix "\n" (builtins.readFile file);
    sanitizeDerivationName =
      text:
      let
        plain = unsafeDiscardStringContext text;
        undotted = elemAt (match "\\.*(.*)" plain) 0;
        joined = concatStringsSep "" (
          map (part: if isList part then "-" else part) (split "[^[:alnum:]+._?=-]+" undotted)
        );
        tailOf = value: substring (lib.max 0 (stringLength value - 207)) (-1) value;
      in
      if stringLength text <= 207 && match "[[:alnum:]+_?=-][[:alnum:]+._?=-]*" plain != null then
        plain
      else if joined == "" then
        "unknown"
      else
        tailOf joined;
  };
in
self
