# What an instance learns from EC2: its name, root's keys, host keys and user data. Imported by amazon-image.nix.
# With Invar on the instance `invar init metadata` does it (src/invar/machine/init.py), else the shell script below.
#
# The metadata service is asked beside the boot, never before it: nothing that the boot waits for waits for the network. Where no
# service answers, the machine is not on EC2 and keeps what it has.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  takesHostName = config.networking.hostName == "";
  withInvar = config.invar.machine.enable;
  fetch = pkgs.writeScript "fetch-ec2-metadata" ''
    #!/bin/sh
    # Leaves in /run/ec2-metadata what the metadata service (IMDSv2) says, and applies it.
    set -eu
    umask 077
    service=http://169.254.169.254/latest
    found=/run/ec2-metadata

    # --retry covers the time until the interface has its address. Where the machine says that it is EC2's, a service there is;
    # elsewhere 25 s without an answer mean that there is none.
    patience=25
    if [ "$(cat /sys/class/dmi/id/sys_vendor 2>/dev/null)" = "Amazon EC2" ]; then patience=300; fi
    ask() {
      curl --silent --fail --connect-timeout 2 --max-time 5 --retry "$retries" --retry-delay 1 --retry-max-time "$patience" --retry-all-errors "$@"
    }

    retries=$patience
    if ! token=$(ask --request PUT --header 'X-aws-ec2-metadata-token-ttl-seconds: 600' "$service/api/token"); then
      echo "no metadata service answers: not on EC2" >&2
      exit 0
    fi
    retries=2
    get() {
      if ask --header "X-aws-ec2-metadata-token: $token" --output "$found/$2.new" "$service/$1"; then
        mv "$found/$2.new" "$found/$2"
      else
        rm -f "$found/$2.new"
      fi
    }
    get meta-data/instance-id instance-id
    get meta-data/ami-manifest-path ami-manifest-path
    get meta-data/hostname hostname
    get meta-data/public-keys/0/openssh-key public-keys-0-openssh-key
    get user-data user-data

    ${lib.optionalString takesHostName ''
      if [ -s "$found/hostname" ]; then
        name=$(cat "$found/hostname")
        echo "''${name%%.*}" > /proc/sys/kernel/hostname
      fi
    ''}
    if [ -s "$found/public-keys-0-openssh-key" ] && ! [ -e /var/root/.ssh/authorized_keys ]; then
      mkdir -p -m 0700 /var/root/.ssh
      cp "$found/public-keys-0-openssh-key" /var/root/.ssh/authorized_keys.new
      mv /var/root/.ssh/authorized_keys.new /var/root/.ssh/authorized_keys
    fi

    # SSH_HOST_ED25519_KEY:... and SSH_HOST_ED25519_KEY_PUB:... in user data, with | for the ends of lines.
    replaced=
    for type in ED25519 ECDSA RSA; do
      [ -s "$found/user-data" ] || break
      key=$(sed -n "s/^SSH_HOST_''${type}_KEY://p" "$found/user-data" | tr '|' '\n')
      public=$(sed -n "s/^SSH_HOST_''${type}_KEY_PUB://p" "$found/user-data")
      if [ -n "$key" ] && [ -n "$public" ]; then
        path=/var/lib/ssh/ssh_host_$(echo "$type" | tr A-Z a-z)_key
        mkdir -p /var/lib/ssh
        echo "$key" > "$path.new"
        if ! cmp -s "$path.new" "$path"; then
          echo "$public" > "$path.pub"
          mv "$path.new" "$path"
          replaced=yes
        fi
        rm -f "$path.new"
      fi
    done
    if [ -n "$replaced" ]; then systemctl --no-block try-reload-or-restart sshd.service; fi
    touch "$found/complete"
  '';
  printKeys = pkgs.writeScript "print-host-key" ''
    #!/bin/sh
    # Shows the host keys on the console, where EC2 keeps them for whoever wants to know the instance before connecting to it.
    set -eu
    # After a soft-reboot the kernel's command line is still that of the system before.
    line=/run/invar/started
    [ -e "$line" ] || line=/proc/cmdline
    digest=$(sed -n 's/.*invar\.digest=\([0-9a-f]*\).*/\1/p' "$line")
    for key in /var/lib/ssh/ssh_host_*_key.pub; do
      echo "invar: system $digest, host key $(ssh-keygen -l -f "$key")"
    done
    echo "-----BEGIN SSH HOST KEY FINGERPRINTS-----"
    for key in /var/lib/ssh/ssh_host_*_key.pub; do ssh-keygen -l -f "$key"; done
    echo "-----END SSH HOST KEY FINGERPRINTS-----"
    echo "-----BEGIN SSH HOST KEY KEYS-----"
    cat /var/lib/ssh/ssh_host_*_key.pub
    echo "-----END SSH HOST KEY KEYS-----"
  '';
in
{
  config = {
    environment.systemPackages = lib.optional (!withInvar) pkgs.curl;
    systemd.services.fetch-ec2-metadata = {
      description = "EC2 instance metadata";
      wantedBy = [ "multi-user.target" ];
      after = [
        "local-fs.target"
        "systemd-tmpfiles-setup.service"
        "systemd-networkd.service"
      ];
      conflicts = [ "shutdown.target" ];
      before = [ "shutdown.target" ];
      # Without default dependencies a target does not wait for what it wants.
      unitConfig.DefaultDependencies = false;
      restartIfChanged = false;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = if withInvar then "/usr/bin/invar init metadata" else "${fetch}";
        RuntimeDirectory = "ec2-metadata";
        RuntimeDirectoryMode = "0700";
        RuntimeDirectoryPreserve = true;
        TimeoutStartSec = 600;
      };
    };
    systemd.services.print-host-key = lib.mkIf config.services.openssh.enable {
      description = "SSH host keys on the console";
      wantedBy = [ "multi-user.target" ];
      after = [ "sshd-keygen.service" ];
      restartIfChanged = false;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "${printKeys}";
        StandardOutput = "journal+console";
      };
    };
  };
}
