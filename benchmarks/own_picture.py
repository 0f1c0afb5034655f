"""Draw a photograph, its phase, and what is reconstructed from it unpadded and padded twofold.

python benchmarks/own_picture.py docs/images/own-picture.png
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

import phasegan
from phasegan.plotting.sheet import contact_sheet, image_tile, phase_tile


def main(target: str) -> None:
    """Write the picture, in 256 colours."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coffee.png"
        Image.fromarray(data.coffee()).resize((360, 240), Image.Resampling.LANCZOS).save(path)
        results = [
            phasegan.reconstruct(path, preprocessing={"oversample": ratio}) for ratio in (1, 2)
        ]
    plain, padded = results
    assert padded.certified.all()
    assert plain.references is not None
    tiles = [
        image_tile(plain.references[0], 255),
        phase_tile(plain.phase[0], plain.frame),
        *(image_tile(result.estimate[0], 255) for result in results),
    ]
    titles = ["original", "its phase", "from the phase", "from the phase, padded twofold"]
    errors = [np.mean((r.estimate.clip(0, 255) - r.references) ** 2) for r in results]
    captions = [
        "240×360 colour",
        "of the green channel",
        f"MSE {errors[0]:,.0f}",
        "certified exact",
    ]
    contact_sheet([tiles], titles, [captions]).quantize(256).save(target, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1])
