"""Masks from any program against true masks: folder against folder, matched by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.datasets.image_folder import IMAGE_EXTENSIONS, mask_case_id
from mlffm_segdiff.data.datasets.pairing import find_entries
from mlffm_segdiff.data.files import decode_mask
from mlffm_segdiff.evaluation.rows import EvaluatedCase
from mlffm_segdiff.metrics.case_scores import score_case
from mlffm_segdiff.metrics.overlap import Mask


@dataclass(frozen=True)
class MaskFiles:
    """The mask files of one case."""

    id: str
    predicted: Entry
    truth: Entry


@dataclass(frozen=True)
class MatchedMasks:
    """Predicted and true masks by case: the pairs, and the ids of one side only, all sorted.

    missing: true masks without a prediction; they enter no score. extra: predictions without a truth.
    """

    pairs: tuple[MaskFiles, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether each true mask has its prediction."""
        return not self.missing


def match_folders(predicted: Path, truth: Path) -> MatchedMasks:
    """Match the masks of two folders by case. Raises UserError as `masks_by_id` and `match_masks`."""
    return match_masks(masks_by_id(predicted), masks_by_id(truth))


def masks_by_id(folder: Path) -> dict[str, Entry]:
    """Find the pictures of a folder (or zip archive, or a single file), by the id of their case.

    The id is the file's name without its extension and one of `image_folder.MASK_SUFFIXES`, such as
    _segmentation. Raises UserError where the folder is absent or holds no picture, or two files claim one id.
    """
    found: dict[str, Entry] = {}
    for entry in find_entries(folder.expanduser()):
        if Path(entry.name).suffix.lower() not in IMAGE_EXTENSIONS:
            continue
        key = mask_case_id(Path(entry.name).stem)
        if key in found:
            raise UserError(
                f"{found[key]} and {entry} both claim the case {key!r}; give a folder with one mask a case"
            )
        found[key] = entry
    if not found:
        raise UserError(f"no pictures in {folder}; give the folder that holds the masks")
    return found


def match_masks(predictions: Mapping[str, Entry], truths: Mapping[str, Entry]) -> MatchedMasks:
    """Match masks by id. Raises UserError where no id is in both."""
    shared = sorted(predictions.keys() & truths.keys())
    if not shared:
        examples = [str(masks[min(masks)]) if masks else "none" for masks in (predictions, truths)]
        raise UserError(
            f"no prediction (such as {examples[0]}) has the name of a true mask (such as {examples[1]}); "
            "name each prediction after its true mask"
        )
    return MatchedMasks(
        pairs=tuple(MaskFiles(key, predictions[key], truths[key]) for key in shared),
        missing=tuple(sorted(truths.keys() - predictions.keys())),
        extra=tuple(sorted(predictions.keys() - truths.keys())),
    )


def compare_masks(matched: MatchedMasks) -> Iterator[EvaluatedCase]:
    """Score the pairs one after another, in the order of their ids.

    Raises UserError where a file cannot be read as a mask, or a pair's sizes differ.
    """
    for files in matched.pairs:
        yield EvaluatedCase(files.id, score_case(*_load_pair(files)))


def _load_pair(files: MaskFiles) -> tuple[Mask, Mask]:
    predicted, truth = (decode_mask(entry.read(), str(entry)) for entry in (files.predicted, files.truth))
    if predicted.shape != truth.shape:
        sizes = [f"{mask.shape[1]} x {mask.shape[0]}" for mask in (predicted, truth)]
        raise UserError(
            f"{files.predicted} is {sizes[0]} pixels but the true mask {files.truth} is {sizes[1]}; "
            "save each prediction at the size of its true mask"
        )
    return predicted, truth
