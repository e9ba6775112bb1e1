"""napari: adds the mask of each RGB image as a labels layer, from a running `mlffm-segdiff serve`.

    mlffm-segdiff serve --port 8000
    python napari_masks.py lesion.jpg other.jpg

Correct the layer with napari's brush, and save it with File, Save Selected Layers.
"""

import io
import sys
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import numpy.typing as npt
from PIL import Image

SERVER = "http://127.0.0.1:8000"
SECONDS = 100


def segment(
    pixels: npt.NDArray[np.uint8], server: str = SERVER, key: str = "", **options: object
) -> npt.NDArray[np.uint8]:
    """Return the mask of an image (HxWx3 or HxWx4) as HxW: 1 on the lesion, 0 elsewhere.

    Args:
        pixels: The image.
        server: Address of the server.
        key: Its API key, if it has one.
        options: Options of the server, such as threshold=0.4.
    """
    stream = io.BytesIO()
    Image.fromarray(pixels).convert("RGB").save(stream, "PNG")
    query = "&".join(f"{name}={value}" for name, value in options.items())
    headers = {"Content-Type": "image/png", "Accept": "image/png"}
    headers |= {"X-API-Key": key} if key else {}
    request = Request(f"{server.rstrip('/')}/api/v1/segment?{query}", stream.getvalue(), headers)
    with urlopen(request, timeout=SECONDS) as answer:
        mask = np.asarray(Image.open(io.BytesIO(answer.read())))
    return (mask > 0).astype(np.uint8)


def add_lesions(viewer: Any, server: str = SERVER, key: str = "", **options: object) -> list[Any]:
    """Add a labels layer for each RGB image of a viewer, and return the new layers."""
    images = [layer for layer in viewer.layers if getattr(layer, "rgb", False)]
    return [
        viewer.add_labels(
            segment(np.asarray(layer.data), server, key, **options), name=f"{layer.name} lesion"
        )
        for layer in images
    ]


if __name__ == "__main__":
    import napari

    window = napari.Viewer()
    for path in sys.argv[1:]:
        window.add_image(np.asarray(Image.open(path).convert("RGB")), name=path, rgb=True)
    add_lesions(window)
    napari.run()
