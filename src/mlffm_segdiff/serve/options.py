"""The options of a request, as query parameters or as fields of its form."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from mlffm_segdiff.config.sampling_arguments import PREFIX, SAMPLING_KEYS
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.inference.analysis import Processing
from mlffm_segdiff.inference.outputs.writers import WRITERS
from mlffm_segdiff.inference.postprocessing import PostProcessing
from mlffm_segdiff.inference.prompt import Box, Prompt
from mlffm_segdiff.inference.reading.dicom import MAX_SPACING, MIN_SPACING
from mlffm_segdiff.metrics.certainty import THRESHOLD
from mlffm_segdiff.serve.problem import NOT_ACCEPTABLE, UNUSABLE, RefusedError

SERVED_LIMITS = {"samples": 32, "steps": 50}
"""Maximum of a sampling setting in a request; a recipe may have more."""
ATTRIBUTE = "sampling_"
RESPONSE = "response"

NUMBER = r"\d{1,6}(\.\d{1,6})?"
POINT = rf"{NUMBER},{NUMBER},[01]"

Format = Literal["json", "png", "dicom"]
FORMATS: dict[str, Format] = {"application/json": "json", "image/png": "png", "application/dicom": "dicom"}


class PixelOptions(BaseModel):
    """Known properties of an image's pixels."""

    model_config = ConfigDict(extra="forbid")

    mm_per_pixel: float | None = Field(
        None,
        ge=MIN_SPACING,
        le=MAX_SPACING,
        allow_inf_nan=False,
        description="Side of a pixel in millimetres, instead of the value in a DICOM file.",
    )


class MeasureOptions(PixelOptions):
    """Options of an image and its mask."""

    format: Literal["json", "dicom"] = Field(
        "json", description="Measures and contours, or the mask as a DICOM SEG of its DICOM image."
    )


def _sampling_parameters() -> Any:
    """Return a model with one optional parameter sampling.KEY for each sampling setting."""
    fields: dict[str, Any] = {}
    annotated: Any = Annotated
    for key, setting in SamplingConfig.model_fields.items():
        limits = [Field(le=SERVED_LIMITS[key])] if key in SERVED_LIMITS else []
        kind = annotated[(setting.annotation, *setting.metadata, *limits, None)] | None
        description = f"Sampling setting {key}, as in a recipe. Default: the server's own."
        fields[ATTRIBUTE + key] = kind, Field(None, alias=PREFIX + key, description=description)
    return create_model("SamplingParameters", __base__=PixelOptions, **fields)


class ProcessingOptions(_sampling_parameters()):  # type: ignore[misc]
    """How an image is segmented."""

    threshold: float = Field(THRESHOLD, gt=0, le=1, description="Probability threshold.")
    keep_specks: bool = Field(
        False, description="Keep components of the mask smaller than 0.1 % of the lesion's area."
    )
    largest: bool = Field(False, description="Keep only the largest component of the mask.")
    fill_holes: bool = Field(False, description="Fill holes in the mask.")
    level: float | None = Field(
        None,
        gt=0,
        lt=100,
        allow_inf_nan=False,
        description="Of intervals and contours, as a share (0.9) or in percent (90). Default: 0.9, or the "
        "highest that is calibrated.",
    )

    @property
    def sampling(self) -> dict[str, object]:
        """The sampling settings of the request, by key."""
        given = {key: getattr(self, ATTRIBUTE + key) for key in SAMPLING_KEYS}
        return {key: value for key, value in given.items() if value is not None}

    @property
    def processing(self) -> Processing:
        """How the segmentation becomes a mask."""
        post = PostProcessing(self.keep_specks, self.largest, self.fill_holes)
        return Processing(self.threshold, post, self.mm_per_pixel, level=self.level)


class SegmentOptions(ProcessingOptions):
    """How an image is segmented, what a user marked in it, and the format of the response."""

    box: str | None = Field(
        None,
        max_length=128,
        pattern=rf"^{NUMBER}(,{NUMBER}){{3}}$",
        description="The lesion's bounding box, x0,y0,x1,y1 in pixels: the network also sees the crop around "
        "it, and the mask is within it, but for points on the lesion.",
    )
    points: str | None = Field(
        None,
        max_length=2048,
        pattern=rf"^{POINT}(;{POINT})*$",
        description="x,y,label in pixels, separated by semicolons; label 1 is on the lesion, 0 is not.",
    )
    format: Format | None = Field(None, description="Overrides the header Accept; default json.")
    maps: bool = Field(
        False, description="JSON: add the maps, at the network's size or finer after a second look."
    )
    band: bool = Field(False, description="JSON: add the inner and outer contour.")
    preview: bool = Field(False, description="JSON: add the image as a JPEG that browsers show.")
    name: str = Field(
        "",
        max_length=255,
        description="The file's name, if the body is the file; the response repeats it.",
    )

    @property
    def prompt(self) -> Prompt:
        """The box and the points that the user marked."""
        box = None if self.box is None else cast(Box, tuple(map(float, self.box.split(","))))
        texts = [text.split(",") for text in self.points.split(";")] if self.points else []
        return Prompt(box, [(float(x), float(y), int(label)) for x, y, label in texts])


class JobOptions(ProcessingOptions):
    """How the images of a job are segmented, and which files are written."""

    outputs: str = Field(
        "overlay,contours,coco",
        max_length=128,
        pattern=r"^([a-z-]+(,[a-z-]+)*)?$",
        description="Outputs in addition to masks and predictions.csv, separated by commas, as --write of "
        f"mlffm-segdiff predict ({', '.join(WRITERS)}); or {RESPONSE}, the response of /api/v1/segment to "
        "each image with band, maps and preview.",
    )
    idle_seconds: float | None = Field(
        None,
        ge=1,
        allow_inf_nan=False,
        description="Cancel the job and remove its files after this many seconds without a request for it, "
        "for example because its client ended. While its events or ZIP file are read, it is kept. Default: "
        "it is only removed after its end.",
    )


Options = TypeVar("Options", bound=BaseModel)


def with_fields(options: Options, fields: Mapping[str, str]) -> Options:
    """Return the query's options, overridden by the fields of the form. Raises RefusedError for a bad one."""
    given = options.model_dump(exclude_unset=True, by_alias=True)
    try:
        return type(options).model_validate(given | dict(fields))
    except ValidationError as error:
        first = error.errors()[0]
        raise bad_option(".".join(map(str, first["loc"])), first["msg"]) from None


def bad_option(name: str, message: str) -> RefusedError:
    """Return the refusal of an option, with pydantic's message."""
    detail = f"{name}: {message[:1].lower()}{message[1:]}"
    return RefusedError(UNUSABLE, detail, "see the parameters in openapi.json")


def response_format(wanted: Format | None, accept: str) -> Format:
    """Return the format of the response.

    Args:
        wanted: The option ``format``; it overrides the header.
        accept: The header Accept; the type with the highest q is taken.

    Raises:
        RefusedError: Accept names no supported type.
    """
    if wanted is not None:
        return wanted
    ranges = [part.strip() for part in accept.split(",") if part.strip()] or ["*/*"]
    for kind in sorted(ranges, key=_quality, reverse=True):
        media = kind.partition(";")[0].strip().lower()
        for known, format_ in FORMATS.items():
            if _quality(kind) > 0 and media in (known, "*/*", f"{known.partition('/')[0]}/*"):
                return format_
    hint = f"request one of {', '.join(FORMATS)}"
    raise RefusedError(NOT_ACCEPTABLE, f"the media type {accept!r} is not supported", hint)


def _quality(media_range: str) -> float:
    for parameter in media_range.split(";")[1:]:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
