# A machine that nobody sits at: no terminals, and a reboot rather than a prompt when the boot fails.
{ lib, ... }:
{
  systemd.services."serial-getty@ttyS0".enable = lib.mkDefault false;
  systemd.services."serial-getty@hvc0".enable = false;
  systemd.services."getty@tty1".enable = false;
  systemd.services."autovt@".enable = false;
  systemd.enableEmergencyMode = false;
  boot.kernelParams = [
    "panic=1"
    "boot.panic_on_fail"
    "nomodeset"
  ];
}
