"""What a request may ask for, as query parameters or as fields of its form."""

from collections.abc import Mapping
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlffm_segdiff.segmenters.at_source import THRESHOLD
from mlffm_segdiff.serve.problem import NOT_ACCEPTABLE, UNUSABLE, RefusedError

MOST_STEPS = 50
MOST_SAMPLES = 32

Format = Literal["json", "png", "dicom"]
FORMATS: dict[str, Format] = {"application/json": "json", "image/png": "png", "application/dicom": "dicom"}


class MeasureOptions(BaseModel):
    """What holds for a picture and its mask."""

    model_config = ConfigDict(extra="forbid")

    mm_per_pixel: float | None = Field(
        None,
        gt=0,
        le=1000,
        allow_inf_nan=False,
        description="Millimetres a pixel; a DICOM file's own spacing holds unless this is given.",
    )


class SegmentOptions(MeasureOptions):
    """How a picture is segmented, and how it is answered."""

    threshold: float = Field(THRESHOLD, gt=0, le=1, description="A pixel is lesion from this probability.")
    steps: int | None = Field(None, ge=1, le=MOST_STEPS, description="Denoising steps; default the weights'.")
    samples: int | None = Field(
        None, ge=1, le=MOST_SAMPLES, description="Samples; 2 or more give a spread; default the weights'."
    )
    format: Format | None = Field(None, description="Goes before the header Accept; default json.")
    maps: bool = Field(False, description="JSON: add the maps, at the network's size.")
    preview: bool = Field(False, description="JSON: add the picture as a browser can show it.")
    name: str = Field(
        "",
        max_length=255,
        description="The file's name, where the body is the file; the noise is drawn by it.",
    )


Options = TypeVar("Options", bound=BaseModel)


def with_fields(options: Options, fields: Mapping[str, str]) -> Options:
    """Return the query's options with the form's fields in their place. Raises RefusedError for a bad one."""
    try:
        return type(options).model_validate(options.model_dump(exclude_unset=True) | dict(fields))
    except ValidationError as error:
        first = error.errors()[0]
        raise bad_option(".".join(map(str, first["loc"])), first["msg"]) from None


def bad_option(name: str, message: str) -> RefusedError:
    """Return the refusal of an option. message: pydantic's."""
    detail = f"{name}: {message[:1].lower()}{message[1:]}"
    return RefusedError(UNUSABLE, detail, "see the parameters in openapi.json")


def answer_format(wanted: Format | None, accept: str) -> Format:
    """Return the format asked for, by name or by the header Accept, in which the highest q is taken.

    Raises RefusedError where Accept names none that there is.
    """
    if wanted is not None:
        return wanted
    ranges = [part.strip() for part in accept.split(",") if part.strip()] or ["*/*"]
    for kind in sorted(ranges, key=_quality, reverse=True):
        media = kind.partition(";")[0].strip().lower()
        for known, format_ in FORMATS.items():
            if _quality(kind) > 0 and media in (known, "*/*", f"{known.partition('/')[0]}/*"):
                return format_
    mend = f"ask for one of {', '.join(FORMATS)}"
    raise RefusedError(NOT_ACCEPTABLE, f"no answer in {accept!r} is made here", mend)


def _quality(media_range: str) -> float:
    for parameter in media_range.split(";")[1:]:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
