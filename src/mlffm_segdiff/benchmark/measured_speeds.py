"""Speeds that `plan` measures on a machine, as the file that `plan --save` writes."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat, model_validator

from mlffm_segdiff.benchmark.stage_line import JobSpeeds
from mlffm_segdiff.config.errors import UserError

STAGES = ("read", "decode", "network", "post-processing", "write", "other")
"""In the order of the work; post-processing includes measures and contours, other is what joins them."""

SAVED_START = '{\n "speeds": '
"""How a saved file starts."""


class SizeTimes(BaseModel):
    """Measured time and sizes per image, for images of one size.

    Attributes:
        megapixels: Mean size of the images.
        images: Number of images.
        stages: CPU seconds by stage.
        gpu: Seconds of the network on a GPU; None on the CPU.
        input_bytes: Size of an image file in bytes.
        output_bytes: Size of an image's part of a shard in bytes.
        driver_seconds: CPU seconds of the manifest.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    megapixels: float
    images: int
    stages: dict[str, NonNegativeFloat]
    gpu: float | None
    input_bytes: float
    output_bytes: float
    driver_seconds: float

    @property
    def seconds(self) -> float:
        """CPU seconds of all stages."""
        return sum(self.stages.values())


class MeasuredSpeeds(BaseModel):
    """Measured times, and the speeds that were fitted to them.

    Attributes:
        speeds: Speeds fitted to `sizes`.
        sizes: Measured times, from small to large images.
        check: Times measured on images that nothing was fitted to.
        megapixels: Mean size of the images of a job, unless another one is given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    speeds: JobSpeeds
    sizes: list[SizeTimes]
    check: SizeTimes
    megapixels: PositiveFloat

    @model_validator(mode="after")
    def all_stages_were_measured(self) -> Self:
        """Refuse what no measurement writes."""
        measured, stages = (*self.sizes, self.check), set(STAGES)
        if self.speeds.stages.keys() != stages or any(one.stages.keys() != stages for one in measured):
            raise ValueError(f"the stages must be {', '.join(STAGES)}")
        if not (self.speeds.image_seconds(self.megapixels) and all(one.seconds for one in measured)):
            raise ValueError("an image must take some time")
        return self

    @property
    def check_error(self) -> float:
        """Predicted over measured CPU seconds of the check, minus 1."""
        return self.speeds.image_seconds(self.check.megapixels) / self.check.seconds - 1

    def saved_text(self) -> str:
        """Return the content of the file that `plan --save` writes."""
        return self.model_dump_json(indent=1) + "\n"

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file that `plan --save` wrote. Raises UserError if it is none."""
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it has other contents"
            raise UserError(
                f"{path} has no measured speeds ({reason}); make it by mlffm-segdiff plan --save FILE"
            ) from error
