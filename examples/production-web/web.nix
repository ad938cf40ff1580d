# The services that answer, and what must hold on every machine that runs them.
{ pkgs, ... }:
let
  greeting = "production-web answers";
in
{
  services.nginx = {
    enable = true;
    virtualHosts."_" = {
      default = true;
      root = pkgs.writeTextDir "index.html" ''
        <!DOCTYPE html>
        <title>production-web</title>
        <p>${greeting}</p>
      '';
    };
  };
  services.postgresql.enable = true;
  networking.firewall.allowedTCPPorts = [ 80 ];

  invar.checks = {
    nginx.unit = "nginx";
    web.http = {
      port = 80;
      body = greeting;
    };
    postgresql.unit = "postgresql";
    database = {
      command = [ "psql" "-c" "select 1" ];
      user = "postgres";
    };
    ssh.tcp = 22;
  };
}
