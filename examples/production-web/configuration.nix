{ pkgs, modulesPath, ... }: {
  imports = [ "${modulesPath}/virtualisation/amazon-image.nix" ./web.nix ];
  # System Configuration
  networking.hostName = "production-web-01";
  services.openssh.enable = true;
  # Application Stack
  environment.systemPackages = with pkgs; [ nginx postgresql awscli2 ];
  # Security Hardening
  security.sudo.wheelNeedsPassword = false;
  users.users.deploy = {
    isNormalUser = true;
    extraGroups = [ "wheel" ];
    openssh.authorizedKeys.keys = [ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/XJSGBq4XdWXP5Cs5+Qs5KGbpq2IjLj8PR3oYQNxLF" ];
  };
}
