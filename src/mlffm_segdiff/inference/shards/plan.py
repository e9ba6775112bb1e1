"""Which images go into which shard, and all that the bytes of a shard depend on."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Literal

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.analysis import Processing
from mlffm_segdiff.inference.predict import check_batch_size
from mlffm_segdiff.inference.reading.image_source import Source

ShardFormat = Literal["tar", "parquet"]
SHARD_NAME = re.compile(r"\d{6,}-[0-9a-f]{16}\.(tar|parquet)")
DEFAULT_SIZE = 1000


@dataclass(frozen=True)
class ShardOptions:
    """How predictions become shards.

    Attributes:
        folder: Output folder, which all workers must see under this path.
        format: ``tar``, in the layout of WebDataset, or ``parquet``.
        size: Images of a shard.
        batch_size: Images segmented at once.
        processing: How segmentations become masks.
    """

    folder: Path
    format: ShardFormat = "tar"
    size: int = DEFAULT_SIZE
    batch_size: int = 8
    processing: Processing = field(default_factory=Processing)

    def __post_init__(self) -> None:
        """Raise UserError for a number out of range."""
        check_batch_size(self.batch_size)
        if self.size < 1:
            raise UserError(f"shard size {self.size} is out of range; give 1 or more")

    @property
    def shards(self) -> Path:
        """The folder of the shards."""
        return self.folder / "shards"


@dataclass(frozen=True)
class Shard:
    """Consecutive images of the sorted list.

    Attributes:
        path: Path of its file, named by its number and a digest of the list of its images and all settings.
        first: Number of its first image in the whole list.
        sources: Its images.
    """

    path: Path
    first: int
    sources: tuple[Source, ...]


def plan_shards(images: Sequence[Source], options: ShardOptions, settings: str) -> Iterator[Shard]:
    """Yield the shards of a list of images.

    Args:
        images: Images in the order of the shards.
        options: Size and format of the shards.
        settings: All that an image's results depend on besides the image; see `settings_text`.
    """
    for number, first in enumerate(range(0, len(images), options.size)):
        sources = tuple(images[first : first + options.size])
        described = json.dumps([settings, options.format, first, list(map(str, sources))])
        digest = sha256(described.encode()).hexdigest()[:16]
        yield Shard(options.shards / f"{number:06}-{digest}.{options.format}", first, sources)
