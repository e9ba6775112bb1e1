"""Warnings of the packages that decode images."""

import warnings


def ignore_decoder_warnings() -> None:
    """Silence the warnings of image decoders, which may print the file's path or a patient's data.

    For programs of this package only: another program decides about its own warnings.
    """
    for package in ("PIL", "pydicom", "highdicom"):
        warnings.filterwarnings("ignore", module=rf"{package}\.")
