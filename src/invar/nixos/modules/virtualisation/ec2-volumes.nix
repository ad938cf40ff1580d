# EC2's names of NVMe volumes: /dev/sdf leads to the volume that was attached under that name (src/invar/machine/nvme_volume.py).
# A volume of the instance store is /dev/ephemeral0 and so on, where its controller tells.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  program = "/usr/bin/python3 -IBS /usr/lib/invar/invar/machine/nvme_volume.py";
  rule = type: kernel: model: link: ''
    KERNEL=="${kernel}", ENV{DEVTYPE}=="${type}", ATTRS{model}=="${model}*", PROGRAM="${program} /dev/%k", SYMLINK+="${link}"
  '';
  disk = model: rule "disk" "nvme[0-9]*n[0-9]*" model "%c";
in
{
  config = lib.mkIf (config.virtualisation.amazonImage.enable && config.invar.machine.enable) {
    environment.etc."udev/rules.d/70-ec2-volumes.rules".text =
      disk "Amazon Elastic Block Store"
      + disk "Amazon EC2 NVMe Instance Storage"
      + rule "partition" "nvme[0-9]*n[0-9]*p[0-9]*" "Amazon Elastic Block Store" "%c%n";
  };
}
