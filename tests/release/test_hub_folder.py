"""`from_pretrained` reads the repository that tools/hub_folder.py assembles, as the hub would deliver it."""

import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import CommitOperationAdd, ModelCard

from mlffm_segdiff import Segmenter
from mlffm_segdiff.segmenters.saved_weights import DEFAULT, weights_folder

REPOSITORY = "someone/mlffm-segdiff"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
hub_folder = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "hub_folder.py"))["hub_folder"]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub") / "repository"
    hub_folder(folder)
    return folder


def test_the_repository_is_read_by_its_id_from_the_hubs_cache(repository: Path, tmp_path: Path) -> None:
    """huggingface_hub keeps a repository in models--OWNER--NAME, one folder for each commit."""
    cached = tmp_path / f"models--{REPOSITORY.replace('/', '--')}"
    shutil.copytree(repository, cached / "snapshots" / COMMIT)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(COMMIT, encoding="ascii")
    from_hub = Segmenter.from_pretrained(REPOSITORY, cache_dir=tmp_path)
    default = Segmenter.from_pretrained(DEFAULT)
    assert from_hub.recipe == default.recipe
    assert from_hub.quality == default.quality
    assert from_hub.quality is not None
    assert all(map(torch.equal, from_hub.state_dict().values(), default.state_dict().values()))
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    assert np.array_equal(from_hub.segment(image).probability, default.segment(image).probability)


def test_the_hubs_own_code_reads_card_and_files(repository: Path) -> None:
    card = ModelCard.load(repository / "README.md").data
    assert (card.library_name, card.pipeline_tag) == ("mlffm-segdiff", "image-segmentation")
    assert {result.dataset_type for result in card.eval_results} == {"isic2018", "ph2", "ham10000"}
    for path in repository.iterdir():
        CommitOperationAdd(path_in_repo=path.name, path_or_fileobj=path)  # reads and checks it
        if path.name != ".gitattributes":
            assert path.read_bytes() == (weights_folder(DEFAULT) / path.name).read_bytes()


def test_an_existing_folder_is_kept(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        hub_folder(tmp_path)
    assert not list(tmp_path.iterdir())
