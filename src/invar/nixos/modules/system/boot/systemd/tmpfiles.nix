# Files and directories that are made, cleaned and removed at boot: the only way anything comes to be on the empty /var.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.systemd.tmpfiles;
  field =
    default: description:
    mkOption {
      type = types.str;
      inherit default description;
    };
  ruleOptions =
    { name, ... }:
    {
      options = {
        type = mkOption {
          type = types.str;
          default = name;
          example = "d";
          description = "What to do, as tmpfiles.d(5) abbreviates it.";
        };
        mode = field "-" "Permissions, in octal.";
        user = field "-" "Owner.";
        group = field "-" "Group.";
        age = field "-" "How old files may grow.";
        argument = field "" "The argument, with escapes.";
      };
    };
  quoted = path: if lib.hasInfix " " path then "\"${path}\"" else path;
  lineOf =
    path: rule:
    lib.concatStringsSep " " (
      [
        rule.type
        (quoted path)
        rule.mode
        rule.user
        rule.group
        rule.age
      ]
      ++ lib.optional (rule.argument != "") rule.argument
    )
    + "\n";
  settingsText =
    paths: lib.concatStrings (lib.concatLists (lib.mapAttrsToList (path: rules: map (lineOf path) (lib.attrValues rules)) paths));
in
{
  options.systemd.tmpfiles = {
    rules = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "d /var/lib/app 1777 root root 10d" ];
      description = "Lines of tmpfiles.d(5).";
    };
    settings = mkOption {
      type = types.attrsOf (types.attrsOf (types.attrsOf (types.submodule ruleOptions)));
      default = { };
      example = {
        "10-mypackage"."/var/lib/my-service/statefolder".d = {
          mode = "0755";
          user = "root";
          group = "root";
        };
      };
      description = "The same as attributes: file, path, type.";
    };
    packages = mkOption {
      type = types.listOf types.package;
      default = [ ];
      description = "Packages whose tmpfiles.d is read. Those of all installed packages are.";
    };
  };
  config = {
    environment.systemPackages = cfg.packages;
    environment.etc = {
      "tmpfiles.d/00-nixos.conf".text = ''
        # From systemd.tmpfiles.rules.
      ''
      + lib.concatStrings (map (rule: "${rule}\n") cfg.rules);
    }
    // lib.mapAttrs' (
      name: paths: lib.nameValuePair "tmpfiles.d/${name}.conf" { text = settingsText paths; }
    ) cfg.settings;
  };
}
