# Logins on terminals.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.services.getty;
  loginArguments = lib.optional (cfg.autologinUser != null) "--autologin ${cfg.autologinUser}" ++ cfg.extraArgs;
in
{
  options.services.getty = {
    autologinUser = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "A user who is logged in on terminals without a password.";
    };
    extraArgs = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "--nohostname" ];
      description = "More arguments of agetty.";
    };
    greetingLine = mkOption {
      type = types.str;
      default = ''<<< Debian GNU/Linux 13 (\m) - \l >>>'';
      description = "The line above the login prompt.";
    };
    helpLine = mkOption {
      type = types.lines;
      default = "";
      description = "Lines below the greeting.";
    };
  };
  config = {
    systemd.services."serial-getty@" = lib.mkIf (loginArguments != [ ]) {
      serviceConfig.ExecStart = [
        ""
        "-/sbin/agetty ${lib.concatStringsSep " " loginArguments} --noreset --noclear --keep-baud 115200,57600,38400,9600 - \${TERM}"
      ];
    };
    environment.etc.issue.text = ''
      ${cfg.greetingLine}
      ${cfg.helpLine}
    '';
  };
}
