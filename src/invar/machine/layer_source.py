"""Where the bytes of a layer are: a file that this instance keeps, or the partition that the image came with."""

from __future__ import annotations

from pathlib import Path

from invar.core.errors import InvarError
from invar.machine import active, state
from invar.machine.disk import partition
from invar.machine.generations import LayerRecord


def find_layer(layer: LayerRecord) -> Path:
    """The file or device that holds a layer. Raises InvarError when it is nowhere.

    Whether the bytes are the layer's is for dm-verity to find out.
    """
    kept = state.LAYERS / layer.file_name
    if kept.exists():
        return kept
    device = partition(f"invar-{layer.kind}")
    if device is None:
        raise InvarError(f"the {layer.kind} layer {layer.root_hash[:12]} is not on this machine", where=str(kept))
    return device


def is_file(layer: LayerRecord) -> bool:
    """Whether its bytes are in a file, as against a partition."""
    return (state.LAYERS / layer.file_name).exists()


def image_of(layer: LayerRecord) -> Path:
    """As `find_layer`; for the config layer that was started, which is mounted, the place where that is."""
    return state.CONFIG_ROOT if active.started().layers["config"][0] == layer.root_hash else find_layer(layer)
