# programs.NAME.enable for programs that need nothing but to be installed.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  names = [
    "git"
    "htop"
    "iotop"
    "mosh"
    "mtr"
    "screen"
    "tmux"
    "traceroute"
    "vim"
    "zsh"
  ];
in
{
  options.programs = lib.genAttrs names (name: {
    enable = lib.mkEnableOption name;
    package = lib.mkPackageOption pkgs name { };
  });
  config.environment.systemPackages = lib.concatMap (
    name: lib.optional config.programs.${name}.enable config.programs.${name}.package
  ) names;
}
