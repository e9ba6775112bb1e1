"""Cases, cached pairs and training data of a recipe's data section."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.config.progress import Progress
from mlffm_segdiff.config.schema import AugmentConfig, DataConfig
from mlffm_segdiff.data.augment import training_augmentation
from mlffm_segdiff.data.cache import CachedPairs, UnusableCasesError, cache_root, open_cache
from mlffm_segdiff.data.case import Case
from mlffm_segdiff.data.dataset import PairDataset, Share
from mlffm_segdiff.data.datasets.pairing import Pairing
from mlffm_segdiff.data.mask_traits import MaskTraits, all_empty, all_full, perhaps_inverted
from mlffm_segdiff.data.splits import SPLITS, Split, load_split, select_cases
from mlffm_segdiff.data.synthetic import GENERATOR, write_folder
from mlffm_segdiff.data.table import SYNTHETIC, find_pairs, require_source

LOG = logging.getLogger(__name__)
SYNTHETIC_SIDE = 192


@dataclass(frozen=True)
class SplitCases:
    """The cases of each part of the split, over all sources.

    Attributes:
        cases: Cases by part.
        digest: Digest of the split.
        source: Name of each case's source, by id.
    """

    cases: Mapping[str, list[Case]]
    digest: str
    source: Mapping[str, str]

    @property
    def split(self) -> Split:
        """The ids of each part."""
        return Split(*(tuple(sorted(case.id for case in self.cases[part])) for part in SPLITS))


def load_split_cases(data: DataConfig) -> SplitCases:
    """Read the cases of a recipe's sources and split them into train, val and test.

    The split is data.split if given. Otherwise it is, for each source, the packaged list of a public data
    set, the first fold of nnU-Net's raw data, or about 70/10/20 % by group, with seed 0. Masks without an
    image, and groups in two parts, are logged as warnings.

    Args:
        data: Data section of the recipe.

    Returns:
        Cases by part, in the order of the split's ids.

    Raises:
        UserError: If a source has no path, an id is in two sources, or the split does not fit the data.
    """
    found = {name: _find_source(name, data) for name in sorted(data.sources)}
    for name, pairing in found.items():
        if stray := pairing.masks_without_image():
            LOG.warning("%d masks of %s have no image, such as %s", len(stray), name, stray[0])
    sources = {name: pairing.cases() for name, pairing in found.items()}
    _require_unique_ids(sources.values())
    if data.split is not None:
        every = [case for cases in sources.values() for case in cases]
        splits = [(every, load_split(expanded(data.split)))]
    else:
        splits = [(cases, found[name].own_split()) for name, cases in sources.items()]
    parts = {
        part: [case for cases, split in splits for case in select_cases(cases, split.ids(part))]
        for part in SPLITS
    }
    source = {case.id: name for name, cases in sources.items() for case in cases}
    _warn_of_leaks(parts, source)
    return SplitCases(parts, "+".join(split.digest() for _, split in splits), source)


def _warn_of_leaks(parts: Mapping[str, Sequence[Case]], source: Mapping[str, str]) -> None:
    """Log how many cases of val and test are of a lesion or patient that an earlier part has too."""
    seen: set[tuple[str, str]] = set()
    for part in SPLITS:
        groups = [(source[case.id], case.group) for case in parts[part]]
        if shared := sum(group in seen for group in groups):
            LOG.warning(
                "%d of %d cases in part %r share their group (lesion or patient) with an earlier part; a "
                "model trained on this split scores too high on them (see: mlffm-segdiff data check)",
                shared,
                len(groups),
                part,
            )
        seen.update(groups)


def open_split(parts: SplitCases, part: str, size: int, progress: Progress | None = None) -> CachedPairs:
    """Open the cached pairs of one part, and log a warning if its masks are doubtful.

    Args:
        parts: Cases of the split.
        part: ``train``, ``val`` or ``test``.
        size: Side of images and masks in pixels.
        progress: Receives the number of cases that are cached, and of all.

    Raises:
        UserError: If the part is empty or cannot be cached, or it is train and all masks are empty or full.
    """
    if not parts.cases[part]:
        raise UserError(f"the split has no case in part {part!r}; give a split that has")
    pairs = open_cache(parts.cases[part], size, progress=progress)
    _judge_masks(pairs, part)
    return pairs


def open_splits(parts: SplitCases, names: Sequence[str], size: int) -> list[CachedPairs]:
    """Open several parts as `open_split` does.

    Args:
        parts: Cases of the split.
        names: Parts to open.
        size: Side of images and masks in pixels.

    Returns:
        Pairs of each part, in the order of the names.

    Raises:
        UnusableCasesError: Cases cannot be cached, with those of all parts.
        UserError: As `open_split`.
    """
    opened: list[CachedPairs] = []
    bad: list[str] = []
    for name in names:
        try:
            opened.append(open_split(parts, name, size))
        except UnusableCasesError as error:
            bad += error.bad
    if bad:
        raise UnusableCasesError(bad, sum(len(parts.cases[name]) for name in names))
    return opened


def _judge_masks(pairs: CachedPairs, part: str) -> None:
    traits = [MaskTraits.of(mask) for mask in pairs.masks]
    if all_empty(traits) or all_full(traits):
        problem = "none has a lesion" if all_empty(traits) else "all are lesion everywhere"
        problem = f"of the {len(traits)} masks in part {part!r} {problem}"
        if part == "train":
            raise UserError(f"{problem}; give masks with outlines, see: mlffm-segdiff data check")
        LOG.warning("%s", problem)
    if perhaps_inverted(traits):
        LOG.warning(
            "the masks in part %r are perhaps inverted: lesion is in all four corners of nearly every one",
            part,
        )
    if soft := int(pairs.soft.sum()):
        LOG.warning(
            "%d of %d masks in part %r have grey values, and are cut at half", soft, len(traits), part
        )


def training_dataset(
    pairs: CachedPairs, parts: SplitCases, augment: AugmentConfig, size: int, seed: int
) -> PairDataset:
    """Return a dataset of the pairs with augmentation; the style of a case is the name of its source.

    Args:
        pairs: Cached cases of the part ``train``.
        parts: Cases of the split, with the name of each one's source.
        augment: Augmentation settings.
        size: Side of the images in pixels.
        seed: Seed of the augmentation, at least 0.
    """
    augmentation = training_augmentation(
        augment.flip, augment.affine, augment.colour, augment.blur, augment.hair, size
    )
    styles = [parts.source[case] for case in pairs.ids]
    return PairDataset(pairs.images, pairs.masks, pairs.ids, augmentation, seed, styles)


def training_shares(styles: Sequence[str], mix: Mapping[str, float] | None) -> list[Share]:
    """Return the images that are drawn together and their share of the draws, by source with ``mix``.

    Args:
        styles: Source of each image.
        mix: Share of each source; None draws all images equally often.

    Raises:
        UserError: If a source has a share but no images.
    """
    if mix is None:
        return [Share(range(len(styles)), 1.0)]
    shares = []
    for name, share in sorted(mix.items()):
        indices = [index for index, style in enumerate(styles) if style == name]
        if share and not indices:
            raise UserError(
                f"data.mix.{name}={share:g}, but the split has no training image of it; set the share to 0"
            )
        if share:
            shares.append(Share(indices, share))
    return shares


def _find_source(name: str, data: DataConfig) -> Pairing:
    require_source(name)
    if name == SYNTHETIC:
        if data.sources[name] is not None:
            raise UserError(f"{SYNTHETIC} has no folder; leave out the path, or use folder=PATH")
        folder = cache_root() / f"synthetic-{GENERATOR}-{data.synthetic_count}-{SYNTHETIC_SIDE}"
        write_folder(folder, data.synthetic_count, SYNTHETIC_SIDE, seed=0)
        return find_pairs("folder", folder)
    return find_pairs(name, _source_path(name, data))


def _source_path(name: str, data: DataConfig) -> Path:
    path = data.sources[name]
    if path is None:
        raise UserError(
            f"data.sources.{name} has no path; add --source {name}=FOLDER, the folder of its archives"
        )
    return expanded(path)


def _require_unique_ids(sources: Iterable[list[Case]]) -> None:
    seen: set[str] = set()
    for cases in sources:
        for case in cases:
            if case.id in seen:
                raise UserError(f"id {case.id} is in two sources; train on one of them or rename the files")
            seen.add(case.id)
