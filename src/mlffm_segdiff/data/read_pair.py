"""Read the image and the mask of a case: what is fit for training, checking, evaluation and export."""

from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Case
from mlffm_segdiff.data.files import decode_pil, image_size, read_mask
from mlffm_segdiff.data.mask_values import MaskPixels, NotAMaskError

Size = tuple[int, int]

MISSING_MASK = "missing mask"
UNREADABLE = "unreadable file"
NOT_A_MASK = "not a mask"
SIZE_MISMATCH = "image and mask differ in size"


class UnfitCaseError(UserError):
    """A case that cannot be used.

    Attributes:
        kind: MISSING_MASK, UNREADABLE, NOT_A_MASK or SIZE_MISMATCH.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def read_pair(case: Case) -> tuple[Image.Image, MaskPixels]:
    """Decode the image, as RGB, and the mask of a case.

    Raises:
        UnfitCaseError: If the mask is missing, a file cannot be read, the mask is not understood, or the
            sizes differ.
    """
    image = read_image(case)
    return image, read_mask_of(case, image)


def read_image(case: Case) -> Image.Image:
    """Decode the image of a case as RGB. Raises UnfitCaseError if it cannot be read."""
    try:
        return decode_pil(case.image.read(), str(case.image))
    except UserError as error:
        raise UnfitCaseError(UNREADABLE, str(error)) from error


def read_mask_of(case: Case, image: Image.Image) -> MaskPixels:
    """Decode the mask of a case, whose image is given. Raises UnfitCaseError as `read_pair`."""
    if case.mask is None:
        raise UnfitCaseError(MISSING_MASK, f"{case.id} has no mask; add it or remove the case from the split")
    try:
        mask = read_mask(case.mask.read(), str(case.mask))
    except NotAMaskError as error:
        raise UnfitCaseError(NOT_A_MASK, str(error)) from error
    except UserError as error:
        raise UnfitCaseError(UNREADABLE, str(error)) from error
    height, width = mask.lesion.shape
    if (width, height) != image.size:
        sizes = f"{case.id}: image {image.width}x{image.height}, mask {width}x{height}"
        raise UnfitCaseError(SIZE_MISMATCH, sizes + _cause_and_fix(case, image.size, (width, height)))
    return mask


def _cause_and_fix(case: Case, image_upright: Size, mask_upright: Size) -> str:
    """Return why the sizes of a pair differ, if EXIF orientation turns only one, and how to correct it."""
    assert case.mask is not None
    image_turned = image_size(case.image.read(), str(case.image)) != image_upright
    mask_turned = image_size(case.mask.read(), str(case.mask)) != mask_upright
    if image_upright != mask_upright[::-1] or image_turned == mask_turned:
        return "; save the mask at the size of its image"
    one, other = ("image", "mask") if image_turned else ("mask", "image")
    return (
        f", because EXIF orientation turns only the {one} by 90 degrees; "
        f"turn the {other} too, or remove the orientation of the {one}"
    )
