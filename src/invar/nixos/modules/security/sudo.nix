# sudo: who may act as whom, in /etc/sudoers.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.security.sudo;
  userOrGroup = types.either types.str types.int;
  command = types.either types.str (
    types.submodule {
      options = {
        command = mkOption {
          type = types.str;
          description = "The command, \"ALL\" for any.";
        };
        options = mkOption {
          type = types.listOf (
            types.enum [
              "NOPASSWD"
              "PASSWD"
              "NOEXEC"
              "EXEC"
              "SETENV"
              "NOSETENV"
              "LOG_INPUT"
              "NOLOG_INPUT"
              "LOG_OUTPUT"
              "NOLOG_OUTPUT"
              "MAIL"
              "NOMAIL"
              "FOLLOW"
              "NOFOLLOW"
              "INTERCEPT"
              "NOINTERCEPT"
            ]
          );
          default = [ ];
          description = "Tags of the command.";
        };
      };
    }
  );
  ruleOptions = {
    options = {
      users = mkOption {
        type = types.listOf userOrGroup;
        default = [ ];
        description = "Users that the rule is for, by name or number.";
      };
      groups = mkOption {
        type = types.listOf userOrGroup;
        default = [ ];
        description = "Groups that the rule is for, by name or number.";
      };
      host = mkOption {
        type = types.str;
        default = "ALL";
        description = "The host that the rule is for.";
      };
      runAs = mkOption {
        type = types.str;
        default = "ALL:ALL";
        example = "foo:bar";
        description = "As whom the commands may run.";
      };
      commands = mkOption {
        type = types.listOf command;
        description = "The commands.";
      };
    };
  };

  userText = user: if lib.isInt user then "#${toString user}" else user;
  groupText = group: if lib.isInt group then "%#${toString group}" else "%${group}";
  commandText =
    command: if lib.isString command then command else lib.concatStrings (map (tag: "${tag}:") command.options) + command.command;
  ruleText =
    rule:
    lib.optionalString (rule.commands != [ ]) (
      lib.concatMapStrings (who: "${who}\t${rule.host}=(${rule.runAs})\t${lib.concatMapStringsSep ", " commandText rule.commands}\n") (
        map userText rule.users ++ map groupText rule.groups
      )
    );
in
{
  options.security.sudo = {
    enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether sudo is installed.";
    };
    package = lib.mkPackageOption pkgs "sudo" { };
    wheelNeedsPassword = mkOption {
      type = types.bool;
      default = true;
      description = "Whether users of the group wheel type their password for sudo.";
    };
    execWheelOnly = mkOption {
      type = types.bool;
      default = false;
      description = "Whether the sudo program can be started by wheel only: not possible, as Debian's package sets its permissions.";
    };
    keepTerminfo = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the variables of the terminal description are kept.";
    };
    defaultOptions = mkOption {
      type = types.listOf types.str;
      default = [ "SETENV" ];
      description = "Tags of the rules for root and wheel.";
    };
    extraRules = mkOption {
      type = types.listOf (types.submodule ruleOptions);
      default = [ ];
      example = lib.literalExpression ''
        [ { users = [ "backup" ]; commands = [ { command = "/usr/bin/rsync"; options = [ "NOPASSWD" ]; } ]; } ]
      '';
      description = "Rules; of several that match the last one counts.";
    };
    extraConfig = mkOption {
      type = types.lines;
      default = "";
      description = "More lines of /etc/sudoers.";
    };
    configFile = mkOption {
      type = types.lines;
      internal = true;
      description = "The text of /etc/sudoers.";
    };
  };

  config = lib.mkIf cfg.enable {
    security.sudo.extraRules = lib.mkBefore [
      {
        users = [ "root" ];
        commands = [
          {
            command = "ALL";
            options = cfg.defaultOptions;
          }
        ];
      }
      {
        groups = [ "wheel" ];
        commands = [
          {
            command = "ALL";
            options = cfg.defaultOptions ++ lib.optional (!cfg.wheelNeedsPassword) "NOPASSWD";
          }
        ];
      }
    ];
    security.sudo.configFile = lib.mkMerge [
      (lib.mkBefore ''
        Defaults env_reset
        Defaults use_pty
        Defaults secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
      '')
      (lib.mkIf cfg.keepTerminfo ''
        Defaults env_keep += "TERMINFO_DIRS TERMINFO"
      '')
      (lib.concatMapStrings ruleText cfg.extraRules)
      cfg.extraConfig
    ];
    environment.systemPackages = [ cfg.package ];
    environment.etc.sudoers = {
      text = cfg.configFile;
      mode = "0440";
    };
    systemd.tmpfiles.rules = [ "d /var/lib/sudo 0700 root root -" ];
    assertions = [
      {
        assertion = !cfg.execWheelOnly;
        message = "security.sudo.execWheelOnly: the permissions of /usr/bin/sudo are Debian's. Rules decide who may use it.";
      }
    ];
  };
}
