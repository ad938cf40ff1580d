"""Local machines that boot an image as an EC2 instance would: QEMU, console, metadata service, ssh and checks."""
