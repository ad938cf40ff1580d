{ config, pkgs, ... }:
let
  line = "role ${config.invar.parameters.role}";
in
{
  services.nginx = {
    enable = true;
    virtualHosts."_" = {
      default = true;
      root = pkgs.writeTextDir "index.html" "${line}\n";
    };
  };
  networking.firewall.allowedTCPPorts = [ 80 ];
  invar.checks.page = {
    timeout = 60;
    http = {
      port = 80;
      body = line;
    };
  };
}
