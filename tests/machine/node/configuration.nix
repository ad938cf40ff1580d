# An instance that serves its role, and is checked for that.
{ lib, modulesPath, ... }:
{
  imports = [
    "${modulesPath}/virtualisation/amazon-image.nix"
    ./page.nix
  ];
  invar.parameters.role = lib.mkDefault "baked";
  invar.proof.http.enable = true;
  virtualisation.diskSize = 3072;
}
