"""The variable file that tells Terraform which AMIs a configuration has: `images.auto.tfvars.json`.

One variable, `invar_images`: configuration → {system_digest, generation, amis: region → AMI id}.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from invar.core.errors import InvarError
from invar.fleet.publish import Published

VARIABLE = "invar_images"


def with_images(document: Any, published: Published) -> dict[str, Any]:
    """The file's content with this configuration's images; what else is in it stays. Raises ValueError."""
    images = document.get(VARIABLE, {}) if isinstance(document, dict) else None
    if not isinstance(images, dict):
        raise ValueError(f"it is not an object whose {VARIABLE} is an object")
    entry = {
        "amis": {region: image.id for region, image in sorted(published.images.items())},
        "generation": published.generation,
        "system_digest": published.system_digest,
    }
    return {**document, VARIABLE: dict(sorted({**images, published.configuration: entry}.items()))}


def write_tfvars(path: Path, published: Published) -> bool:
    """Put this configuration's images into the file. False, and nothing is written, when they are there already.

    Raises InvarError when the file holds something else, or cannot be written.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        before = path.read_text() if path.exists() else "{}"
        text = json.dumps(with_images(json.loads(before), published), indent=2, ensure_ascii=False) + "\n"
        if text == before:
            return False
        temporary.write_text(text)
        temporary.replace(path)
    except ValueError as error:
        raise InvarError(
            "this is no variable file of Terraform", where=str(path), why=str(error), hint="name another file"
        ) from error
    except OSError as error:
        raise InvarError("cannot write the variable file", where=str(path), why=error.strerror) from error
    finally:
        temporary.unlink(missing_ok=True)
    return True
