# The argument `utils` that NixOS gives to modules.
{ lib, ... }:
{
  _module.args.utils = {
    inherit (lib) escapeSystemdExecArg escapeSystemdExecArgs escapeSystemdPath;
    removePackagesByName = packages: unwanted: lib.filter (package: !(lib.elem (lib.getName package) (map lib.getName unwanted))) packages;
    toShellPath = shell: if lib.isDerivation shell then "/usr${shell.shellPath}" else toString shell;
  };
}
