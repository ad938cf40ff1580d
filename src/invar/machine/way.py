"""How this machine gets from the system that it runs to another one: live, by a soft-reboot, or by a reboot. Pure."""

from __future__ import annotations

from typing import Literal

from invar.machine.generations import Generation

Way = Literal["live", "soft-reboot", "reboot"]
"""live: /etc and /nix are exchanged. soft-reboot: the kernel stays, everything above it starts anew from other layers
(systemd-soft-reboot.service(8)). reboot: through firmware and boot loader."""

_LAYERS = ("invar.packages=", "invar.config=")


def way_to(target: Generation, started: Generation, running_cmdline: str, *, same_programs: bool) -> Way:
    """The least that takes a machine to `target`.

    `started` is what its layers are mounted of, `running_cmdline` the kernel's own. `same_programs`: what is neither in
    /etc nor in /nix of the target's config layer is what the started one has.
    """
    if (target.kernel_sha256, target.initrd_sha256) != (started.kernel_sha256, started.initrd_sha256):
        return "reboot"
    if target.packages.root_hash == started.packages.root_hash and same_programs:
        return "live"
    return "soft-reboot" if parameters_of(target.cmdline) == parameters_of(running_cmdline) else "reboot"


def parameters_of(cmdline: str) -> tuple[str, ...]:
    """The parameters of a command line that are the configuration's: not those that name layers."""
    return tuple(word for word in cmdline.split() if not word.startswith(_LAYERS))
