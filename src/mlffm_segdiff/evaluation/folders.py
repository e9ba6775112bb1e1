"""Masks from any program against ground truth: folder against folder, matched by name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.datasets.image_folder import images_among
from mlffm_segdiff.data.datasets.mask_names import IdLookup, case_id, named_case, pair_ids
from mlffm_segdiff.data.datasets.pairing import find_entries
from mlffm_segdiff.data.files import decode_mask
from mlffm_segdiff.evaluation.rows import EvaluatedCase
from mlffm_segdiff.metrics.case_scores import score_case
from mlffm_segdiff.metrics.overlap import Mask

SHOWN_IDS = 5


@dataclass(frozen=True)
class MaskFiles:
    """The mask files of one case."""

    id: str
    predicted: Entry
    truth: Entry


@dataclass(frozen=True)
class MatchedMasks:
    """Predicted masks and ground truth by case, sorted.

    Attributes:
        pairs: Cases with both.
        missing: Ids of ground truth without a prediction; they enter no score.
        extra: Ids of predictions without ground truth.
    """

    pairs: tuple[MaskFiles, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]


def match_folders(predicted: Path, truth: Path) -> MatchedMasks:
    """Match the masks of two folders by case. Raises UserError as `masks_by_id` and `match_masks`."""
    truths = masks_by_id(truth)
    return match_masks(masks_by_id(predicted, truths), truths)


def masks_by_id(folder: Path, known: Collection[str] = ()) -> dict[str, Entry]:
    """Find the images of a folder, a zip archive, or a single file, by the id of their case.

    Args:
        folder: The folder, archive or file.
        known: Ids of the ground truth. A file that is called like one of them is of this case, so that words
            such as "lesion" may be part of an image's name; see `named_case`.

    Raises:
        UserError: The folder does not exist or has no image, or two files have the same id.
    """
    found: dict[str, Entry] = {}
    lookup = IdLookup(known)
    for entry in images_among(find_entries(expanded(folder))):
        key = named_case(case_id(entry), lookup)
        if key in found:
            raise UserError(
                f"{found[key]} and {entry} are both files of case {key!r}; keep one per case, or give the "
                "folder of one of them"
            )
        found[key] = entry
    if not found:
        raise UserError(f"no images in {folder}; give the folder of the masks")
    return found


def match_masks(predictions: Mapping[str, Entry], truths: Mapping[str, Entry]) -> MatchedMasks:
    """Match masks by id, see `pair_ids`.

    Args:
        predictions: Predicted masks by id.
        truths: Ground truth by id.

    Returns:
        Pairs, sorted by id, and the ids without one.

    Raises:
        UserError: They have no id in common.
    """
    own = pair_ids(truths, predictions)
    if not own:
        examples = [str(masks[min(masks)]) if masks else "none" for masks in (predictions, truths)]
        raise UserError(
            f"no prediction (such as {examples[0]}) has the name of a ground truth (such as {examples[1]}); "
            "name each prediction like its ground truth"
        )
    return MatchedMasks(
        pairs=tuple(MaskFiles(key, predictions[own[key]], truths[key]) for key in sorted(own)),
        missing=tuple(sorted(truths.keys() - own.keys())),
        extra=tuple(sorted(predictions.keys() - set(own.values()))),
    )


def first_ids(ids: Sequence[str]) -> str:
    """Return the first ids of a list as text."""
    return ", ".join(ids[:SHOWN_IDS]) + (", ..." if len(ids) > SHOWN_IDS else "")


def compare_masks(matched: MatchedMasks) -> Iterator[EvaluatedCase]:
    """Score the pairs one after another, in the order of their ids.

    Raises:
        UserError: A file cannot be read as a mask, or the sizes of a pair differ.
    """
    for files in matched.pairs:
        yield EvaluatedCase(files.id, score_case(*load_masks(files)))


def load_masks(files: MaskFiles) -> tuple[Mask, Mask]:
    """Decode the predicted mask, or map of probabilities, and the ground truth of a case, HxW bool each.

    Raises:
        UserError: A file cannot be read as a mask, or the sizes differ.
    """
    predicted = decode_mask(files.predicted.read(), str(files.predicted), probability=True)
    truth = decode_mask(files.truth.read(), str(files.truth))
    if predicted.shape != truth.shape:
        sizes = [f"{mask.shape[1]} x {mask.shape[0]}" for mask in (predicted, truth)]
        raise UserError(
            f"{files.predicted} is {sizes[0]} pixels but the ground truth {files.truth} is {sizes[1]}; "
            "save each prediction at the size of its ground truth"
        )
    return predicted, truth
