# Variables of every session, whatever starts it: written to /etc/environment, which PAM reads.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.environment;
  asText = value: if lib.isList value then lib.concatMapStringsSep ":" toString value else toString value;
  variables = lib.filterAttrs (_: value: value != null) cfg.sessionVariables;
in
{
  options.environment = {
    sessionVariables = mkOption {
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
        EDITOR = "vim";
      };
      description = "Variables set early, by PAM, for every session. Lists are joined by colons.";
    };
    profileRelativeSessionVariables = mkOption {
      type = types.attrsOf (types.listOf types.str);
      default = { };
      description = "Variables that name a directory below each profile. The only profile is /usr.";
    };
  };

  config.environment = {
    # Everybody finds everything that is installed, as on NixOS.
    sessionVariables.PATH = lib.mkDefault [
      "/usr/local/sbin"
      "/usr/local/bin"
      "/usr/sbin"
      "/usr/bin"
    ];
    etc.environment.text = lib.concatStrings (
      lib.mapAttrsToList (name: value: "${name}=\"${asText value}\"\n") (
        variables
        // lib.mapAttrs (_: suffixes: map (suffix: "/usr${suffix}") suffixes) cfg.profileRelativeSessionVariables
      )
    );
    inherit variables;
  };
}
