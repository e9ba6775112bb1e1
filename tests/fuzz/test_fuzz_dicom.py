"""Damaged DICOM files of seven transfer syntaxes, through `predict` and into DICOM SEG."""

from collections.abc import Callable
from pathlib import Path
from random import Random

from fuzz.campaign import Reader
from fuzz.drawn import deflated_dicom, dicom_files
from fuzz.mutators import damage_bytes, lie_about_length
from fuzz.predicting import Predicted
from fuzz.sizes import sizes


class Dicom(Predicted):
    """DICOM files."""

    name = "dicom"
    write = ()

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.seeds, self.others = dicom_files(), deflated_dicom()

    def damage(self, rng: Random, data: bytes, other: bytes) -> bytes:
        """Damage mostly the data set's header, behind the preamble, which would hide the file's kind."""
        if rng.random() < 0.2:
            return damage_bytes(rng, data, other)
        preamble, header, rest = data[:132], data[132:1200], data[1200:]
        header = (
            lie_about_length(rng, header, other) if rng.random() < 0.3 else damage_bytes(rng, header, header)
        )
        return preamble + header + rest


@sizes(0.2)
def test_damaged_dicom_files_never_break_predict(
    count: int, campaign: Callable[[Reader, int], None], tmp_path: Path
) -> None:
    campaign(Dicom(tmp_path), count)
