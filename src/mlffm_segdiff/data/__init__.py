"""Data sets, splits, the cache, augmentation and loaders.

Example:
    >>> from mlffm_segdiff.data import make_split, read_cases, save_split
    >>> cases = read_cases("ham10000", "/data/ham10000")
    >>> save_split(make_split(cases, (7200, 1800, 1015)), "my_split.csv")

Reading: `read_cases` and `find_pairs` of a data set by name, `decode_image`, `decode_mask`, `check_cases`;
`register_dataset` adds a data set.
Splitting: `make_split`, `official_split`, `load_split`, `save_split`; `load_split_cases` for a recipe.
Training: `open_cache`, `PairDataset`, `training_augmentation`, `training_loader`, `signed_distance`.
Synthetic cases: `synthetic_case`, `synthetic_pairs`, `write_folder`.
"""

from typing import TYPE_CHECKING

from mlffm_segdiff.config.lazy import lazy_exports

if TYPE_CHECKING:
    from mlffm_segdiff.data.augment import training_augmentation
    from mlffm_segdiff.data.batch import Batch, Pair, collate
    from mlffm_segdiff.data.cache import CachedPairs, open_cache, resize_image, resize_mask
    from mlffm_segdiff.data.case import Case, Entry
    from mlffm_segdiff.data.check import check_cases, check_pairing
    from mlffm_segdiff.data.check_report import Finding, Report
    from mlffm_segdiff.data.contour import mask_contours
    from mlffm_segdiff.data.dataset import PairDataset, ShuffledStream, plain_loader, training_loader
    from mlffm_segdiff.data.datasets.pairing import Pairing, find_entries
    from mlffm_segdiff.data.distance import signed_distance
    from mlffm_segdiff.data.duplicates import fingerprint, near_duplicates
    from mlffm_segdiff.data.files import decode_image, decode_mask
    from mlffm_segdiff.data.skin_tone import tone_name, typology_angle
    from mlffm_segdiff.data.sources import SplitCases, load_split_cases, open_split, training_dataset
    from mlffm_segdiff.data.splits import Split, load_split, make_split, official_split, save_split
    from mlffm_segdiff.data.synthetic import synthetic_case, synthetic_pairs, write_folder
    from mlffm_segdiff.data.table import DATASETS, find_pairs, read_cases, register_dataset

__all__ = [
    "DATASETS",
    "Batch",
    "CachedPairs",
    "Case",
    "Entry",
    "Finding",
    "Pair",
    "PairDataset",
    "Pairing",
    "Report",
    "ShuffledStream",
    "Split",
    "SplitCases",
    "check_cases",
    "check_pairing",
    "collate",
    "decode_image",
    "decode_mask",
    "find_entries",
    "find_pairs",
    "fingerprint",
    "load_split",
    "load_split_cases",
    "make_split",
    "mask_contours",
    "near_duplicates",
    "official_split",
    "open_cache",
    "open_split",
    "plain_loader",
    "read_cases",
    "register_dataset",
    "resize_image",
    "resize_mask",
    "save_split",
    "signed_distance",
    "synthetic_case",
    "synthetic_pairs",
    "tone_name",
    "training_augmentation",
    "training_dataset",
    "training_loader",
    "typology_angle",
    "write_folder",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "augment": "training_augmentation",
        "batch": "Batch Pair collate",
        "cache": "CachedPairs open_cache resize_image resize_mask",
        "case": "Case Entry",
        "check": "check_cases check_pairing",
        "check_report": "Finding Report",
        "contour": "mask_contours",
        "dataset": "PairDataset ShuffledStream plain_loader training_loader",
        "datasets.pairing": "Pairing find_entries",
        "distance": "signed_distance",
        "duplicates": "fingerprint near_duplicates",
        "files": "decode_image decode_mask",
        "skin_tone": "tone_name typology_angle",
        "sources": "SplitCases load_split_cases open_split training_dataset",
        "splits": "Split load_split make_split official_split save_split",
        "synthetic": "synthetic_case synthetic_pairs write_folder",
        "table": "DATASETS find_pairs read_cases register_dataset",
    },
)
