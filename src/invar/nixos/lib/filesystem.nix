# Reading the local file system.
{ lib }:

let
  inherit (builtins) attrNames concatMap pathExists readDir;

  self = {
    pathType =
      builtins.readFileType or (
        path:
        if !(pathExists path) then
          abort "lib.filesystem.pathType: Path ${toString path} does not exist."
        else if dirOf path == path then
          "directory"
        else
          (readDir (dirOf path)).${baseNameOf path}
      );
    pathIsDirectory = path: pathExists path && self.pathType path == "directory";
    pathIsRegularFile = path: pathExists path && self.pathType path == "regular";

    listFilesRecursive =
      directory:
      let
        entries = readDir directory;
      in
      concatMap (
        name:
        if entries.${name} == "directory" then self.listFilesRecursive (directory + "/${name}") else [ (directory + "/${name}") ]
      ) (attrNames entries);
    haskellPathsInDir =
      root:
      lib.listToAttrs (
        concatMap (
          name:
          let
            file = root + "/${name}/${name}.cabal";
          in
          lib.optional (pathExists file) (lib.nameValuePair name (root + "/${name}"))
        ) (attrNames (readDir root))
      );
    locateDominatingFile =
      pattern: file:
      let
        search =
          path:
          let
            matches = builtins.filter (found: found != null) (map (builtins.match pattern) (attrNames (readDir path)));
          in
          if matches != [ ] then
            { inherit path matches; }
          else if toString path == "/" then
            null
          else
            search (dirOf path);
        isFolder = self.pathIsDirectory file;
      in
      search (if isFolder then file else dirOf file);
    packagesFromDirectoryRecursive =
      {
        callPackage,
        directory,
        ...
      }@arguments:
      let
        entries = readDir directory;
        default = directory + "/package.nix";
      in
      if entries ? "package.nix" then
        callPackage default { }
      else
        lib.concatMapAttrs (
          name: type:
          let
            path = directory + "/${name}";
          in
          if type == "directory" then
            { ${name} = self.packagesFromDirectoryRecursive (arguments // { directory = path; }); }
          else if type == "regular" && lib.hasSuffix ".nix" name then
            { ${lib.removeSuffix ".nix" name} = callPackage path { }; }
          else
            { }
        ) entries;
    resolveDefaultNix =
      path:
      if self.pathIsDirectory path then path + "/default.nix" else path;
  };
in
self
