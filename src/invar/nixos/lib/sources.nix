# Sources out of the local file system, filtered.
{ lib }:

let
  self = {
    pathType = lib.filesystem.pathType;
    pathIsDirectory = lib.filesystem.pathIsDirectory;
    pathIsRegularFile = lib.filesystem.pathIsRegularFile;

    cleanSourceFilter =
      name: type:
      let
        base = baseNameOf (toString name);
        isVersionControl = type == "directory" && builtins.elem base [ ".git" ".svn" "CVS" ".hg" ".jj" ".pijul" "_darcs" ];
        isVersionControlFile = builtins.elem base [ ".git" ".jj" ] && type != "directory";
        isEditorFile = lib.hasSuffix "~" base || builtins.match "\\.sw[a-z]" base != null || builtins.match "\\..*\\.sw[a-z]" base != null;
        isBuildProduct = lib.hasSuffix ".o" base || lib.hasSuffix ".so" base;
        isResultLink = type == "symlink" && (base == "result" || lib.hasPrefix "result-" base);
      in
      !(isVersionControl || isVersionControlFile || isEditorFile || isBuildProduct || isResultLink || type == "unknown");
    cleanSource = source: self.cleanSourceWith {
      src = source;
      filter = self.cleanSourceFilter;
    };
    cleanSourceWith =
      {
        filter ? _: _: true,
        src,
        name ? null,
      }:
      let
        isFiltered = src ? _isLibCleanSourceWith;
        origSrc = if isFiltered then src.origSrc else src;
        combined = if isFiltered then path: type: filter path type && src.filter path type else filter;
        finalName = if name != null then name else if isFiltered then src.name else "source";
      in
      {
        _isLibCleanSourceWith = true;
        inherit origSrc;
        filter = combined;
        name = finalName;
        outPath = builtins.path {
          filter = combined;
          path = origSrc;
          name = finalName;
        };
      };
    trace = source: source;
    sourceByRegex =
      source: patterns:
      self.cleanSourceWith {
        src = source;
        filter =
          path: _:
          let
            origin = toString (if source ? _isLibCleanSourceWith then source.origSrc else source);
            relative = lib.removePrefix (origin + "/") (toString path);
          in
          lib.any (pattern: builtins.match pattern relative != null) patterns;
      };
    sourceFilesBySuffices =
      source: suffixes:
      self.cleanSourceWith {
        src = source;
        filter = name: type: type == "directory" || lib.any (suffix: lib.hasSuffix suffix (baseNameOf (toString name))) suffixes;
      };
    canCleanSource = source: source ? _isLibCleanSourceWith || !(lib.hasPrefix builtins.storeDir (toString source));
  };
in
self
