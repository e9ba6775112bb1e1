"""What a request may ask for, as query parameters or as fields of its form."""

from collections.abc import Mapping
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlffm_segdiff.inference.postprocessing import PostProcessing
from mlffm_segdiff.segmenters.at_source import THRESHOLD
from mlffm_segdiff.segmenters.sampling import SamplingChoices
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
    samples: int | None = Field(
        None,
        ge=0,
        le=MOST_SAMPLES,
        description="Samples to draw; 2 or more give a spread. 0: the posterior mean in one step. "
        "Default: the weights' own, usually 0.",
    )
    steps: int | None = Field(
        None,
        ge=1,
        le=MOST_STEPS,
        description="Denoising steps of a sample; needs samples. Default: the weights' own.",
    )
    style: str | None = Field(
        None,
        max_length=64,
        description="Annotation style: any, or one of the styles in /api/v1/about. "
        "Default: the weights' own, usually any.",
    )
    mirror: bool | None = Field(
        None,
        description="Average over the picture and its three mirror images; four times as long. "
        "Default: the weights' own, usually false.",
    )
    second_look: bool | None = Field(
        None,
        description="Segment the found lesion again, enlarged, and merge; up to twice as long. Not with "
        "samples. Default: the weights' own, usually false.",
    )
    keep_specks: bool = Field(
        False, description="Keep components of the mask smaller than 0.1 % of the lesion's area."
    )
    largest: bool = Field(False, description="Keep only the largest component of the mask.")
    fill_holes: bool = Field(False, description="Fill holes in the mask.")
    format: Format | None = Field(None, description="Goes before the header Accept; default json.")
    maps: bool = Field(
        False, description="JSON: add the maps, at the network's size or finer after a second look."
    )
    preview: bool = Field(False, description="JSON: add the picture as a browser can show it.")
    name: str = Field(
        "",
        max_length=255,
        description="The file's name, where the body is the file; the answer repeats it.",
    )

    @property
    def sampling(self) -> SamplingChoices:
        """What is asked for of the sampling."""
        return {
            "samples": self.samples,
            "steps": self.steps,
            "style": self.style,
            "mirror": self.mirror,
            "second_look": self.second_look,
        }

    @property
    def post(self) -> PostProcessing:
        """The post-processing of the mask."""
        return PostProcessing(self.keep_specks, self.largest, self.fill_holes)


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
