# Values that differ from instance to instance and are not worth an image of their own: the user data's JSON gives them.
{ lib, ... }:
{
  options.invar.parameters = lib.mkOption {
    type = lib.types.attrsOf lib.types.anything;
    default = { };
    example = {
      role = "web";
      workers = 4;
    };
    description = ''
      Parameters of an instance, for the configuration to read as `config.invar.parameters`. User data such as
      `{"invar": {"parameters": {"role": "web"}}}` sets them; the configuration gives defaults with `lib.mkDefault`. They are part of
      the system: its digest follows from them, and secrets do not belong here.
    '';
  };
}
