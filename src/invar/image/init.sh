#!/bin/sh
# Finds both layers of the system, proves them by dm-verity, makes them / and hands over to systemd. They are partitions of
# a disk, or files: in /var, of a generation that the instance made itself (invar.files=); in the initrd (a kexec bundle) or
# on a medium (a live ISO), where /var is in memory.
# Fails loudly: when PID 1 exits the kernel panics, and `panic=` on its command line says what happens then.

export PATH=/bin:/usr/sbin DM_DISABLE_UDEV=1
set -f

DEADLINE=90
PATIENCE=2
MEDIUM_MARK=/.extra/credentials/invar-medium.cred
HANG_DEADLINE=600
STATE=/run/invar/state

say() {
    echo "<6>invar: $*" >/dev/kmsg
}

fail() {
    printf '\ninvar: this machine does not boot: %s\n\n' "$*" >/dev/console
    exit 1
}

mount_kernel_file_systems() {
    mount -t proc -o nosuid,nodev,noexec proc /proc &&
        mount -t sysfs -o nosuid,nodev,noexec sys /sys &&
        mount -t devtmpfs -o mode=755,nosuid dev /dev &&
        mount -t tmpfs -o mode=755,nosuid,nodev run /run || fail "the kernel's own file systems cannot be mounted"
}

# A driver of hardware that is not there may refuse to load; what is really missing shows when the disk is looked for.
load_modules() {
    while read -r module; do
        insmod "/lib/modules/$module" 2>/dev/null || say "module $module was not loaded"
    done <"$1"
}

read_command_line() {
    packages= config= files=
    read -r line </proc/cmdline
    for word in $line; do
        case $word in
        invar.packages=*:*:*) packages=${word#*=} ;;
        invar.config=*:*:*) config=${word#*=} ;;
        invar.files=*) files=${word#*=} ;;
        esac
    done
    [ "$packages" ] && [ "$config" ] || fail "the kernel command line does not say invar.packages= and invar.config="
}

# Sets packages_device, config_device and var_device to the partitions of the disk at $1 in /sys/block.
# No program is started: this runs many times while the disk is waited for.
find_partitions() {
    packages_device= config_device= var_device=
    set +f
    for uevent in "$1"/*/uevent; do
        name= label=
        while IFS='=' read -r key value; do
            case $key in
            DEVNAME) name=$value ;;
            PARTNAME) label=$value ;;
            esac
        done 2>/dev/null <"$uevent"
        case $label in
        invar-packages) packages_device=/dev/$name ;;
        invar-config) config_device=/dev/$name ;;
        invar-var) var_device=/dev/$name ;;
        esac
    done
    set -f
    [ "$packages_device" ] && [ "$config_device" ] && [ "$var_device" ]
}

# Sets disks to the disks that have all partitions.
find_disks() {
    disks=
    set +f
    for block in /sys/block/*; do
        find_partitions "$block" && disks="$disks $block"
    done
    set -f
    [ "$disks" ]
}

# The drivers of other hypervisors' disks are loaded only where the usual ones have found nothing for a while.
wait_for_disks() {
    read -r started rest </proc/uptime
    late=
    until find_disks; do
        read -r uptime rest </proc/uptime
        if [ ! "$late" ] && [ $((${uptime%.*} - ${started%.*})) -ge "$PATIENCE" ]; then
            late=loaded
            load_modules /etc/modules-late
        fi
        [ "${uptime%.*}" -lt "$DEADLINE" ] || fail "after $DEADLINE seconds there is no disk with the partitions" \
            "invar-packages, invar-config and invar-var; block devices: $(cd /sys/block && set +f && echo *)"
        usleep 20000
    done
}

# open_layer NAME ROOT:SALT:BLOCKS DEVICE: the hash tree lies behind the data on the same device.
open_layer() {
    blocks=${2##*:} salt=${2#*:}
    salt=${salt%:*}
    dmsetup create --readonly "invar-$1" --table \
        "0 $((blocks * 8)) verity 1 $3 $3 4096 4096 $blocks $blocks sha256 ${2%%:*} $salt" >/dev/kmsg 2>&1 &&
        mkdir -p "/run/invar/$1" &&
        mount -t erofs -o ro "/dev/mapper/invar-$1" "/run/invar/$1" 2>/dev/null
}

close_layers() {
    for layer in packages config; do
        umount "/run/invar/$layer" 2>/dev/null
        dmsetup remove "invar-$layer" 2>/dev/null
    done
}

# A device that never answers would hang the boot for ever: then the machine starts anew, and the boot loader counts.
watch_over() {
    (
        seconds=0
        while [ "$seconds" -lt "$HANG_DEADLINE" ]; do
            usleep 1000000
            seconds=$((seconds + 1))
        done
        printf '\ninvar: no system after %s seconds: restarting\n\n' "$HANG_DEADLINE" >/dev/console
        echo b >/proc/sysrq-trigger
    ) &
    watcher=$!
}

open_state() {
    [ -d "$STATE/lost+found" ] && return
    mkdir -p "$STATE"
    e2fsck -p "$var_device" >/dev/kmsg 2>&1
    [ $? -lt 4 ] || fail "the file system of /var on $var_device is damaged and e2fsck cannot mend it by itself"
    mount -t ext4 "$var_device" "$STATE" || fail "/var cannot be mounted from $var_device"
}

close_state() {
    umount "$STATE" 2>/dev/null
}

# locate_layer NAME ROOT:SALT:BLOCKS PARTITION: sets device to the layer's partition, or to a loop device on its file.
locate_layer() {
    device=$3
    case ,$files, in
    *,"$1",*) ;;
    *) return ;;
    esac
    open_state
    file=$STATE/lib/invar/layers/$1-${2%%:*}
    [ -e "$file" ] || return
    device=$(losetup -f) && losetup -r "$device" "$file"
}

# Of several disks, a rescued one beside the machine's own, the right one is that whose layers match the command line.
open_layers() {
    for disk in $disks; do
        find_partitions "$disk"
        locate_layer packages "$packages" "$packages_device" && open_layer packages "$packages" "$device" &&
            locate_layer config "$config" "$config_device" && open_layer config "$config" "$device" && return
        close_layers
        close_state
        say "the layers on ${disk##*/} are not those of the command line"
    done
    fail "no disk holds the layers whose root hashes are on the kernel command line, or they were altered" \
        "(looked at:$(for disk in $disks; do echo -n " ${disk##*/}"; done))"
}

# open_files DIRECTORY: the layers out of packages.img and config.img.
open_files() {
    losetup -r /dev/loop0 "$1/packages.img" && losetup -r /dev/loop1 "$1/config.img" &&
        open_layer packages "$packages" /dev/loop0 && open_layer config "$config" /dev/loop1 && return
    close_layers
    losetup -d /dev/loop0
    losetup -d /dev/loop1
    return 1
} 2>/dev/null

# Opens the layers on the first medium, a CD or a stick, that has those of the command line.
open_medium() {
    mkdir -p /run/invar/medium
    while :; do
        set +f
        for block in /sys/block/*; do
            case ${block##*/} in loop* | dm-*) continue ;; esac
            mount -t iso9660 -o ro "/dev/${block##*/}" /run/invar/medium 2>/dev/null || continue
            open_files /run/invar/medium && set -f && return
            umount /run/invar/medium
        done
        set -f
        read -r uptime rest </proc/uptime
        [ "${uptime%.*}" -lt "$DEADLINE" ] || fail "after $DEADLINE seconds there is no CD or stick with the layers" \
            "whose root hashes are on the kernel command line; block devices: $(cd /sys/block && set +f && echo *)"
        usleep 200000
    done
}

mount_root() {
    mount -t overlay -o ro,lowerdir=/run/invar/config:/run/invar/packages invar /sysroot ||
        fail "the layers cannot be put on top of each other"
}

mount_var() {
    if [ ! "$var_device" ]; then
        mount -t tmpfs -o mode=755 var /sysroot/var || fail "/var cannot be mounted"
        return
    fi
    open_state
    mount --move "$STATE" /sysroot/var || fail "/var cannot be moved into the system"
}

hand_over() {
    [ -x /sysroot/sbin/init ] || fail "the system has no /sbin/init"
    for place in dev proc sys run; do
        mount --move "/$place" "/sysroot/$place" || fail "/$place cannot be moved into the system"
    done
    kill "$watcher"
    exec switch_root /sysroot /sbin/init
}

mount_kernel_file_systems
watch_over
load_modules /etc/modules
read_command_line
var_device=
if [ -d /layers ]; then
    load_modules /etc/modules-late
    open_files /layers || fail "the layers in the initrd are not those of the command line, or were altered"
elif [ -e "$MEDIUM_MARK" ]; then
    load_modules /etc/modules-late
    open_medium
else
    wait_for_disks
    open_layers
fi
mount_root
mount_var
hand_over
