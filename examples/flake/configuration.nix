{ modulesPath, pkgs, ... }: {
  imports = [ "${modulesPath}/virtualisation/amazon-image.nix" ];
  networking.hostName = "flake-01";
  services.nginx.enable = true;
  networking.firewall.allowedTCPPorts = [ 80 ];
  environment.systemPackages = [ pkgs.jq ];
  system.stateVersion = "25.11";
}
