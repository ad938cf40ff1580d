# PAM: Debian's own stacks stay as they are; what is set here are limits and the variables of sessions.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.security.pam;
  limitOptions = {
    options = {
      domain = mkOption {
        type = types.str;
        example = "@wheel";
        description = "User, @group, or * for everybody.";
      };
      type = mkOption {
        type = types.enum [
          "-"
          "hard"
          "soft"
        ];
        default = "-";
        description = "Hard or soft limit, or both.";
      };
      item = mkOption {
        type = types.enum [
          "core"
          "data"
          "fsize"
          "memlock"
          "nofile"
          "rss"
          "stack"
          "cpu"
          "nproc"
          "as"
          "maxlogins"
          "maxsyslogins"
          "priority"
          "locks"
          "sigpending"
          "msgqueue"
          "nice"
          "rtprio"
        ];
        description = "What is limited.";
      };
      value = mkOption {
        type = types.oneOf [
          types.str
          types.int
        ];
        description = "The limit.";
      };
    };
  };
in
{
  options.security.pam.loginLimits = mkOption {
    type = types.listOf (types.submodule limitOptions);
    default = [ ];
    example = [
      {
        domain = "ftp";
        type = "hard";
        item = "nproc";
        value = "0";
      }
    ];
    description = "Limits of login sessions, as limits.conf(5) has them.";
  };
  config.environment.etc."security/limits.conf" = lib.mkIf (cfg.loginLimits != [ ]) {
    text = lib.concatStrings (
      map (limit: "${limit.domain} ${limit.type} ${limit.item} ${toString limit.value}\n") cfg.loginLimits
    );
  };
}
