# bash, the login shell of everybody who has not asked for another.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.programs.bash;
in
{
  options.programs.bash = {
    enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether bash is set up. It is always installed.";
    };
    shellAliases = mkOption {
      type = types.attrsOf (types.nullOr types.str);
      default = { };
      description = "Names for commands in bash.";
    };
    shellInit = mkOption {
      type = types.lines;
      default = "";
      description = "Text run by every bash.";
    };
    loginShellInit = mkOption {
      type = types.lines;
      default = "";
      description = "Text run by a login bash.";
    };
    interactiveShellInit = mkOption {
      type = types.lines;
      default = "";
      description = "Text run by an interactive bash.";
    };
    promptInit = mkOption {
      type = types.lines;
      default = ''
        PS1='\u@\h:\w\$ '
      '';
      description = "Text that sets the prompt.";
    };
  };
  config.environment = {
    inherit (cfg) shellAliases shellInit loginShellInit;
  };
}
