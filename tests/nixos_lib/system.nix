# A configuration evaluated by Invar's own lib and module files, with packages that are only names: by Invar with its
# native module system, or, given `reference`, by any Nix with the module system in that file.
{
  root,
  reference ? null,
  modules,
}:
let
  scope = {
    import = load;
    builtins = builtins // {
      import = load;
      invarModules = import reference;
    };
  };
  load = if reference == null then import else scopedImport scope;
  lib = load (root + "/lib");

  package = name: outPath: {
    type = "derivation";
    inherit name outPath;
    pname = name;
    version = "17.1";
    psqlSchema = "17";
    shellPath = "/bin/${name}";
    debian = [ name ];
    kernel.debian = [ name ];
    meta.mainProgram = name;
  };
  named = name: package name "/nix/store/${builtins.substring 0 32 (builtins.hashString "sha256" name)}-${name}";
  written = name: text: package name "${builtins.toFile name text}";
  pkgs =
    lib.genAttrs [
      "awscli2" "libpam-systemd" "bash" "bashInteractive" "ca-certificates" "coreutils" "dbus" "findutils" "gawk" "gnugrep" "gnused" "gnutar" "gzip" "hostname" "iproute2" "iputils" "kmod" "less" "login" "mount" "nano" "ncurses" "netbase" "passwd" "procps" "shadow" "su" "systemd-resolved" "systemd-timesyncd" "util-linux" "udev" "xz" "btrfs-progs" "cacert" "curl" "dosfstools" "e2fsprogs" "fdisk" "git" "glibcLocales" "htop" "jq"
      "linuxPackages" "linuxPackages_cloud" "logrotate" "nfs-utils" "nftables" "nginx" "openssh" "postgresql"
      "postgresql_17" "python3" "sudo" "systemd" "tzdata" "vim" "xfsprogs" "zsh" "zstd"
    ] named
    // {
      writeText = written;
      writeTextDir = written;
      writeScript = written;
      writeShellScript = written;
      formats = load (root + "/formats.nix") {
        inherit lib;
        writeText = written;
      };
    };
in
load (root + "/eval-config.nix") {
  inherit lib;
  modulesPath = toString (root + "/modules");
} { inherit modules pkgs; }
