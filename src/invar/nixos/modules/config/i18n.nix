# Language, character set and formats.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.i18n;
  used = lib.unique ([ cfg.defaultLocale ] ++ lib.attrValues cfg.extraLocaleSettings ++ map withoutCharset cfg.supportedLocales);
  withoutCharset = locale: lib.head (lib.splitString "/" locale);
  builtin = [
    "C"
    "POSIX"
    "C.UTF-8"
    "C.utf8"
    "all"
  ];
in
{
  options.i18n = {
    defaultLocale = mkOption {
      type = types.str;
      default = "C.UTF-8";
      example = "nl_NL.UTF-8";
      description = ''
        The locale of everything that asks for none. C.UTF-8 comes with the C library; any other brings Debian's `locales-all`
        (230 MB) into the image, which is why the default is not NixOS's en_US.UTF-8.
      '';
    };
    extraLocaleSettings = mkOption {
      type = types.attrsOf types.str;
      default = { };
      example = {
        LC_TIME = "de_DE.UTF-8";
      };
      description = "LC_* variables that differ from the default locale.";
    };
    supportedLocales = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "en_US.UTF-8/UTF-8" ];
      description = "More locales that programs may ask for.";
    };
    glibcLocales = mkOption {
      type = types.nullOr types.package;
      internal = true;
      readOnly = true;
      default = if lib.subtractLists builtin used == [ ] then null else pkgs.glibcLocales;
      description = "The package that holds the locales in use.";
    };
  };
  config = {
    environment.systemPackages = lib.optional (cfg.glibcLocales != null) cfg.glibcLocales;
    environment.sessionVariables = {
      LANG = cfg.defaultLocale;
    }
    // cfg.extraLocaleSettings;
    environment.etc."locale.conf".text = ''
      LANG=${cfg.defaultLocale}
    ''
    + lib.concatStrings (lib.mapAttrsToList (name: value: "${name}=${value}\n") cfg.extraLocaleSettings);
  };
}
