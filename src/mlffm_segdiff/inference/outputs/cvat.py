"""All images of a run as one XML file of CVAT ("CVAT for images 1.1")."""

import re
from itertools import chain
from typing import ClassVar
from xml.sax.saxutils import quoteattr

from mlffm_segdiff.files.atomic import write_parts
from mlffm_segdiff.inference.masks import lesion_box, run_lengths
from mlffm_segdiff.inference.outputs.predictions import Row
from mlffm_segdiff.inference.outputs.spool import Spool
from mlffm_segdiff.inference.outputs.writers import Kept, Output, Writer
from mlffm_segdiff.inference.result import CaseResult
from mlffm_segdiff.metrics.overlap import Mask

LABEL = "lesion"

_HEAD = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
<version>1.1</version>
<meta><task><size>{count}</size><mode>annotation</mode>
<labels><label><name>lesion</name><type>any</type><attributes></attributes></label></labels></task></meta>
"""
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class CvatWriter(Writer):
    """cvat.xml: the images in their order, each with one mask if it has a lesion."""

    run_files: ClassVar = ("cvat.xml",)

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self._images = Spool()

    def write(self, result: CaseResult) -> Kept:
        """Encode the mask."""
        height, width = result.mask.shape
        size = f'width="{width}" height="{height}"'
        return {"name": result.image.name, "size": size, "mask": mask_element(result.mask)}

    def add_row(self, row: Row, kept: Kept) -> None:
        """Number an image that was written."""
        del row
        if kept is not None:
            name = quoteattr(_NOT_XML.sub("\ufffd", kept["name"]))
            start = f'<image id="{len(self._images)}" name={name} {kept["size"]}>'
            self._images.add(f"{start}\n{kept['mask']}</image>\n")

    def close(self) -> None:
        """Write the file."""
        parts = chain([_HEAD.format(count=len(self._images))], self._images, ["</annotations>\n"])
        write_parts(self.output.folder / self.run_files[0], parts)


def mask_element(mask: Mask) -> str:
    """Return a mask (HxW bool) as an element of CVAT, with its holes and components; empty without a lesion.

    The runs of skin and lesion alternate along the rows of the mask's box, skin first.
    """
    if not mask.any():
        return ""
    rows, columns = lesion_box(mask)
    lengths = ", ".join(map(str, run_lengths(mask[rows, columns].ravel())))
    return (
        f'<mask label="{LABEL}" source="auto" occluded="0" rle="{lengths}" '
        f'left="{columns.start}" top="{rows.start}" width="{columns.stop - columns.start}" '
        f'height="{rows.stop - rows.start}" z_order="0"></mask>\n'
    )
