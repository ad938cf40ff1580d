# A kernel that gives less away, at some cost in speed and convenience.
{ lib, ... }:
let
  inherit (lib) mkDefault mkOverride;
in
{
  boot.kernelParams = [
    "slab_nomerge"
    "page_poison=1"
    "page_alloc.shuffle=1"
    "debugfs=off"
    "init_on_alloc=1"
    # Root may not change the running kernel; modules need the kernel's own signature (kernel_lockdown(7)).
    "lockdown=integrity"
  ];
  boot.blacklistedKernelModules = [
    # Network protocols that hardly anybody uses.
    "ax25"
    "netrom"
    "rose"
    # File systems likewise.
    "adfs"
    "affs"
    "bfs"
    "befs"
    "cramfs"
    "efs"
    "exofs"
    "freevxfs"
    "f2fs"
    "hfs"
    "hpfs"
    "jfs"
    "minix"
    "nilfs2"
    "omfs"
    "qnx4"
    "qnx6"
    "sysv"
    "ufs"
  ];
  boot.kernel.sysctl = {
    "kernel.yama.ptrace_scope" = mkOverride 500 1;
    "kernel.kptr_restrict" = mkOverride 500 2;
    "kernel.unprivileged_bpf_disabled" = mkOverride 500 1;
    "kernel.ftrace_enabled" = mkDefault false;
    "net.core.bpf_jit_enable" = mkDefault false;
    "net.ipv4.conf.all.log_martians" = mkDefault true;
    "net.ipv4.conf.all.rp_filter" = mkDefault "1";
    "net.ipv4.conf.default.log_martians" = mkDefault true;
    "net.ipv4.conf.default.rp_filter" = mkDefault "1";
    "net.ipv4.icmp_echo_ignore_broadcasts" = mkDefault true;
    "net.ipv4.conf.all.accept_redirects" = mkDefault false;
    "net.ipv4.conf.all.secure_redirects" = mkDefault false;
    "net.ipv4.conf.default.accept_redirects" = mkDefault false;
    "net.ipv4.conf.default.secure_redirects" = mkDefault false;
    "net.ipv6.conf.all.accept_redirects" = mkDefault false;
    "net.ipv6.conf.default.accept_redirects" = mkDefault false;
    "net.ipv4.conf.all.send_redirects" = mkDefault false;
    "net.ipv4.conf.default.send_redirects" = mkDefault false;
  };
}
