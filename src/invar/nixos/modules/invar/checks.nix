# What must hold on a machine that runs the system: told to `invar check`, and waited for when it boots.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.invar.checks;
  httpOptions = {
    options = {
      port = mkOption {
        type = types.port;
        default = 80;
        description = "The port.";
      };
      path = mkOption {
        type = types.strMatching "/.*";
        default = "/";
        description = "The path that is asked for.";
      };
      status = mkOption {
        type = types.ints.between 100 599;
        default = 200;
        description = "The status of the answer.";
      };
      body = mkOption {
        type = types.nullOr types.str;
        default = null;
        description = "Text that the answer contains.";
      };
    };
  };
  checkOptions = {
    options = {
      unit = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "nginx.service";
        description = "A unit that is active.";
      };
      tcp = mkOption {
        type = types.nullOr types.port;
        default = null;
        example = 22;
        description = "A port that accepts connections, asked from outside.";
      };
      http = mkOption {
        type = types.nullOr (types.submodule httpOptions);
        default = null;
        example = {
          port = 80;
          body = "It works";
        };
        description = "A web server's answer, asked from outside.";
      };
      command = mkOption {
        type = types.nullOr (types.either types.str (types.nonEmptyListOf types.str));
        default = null;
        example = [
          "psql"
          "-c"
          "select 1"
        ];
        description = "A program that ends with status 0, run on the machine; text is given to a shell.";
      };
      user = mkOption {
        type = types.str;
        default = "root";
        description = "As whom the program runs.";
      };
      timeout = mkOption {
        type = types.ints.positive;
        default = 120;
        description = "How long to wait until the check holds, in seconds.";
      };
    };
  };
  ways =
    check:
    lib.filter (way: check.${way} != null) [
      "unit"
      "tcp"
      "http"
      "command"
    ];
  # The record `Check` of src/invar/system/record.py.
  record =
    name: check:
    {
      inherit name;
      inherit (check) timeout user;
      kind = lib.head (ways check);
      unit = if check.unit == null then null else if lib.hasInfix "." check.unit then check.unit else "${check.unit}.service";
      port = if check.http != null then check.http.port else check.tcp;
      path = if check.http != null then check.http.path else null;
      status = if check.http != null then check.http.status else null;
      body = if check.http != null then check.http.body else null;
      command =
        if check.command == null then
          [ ]
        else if lib.isString check.command then
          [
            "/bin/sh"
            "-c"
            check.command
          ]
        else
          check.command;
    };
in
{
  options.invar.checks = mkOption {
    type = types.attrsOf (types.submodule checkOptions);
    default = { };
    example = lib.literalExpression ''{ web.http = { port = 80; body = "Welcome"; }; database.unit = "postgresql"; }'';
    description = "Checks by name, each of one kind: `unit`, `tcp`, `http` or `command`.";
  };
  config.system.build.checks = lib.mapAttrsToList record cfg;
  # What the machine itself looks at (src/invar/machine/checks.py).
  config.environment.etc."invar/checks.json".text = builtins.toJSON config.system.build.checks;
  config.assertions = lib.mapAttrsToList (name: check: {
    assertion = lib.length (ways check) == 1;
    message = "invar.checks.${name}: set exactly one of unit, tcp, http and command.";
  }) cfg;
}
