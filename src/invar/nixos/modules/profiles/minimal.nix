# As little as possible: no conveniences.
{ lib, ... }:
{
  environment.defaultPackages = lib.mkDefault [ ];
  invar.pathExcludes = [
    "/usr/share/doc/*"
    "/usr/share/info/*"
    "/usr/share/locale/*"
    "/usr/share/man/*"
  ];
}
