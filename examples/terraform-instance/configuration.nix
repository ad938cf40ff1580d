# User data: what this instance is, on top of its image. On the instance ./configuration.nix is the image's own.
{ lib, pkgs, ... }:
let
  greeting = "configured by user data";
in
{
  imports = [ ./configuration.nix ];

  services.nginx.virtualHosts."_".root = lib.mkForce (pkgs.writeTextDir "index.html" ''
    <!DOCTYPE html>
    <title>production-web</title>
    <p>${greeting}</p>
  '');

  # The image's check looks for the image's page; with this one, user data that breaks the page is taken back.
  invar.checks.web.http.body = lib.mkForce greeting;
}
