# Options of EC2 images that other modules read as well.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options = {
    ec2 = {
      hvm = mkOption {
        type = types.bool;
        default = true;
        internal = true;
        description = "Whether the instance is fully virtualised. All are.";
      };
      efi = mkOption {
        type = types.bool;
        default = true;
        internal = true;
        description = "Whether the instance boots by UEFI. All of Invar's images do.";
      };
      zfs.enable = mkOption {
        type = types.bool;
        default = false;
        internal = true;
        description = "Whether the image is on ZFS: not possible, the root is an overlay of EROFS layers.";
      };
    };
    virtualisation.amazonImage.enable = mkOption {
      type = types.bool;
      default = false;
      internal = true;
      description = "Whether the system is an EC2 instance; set by virtualisation/amazon-image.nix.";
    };
  };
  config.assertions = [
    {
      assertion = config.ec2.hvm && config.ec2.efi && !config.ec2.zfs.enable;
      message = "ec2: Invar's images are for fully virtualised instances that boot by UEFI, without ZFS.";
    }
  ];
}
