# An instance with two services: a page that changes, and an echo that must not notice.
{ modulesPath, pkgs, ... }:
{
  imports = [
    "${modulesPath}/virtualisation/amazon-image.nix"
    ./page.nix
  ];
  invar.parameters.role = pkgs.lib.mkDefault "baked";
  invar.boot.tries = 1;
  invar.boot.deadline = 150;
  systemd.settings.Manager.RuntimeWatchdogSec = "60s";
  virtualisation.diskSize = 3072;
  # For volumes that a later configuration declares.
  environment.systemPackages = [ pkgs.e2fsprogs ];

  networking.firewall.allowedTCPPorts = [ 7777 ];
  systemd.services.echo = {
    wantedBy = [ "multi-user.target" ];
    serviceConfig.ExecStart = "/usr/bin/python3 -u ${pkgs.writeText "echo.py" ''
      import socketserver
      class Echo(socketserver.StreamRequestHandler):
          def handle(self):
              for line in self.rfile:
                  self.wfile.write(line)
      socketserver.ThreadingTCPServer.allow_reuse_address = True
      socketserver.ThreadingTCPServer(("", 7777), Echo).serve_forever()
    ''}";
  };
  invar.checks.echo.tcp = 7777;
}
