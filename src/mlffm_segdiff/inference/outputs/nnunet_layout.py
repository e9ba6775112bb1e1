"""Images and masks in the raw layout of nnU-Net v2."""

from pathlib import Path
from typing import ClassVar

from mlffm_segdiff.data.datasets.nnunet_export import image_path, label_image, label_path, write_dataset
from mlffm_segdiff.data.datasets.nnunet_raw import DATASET_FILE, TEST
from mlffm_segdiff.files.atomic import atomic_write
from mlffm_segdiff.inference.outputs.image_file import save_image
from mlffm_segdiff.inference.outputs.writers import Writer
from mlffm_segdiff.inference.result import CaseResult

FOLDER = "nnunet"


class NnunetWriter(Writer):
    """nnunet/ with imagesTs, labelsTs and dataset.json."""

    needs_image = True
    run_files: ClassVar = (f"{FOLDER}/{DATASET_FILE}",)

    def case_files(self, stem: str) -> tuple[str, ...]:
        """Return the files of image and mask."""
        return tuple(path(Path(FOLDER), TEST, stem).as_posix() for path in (image_path, label_path))

    def write(self, result: CaseResult) -> None:
        """Write the image in RGB and the mask as 0 and 1."""
        image, label = self.paths(result.image.stem)
        save_image(result.image.full_size, image)
        save_image(label_image(result.mask), label)

    def close(self) -> None:
        """Write dataset.json."""
        with atomic_write(self.output.folder / self.run_files[0]) as temporary:
            write_dataset(temporary, "predictions", 0)
