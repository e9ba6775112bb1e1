"""Files next to weights that hold for these weights only: how they are bound, read and refused."""

import logging
from abc import ABC, abstractmethod
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from safetensors import SafetensorError

from mlffm_segdiff.config.errors import UserError, reason_of
from mlffm_segdiff.files.atomic import write_bytes

LOG = logging.getLogger(__name__)
VALUES = TypeAdapter(dict[str, Any])
DAMAGE = (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError)
"""Errors of reading a damaged file; pydantic's ValidationError is a ValueError."""

Content = TypeVar("Content")
Model = TypeVar("Model", bound=BaseModel)


class CompanionFile(ABC, Generic[Content]):
    """A kind of file next to the weights, with the version of its format and the SHA-256 of the weights.

    Args:
        name: File name.
        version: Version of the file format; files of another one are refused.
        without: Words for what a model does without the file, for the warning that it is of other weights.
        fix: How to make it again, for the same warning and for errors.
    """

    def __init__(self, name: str, version: int, without: str, fix: str) -> None:
        self.name, self.version, self.without, self.fix = name, version, without, fix

    @abstractmethod
    def load(self, path: Path) -> dict[str, Any]:
        """Return the values in a file by name, with ``format`` and ``weights``; may raise any of DAMAGE."""

    @abstractmethod
    def parse(self, values: dict[str, Any]) -> Content:
        """Return the content from the other values; may raise any of DAMAGE."""

    @abstractmethod
    def dump(self, content: Content, weights: str) -> bytes:
        """Return the bytes of a file."""

    def read(self, folder: Path, weights: str | None = None) -> Content | None:
        """Read the file in a folder of weights.

        Args:
            folder: Weights folder.
            weights: SHA-256 of the weights that it should belong to; None accepts any.

        Returns:
            The content; None if the file does not exist, or, with a logged warning, if it belongs to other
            weights.

        Raises:
            UserError: The file cannot be read.
        """
        path = folder / self.name
        if not path.is_file():
            return None
        try:
            values = self.load(path)
            version, bound_to = values.pop("format", None), values.pop("weights", "")
            if version != self.version:
                raise ValueError(f"format {version}, not {self.version}")
            content = self.parse(values)
        except DAMAGE as error:
            raise UserError(f"{path} cannot be read ({_reason(error)}); remove it, or {self.fix}") from None
        if weights not in (None, bound_to):
            _warn_once(
                f"{path} was made for other weights (their SHA-256 differs), so {self.without}; "
                f"download both again, or {self.fix}"
            )
            return None
        return content

    def write(self, content: Content, folder: Path, weights: str = "") -> Path:
        """Write the file atomically into a folder of weights, and return its path.

        Args:
            content: Content of the file.
            folder: Weights folder.
            weights: SHA-256 of the weights that it belongs to; empty for weights that are not in a file.

        Raises:
            UserError: The file cannot be written.
        """
        path = folder / self.name
        write_bytes(path, self.dump(content, weights))
        return path


class JsonCompanion(CompanionFile[Model]):
    """A companion file that is a pydantic model in JSON.

    Args:
        name: File name.
        version: Version of the file format; files of another one are refused.
        without: Words for what a model does without the file, for the warning that it is of other weights.
        fix: How to make it again, for the same warning and for errors.
        model: Class of the content, without its format and its weights.
    """

    def __init__(self, name: str, version: int, without: str, fix: str, model: type[Model]) -> None:
        super().__init__(name, version, without, fix)
        self.model = model

    def load(self, path: Path) -> dict[str, Any]:
        """Return the values of the JSON object."""
        return VALUES.validate_json(path.read_bytes())

    def parse(self, values: dict[str, Any]) -> Model:
        """Return the model of these values."""
        return self.model.model_validate(values)

    def dump(self, content: Model, weights: str) -> bytes:
        """Return the JSON, indented."""
        header = {"format": self.version, "weights": weights}
        return VALUES.dump_json(header | content.model_dump(mode="json"), indent=2) + b"\n"


@cache
def _warn_once(message: str) -> None:
    """Log a warning, but not again when the same weights are loaded again, as for their graphs."""
    LOG.warning(message)


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
    return reason_of(error)
