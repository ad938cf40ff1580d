# /etc: every file that the configuration puts there.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  entries = lib.filter (entry: entry.enable) (lib.attrValues config.environment.etc);
  targets = map (entry: entry.target) entries;
  duplicates = lib.attrNames (lib.filterAttrs (_: same: lib.length same > 1) (lib.groupBy (target: target) targets));
in
{
  options.environment.etc = mkOption {
    default = { };
    example = lib.literalExpression ''
      {
        example-configuration-file = {
          source = ./example.conf;
          mode = "0440";
        };
        "default/useradd".text = "GROUP=100 ...";
      }
    '';
    description = "Files below /etc, by path relative to it.";
    type = types.attrsOf (
      types.submodule (
        { name, ... }:
        {
          options = {
            enable = mkOption {
              type = types.bool;
              default = true;
              description = "Whether the file is made; lets one module take back another's.";
            };
            target = mkOption {
              type = types.str;
              default = name;
              defaultText = "the attribute's name";
              description = "Path of the file, relative to /etc.";
            };
            text = mkOption {
              type = types.nullOr types.lines;
              default = null;
              description = "Text of the file.";
            };
            source = mkOption {
              type = types.nullOr types.path;
              default = null;
              description = "Where the file comes from: a file beside the configuration, a store path, or an absolute path in the image.";
            };
            mode = mkOption {
              type = types.str;
              default = "symlink";
              example = "0600";
              description = "\"symlink\", or the permissions of a regular file in octal.";
            };
            uid = mkOption {
              type = types.int;
              default = 0;
              description = "Number of the file's owner, where `user` is not set. Only for regular files.";
            };
            gid = mkOption {
              type = types.int;
              default = 0;
              description = "Number of the file's group, where `group` is not set. Only for regular files.";
            };
            user = mkOption {
              type = types.nullOr types.str;
              default = null;
              description = "Name of the file's owner, which comes before `uid`.";
            };
            group = mkOption {
              type = types.nullOr types.str;
              default = null;
              description = "Name of the file's group, which comes before `gid`.";
            };
          };
        }
      )
    );
  };

  config.assertions = [
    {
      assertion = duplicates == [ ];
      message = "environment.etc: more than one entry has the target ${lib.concatStringsSep ", " duplicates}.";
    }
  ]
  ++ map (entry: {
    assertion = entry.text != null || entry.source != null;
    message = "environment.etc.\"${entry.target}\" has neither `text` nor `source`.";
  }) entries
  ++ map (entry: {
    assertion = entry.text == null || entry.source == null;
    message = "environment.etc.\"${entry.target}\" has both `text` and `source`. Set the one that is not meant to `lib.mkForce null`.";
  }) entries;
}
