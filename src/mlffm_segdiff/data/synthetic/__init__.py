"""Procedural dermoscopy: synthetic images of skin lesions with exact masks, for demos and tests."""

from mlffm_segdiff.data.synthetic.generator import (
    GENERATOR,
    case_seed,
    sample_case,
    synthetic_case,
    synthetic_pairs,
    synthetic_scene,
    write_folder,
    write_samples,
)

__all__ = [
    "GENERATOR",
    "case_seed",
    "sample_case",
    "synthetic_case",
    "synthetic_pairs",
    "synthetic_scene",
    "write_folder",
    "write_samples",
]
