"""The base of every section of a recipe or a study, and the ranges of their numbers."""

from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

Probability = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
Strength = Annotated[float, Field(ge=0, le=3)]
"""Of augmentation; above 5, warps would turn images inside out."""
Spread = Annotated[float, Field(ge=0, le=10)]
"""Of samples, in logits or as a factor; the default weights use 2."""
Positive = Annotated[float, Field(gt=0)]
MAX_SEED = 2**32 - 1
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
MAX_THREADS = 1024
"""Maximum number of CPU threads; each takes memory, also where they wait."""
Steps = Annotated[int, Field(gt=0, le=100_000)]
LARGEST_SIDE = 2048
"""Largest height and width of the images that a network sees."""
Width = Annotated[int, Field(gt=0, le=8192)]
"""Channels or units of a layer, or the side of an image in pixels."""
Depth = Annotated[int, Field(gt=0, le=64)]
"""Repeated layers, blocks or heads, factors and strides."""


class Section(BaseModel):
    """A part of a recipe; a key that is not named here is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def truth_is_no_number(cls, values: Any) -> Any:
        """Refuse True and False for numbers, which Python takes for 1 and 0."""
        if isinstance(values, Mapping):
            for key, value in values.items():
                field = cls.model_fields.get(key)
                if isinstance(value, bool) and field is not None and not _takes_bool(field.annotation):
                    raise ValueError(f"{key}={str(value).lower()} is neither a number nor a name")
        return values

    def changed_keys(self) -> list[str]:
        """Return the keys with a default whose values differ from it."""
        fields = type(self).model_fields.items()
        return [
            key for key, field in fields if not field.is_required() and getattr(self, key) != field.default
        ]


def _takes_bool(annotation: Any) -> bool:
    return annotation in (bool, Any) or any(map(_takes_bool, get_args(annotation)))
