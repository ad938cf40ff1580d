# What Debian starts by itself and an immutable server has no use for, and what a read-only root needs in its place.
{ lib, ... }:
{
  systemd.generators = lib.genAttrs [
    "nfs-server-generator"
    "openvpn-generator"
    "postgresql-generator"
    "rpc-pipefs-generator"
    "systemd-cryptsetup-generator"
    "systemd-getty-generator"
    "systemd-gpt-auto-generator"
    "systemd-hibernate-resume-generator"
    "systemd-integritysetup-generator"
    "systemd-rc-local-generator"
    "systemd-ssh-generator"
    "systemd-system-update-generator"
    "systemd-sysv-generator"
    "systemd-tpm2-generator"
    "systemd-veritysetup-generator"
  ] (_: lib.mkDefault "/dev/null");

  systemd.suppressedSystemUnits = [
    # They change packages or files of the root, or look after such changes.
    "apt-daily.service"
    "apt-daily.timer"
    "apt-daily-upgrade.service"
    "apt-daily-upgrade.timer"
    "dpkg-db-backup.service"
    "dpkg-db-backup.timer"
    "ldconfig.service"
    "man-db.service"
    "man-db.timer"
    "systemd-firstboot.service"
    "systemd-hwdb-update.service"
    "systemd-journal-catalog-update.service"
    "systemd-machine-id-commit.service"
    "systemd-sysusers.service"
    "systemd-update-done.service"
    # The root is neither checked nor remounted.
    "e2scrub_all.service"
    "e2scrub_all.timer"
    "e2scrub_reap.service"
    "quotaon-root.service"
    "systemd-fsck-root.service"
    "systemd-remount-fs.service"
    # Nobody sits at the machine; nothing sleeps.
    "getty-static.service"
    "getty@tty1.service"
    "systemd-ask-password-console.path"
    "systemd-ask-password-wall.path"
    "systemd-backlight@.service"
    "systemd-hibernate-clear.service"
    "systemd-rfkill.service"
    "systemd-rfkill.socket"
    # Interfaces that nothing here uses.
    "proc-sys-fs-binfmt_misc.automount"
    "proc-sys-fs-binfmt_misc.mount"
    "rpcbind.target"
    "sys-fs-fuse-connections.mount"
    "sys-kernel-config.mount"
    "sys-kernel-debug.mount"
    "sys-kernel-tracing.mount"
    "systemd-binfmt.service"
    "systemd-creds.socket"
    "systemd-initctl.socket"
    "systemd-network-generator.service"
    "systemd-pcrextend.socket"
    "systemd-pcrlock.socket"
    "systemd-pcrmachine.service"
    "systemd-pcrphase.service"
    "systemd-pcrphase-sysinit.service"
    "systemd-sysext.socket"
    "systemd-tpm2-setup.service"
    "systemd-tpm2-setup-early.service"
  ];

  environment.etc = {
    "default/locale".source = "/etc/locale.conf";

    # In the place of Debian's, which write into /etc.
    "tmpfiles.d/debian.conf".text = ''
      L /run/shm - - - - /dev/shm
      d /run/sendsigs.omit.d 0755 root root -
      d /run/lock 1777 root root -
    '';
    # /home and /srv are links to /var.
    "tmpfiles.d/home.conf".source = "/dev/null";
  };
}
