# Fixed numbers of users and groups. Debian's own static accounts keep Debian's numbers; everybody else's number follows from the name.
{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.ids = {
    uids = mkOption {
      type = types.attrsOf types.int;
      internal = true;
      description = "User ids that are the same on every system.";
    };
    gids = mkOption {
      type = types.attrsOf types.int;
      internal = true;
      description = "Group ids that are the same on every system.";
    };
  };
  config.ids = {
    uids = {
      root = 0;
      nobody = 65534;
    };
    gids = {
      root = 0;
      adm = 4;
      tty = 5;
      disk = 6;
      lp = 7;
      kmem = 15;
      dialout = 20;
      cdrom = 24;
      tape = 26;
      audio = 29;
      shadow = 42;
      utmp = 43;
      video = 44;
      users = 100;
      nogroup = 65534;
    };
  };
}
