# What a shell finds when it starts: variables, aliases and start-up text.
{
  config,
  lib,
  utils,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.environment;
  asText = value: if lib.isList value then lib.concatMapStringsSep ":" toString value else toString value;
  exported = lib.filterAttrs (_: value: value != null) cfg.variables;
  exports = lib.concatStrings (
    lib.mapAttrsToList (name: value: "export ${name}=\"${asText value}\"\n") exported
  );
  aliases = lib.concatStrings (
    lib.mapAttrsToList (name: value: "alias -- ${name}=${lib.escapeShellArg value}\n") (
      lib.filterAttrs (_: value: value != null) cfg.shellAliases
    )
  );
  lines =
    description:
    mkOption {
      type = types.lines;
      default = "";
      inherit description;
    };
in
{
  options.environment = {
    variables = mkOption {
      type = types.attrsOf (
        types.nullOr (
          types.oneOf [
            (types.listOf (
              types.oneOf [
                types.int
                types.str
                types.path
              ]
            ))
            types.int
            types.str
            types.path
          ]
        )
      );
      default = { };
      example = {
        EDITOR = "nvim";
        VISUAL = "nvim";
      };
      description = "Variables set by shells when they start. Lists are joined by colons; null leaves a variable alone.";
    };
    shellAliases = mkOption {
      type = types.attrsOf (types.nullOr types.str);
      default = { };
      example = {
        ll = "ls -l";
      };
      description = "Names for commands, in all shells.";
    };
    shellInit = lines "Shell text run by every shell that reads /etc/profile or /etc/bash.bashrc.";
    loginShellInit = lines "Shell text run by login shells.";
    interactiveShellInit = lines "Shell text run by interactive shells.";
    extraInit = lines "Shell text run after all variables are set.";
    homeBinInPath = mkOption {
      type = types.bool;
      default = false;
      description = "Whether ~/bin comes first in PATH.";
    };
    localBinInPath = mkOption {
      type = types.bool;
      default = false;
      description = "Whether ~/.local/bin comes first in PATH.";
    };
    shells = mkOption {
      type = types.listOf (types.either types.shellPackage types.path);
      default = [ ];
      example = lib.literalExpression "[ pkgs.zsh ]";
      description = "Shells allowed as login shells, beside those that Debian lists.";
    };
    binsh = mkOption {
      type = types.path;
      internal = true;
      readOnly = true;
      default = "/bin/sh";
      description = "The system's shell.";
    };
  };

  config = {
    environment.shellAliases = lib.mapAttrs (_: lib.mkDefault) {
      ls = "ls --color=tty";
      ll = "ls -l";
      l = "ls -alh";
    };
    environment.etc = {
      "set-environment".text = ''
        # The variables of environment.variables; read by /etc/profile and /etc/bash.bashrc.
        if [ -n "''${__INVAR_SET_ENVIRONMENT_DONE-}" ]; then return; fi
        export __INVAR_SET_ENVIRONMENT_DONE=1
      ''
      + exports
      + cfg.extraInit
      + lib.optionalString cfg.localBinInPath "export PATH=\"$HOME/.local/bin:$PATH\"\n"
      + lib.optionalString cfg.homeBinInPath "export PATH=\"$HOME/bin:$PATH\"\n";

      "profile".text = ''
        # Read by login shells.
        . /etc/set-environment
      ''
      + cfg.shellInit
      + cfg.loginShellInit
      + ''
        for file in /etc/profile.d/*.sh; do
          if [ -r "$file" ]; then . "$file"; fi
        done
        unset file
        if [ -n "''${BASH-}" ] && [ "$BASH" != /bin/sh ] && [ -r /etc/bash.bashrc ]; then . /etc/bash.bashrc; fi
      '';

      "bash.bashrc".text = ''
        # Read by interactive bash shells.
        . /etc/set-environment
        case $- in
          *i*) ;;
          *) return ;;
        esac
        shopt -s checkwinsize
      ''
      + config.programs.bash.promptInit
      + cfg.shellInit
      + aliases
      + cfg.interactiveShellInit
      + config.programs.bash.interactiveShellInit;

      "shells" = lib.mkIf (cfg.shells != [ ]) {
        text = lib.concatStrings (
          map (shell: "${shell}\n") (
            lib.unique (
              [
                "/bin/sh"
                "/usr/bin/sh"
                "/bin/bash"
                "/usr/bin/bash"
              ]
              ++ map utils.toShellPath cfg.shells
            )
          )
        );
      };
    };
    environment.systemPackages = lib.filter lib.isDerivation cfg.shells;
  };
}
