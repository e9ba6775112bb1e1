"""A MONAI bundle, checked and run by MONAI's own commands."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from monai import bundle
from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.export.monai_bundle import BundleNetwork, write_bundle
from mlffm_segdiff.inference.analysis import Processing
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.inference.outputs.writers import Output
from mlffm_segdiff.inference.postprocessing import AS_THRESHOLDED
from mlffm_segdiff.inference.predict import predict_files
from mlffm_segdiff.segmenters.pretrained import Pretrained, load_pretrained
from mlffm_segdiff.segmenters.sampling import override_sampling
from mlffm_segdiff.segmenters.saved_weights import DEFAULT_SHA256

Made = Callable[[str], Pretrained]
THRESHOLD = 0.45

pytestmark = [
    pytest.mark.filterwarnings("ignore:parsing config_file:UserWarning"),
    pytest.mark.filterwarnings("ignore:NvImgCodec:UserWarning"),
]


@pytest.fixture
def folder(made: Made, tmp_path: Path) -> Path:
    write_bundle(made("diffusion"), tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Images of other sizes than the network's, one of them turned by EXIF orientation."""
    (tmp_path / "photos").mkdir()
    turned = Image.Exif()
    turned[0x0112] = 6
    sizes = ((90, 61), None), ((40, 56), None), ((24, 20), None), ((64, 48), turned)
    for seed, (size, exif) in enumerate(sizes):
        coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
        path = tmp_path / "photos" / f"p{seed}.png"
        Image.fromarray(coarse).resize(size).save(path, **({"exif": exif} if exif else {}))
    return tmp_path / "photos"


def masks(folder: Path) -> dict[str, npt.NDArray[np.uint8]]:
    return {path.name: np.asarray(Image.open(path)) for path in sorted(folder.iterdir())}


def test_a_bundle_has_its_files(folder: Path) -> None:
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {
        "LICENSE",
        "configs/inference.json",
        "configs/metadata.json",
        "docs/README.md",
        "models/model.pt",
    }


def test_monai_finds_masks_where_predict_finds_them(
    made: Made, folder: Path, photos: Path, tmp_path: Path
) -> None:
    bundle.run(
        config_file=str(folder / "configs" / "inference.json"),
        bundle_root=str(folder),
        dataset_dir=str(photos),
        output_dir=str(tmp_path / "theirs"),
        threshold=THRESHOLD,
        device="$torch.device('cpu')",
    )
    pretrained = made("diffusion")
    model = Model(pretrained.segmenter, pretrained.recipe.data.size, pretrained.sampling, torch.device("cpu"))
    output = Output(tmp_path / "ours")
    how = Processing(THRESHOLD, AS_THRESHOLDED)
    assert all(row.status == "done" for row in predict_files(sorted(photos.iterdir()), model, output, how))
    theirs, ours = masks(tmp_path / "theirs"), masks(output.masks)
    assert theirs.keys() == ours.keys()
    assert len(ours) == 4
    assert any(0 < (mask > 0).mean() < 1 for mask in ours.values())
    for name, mask in ours.items():
        assert mask.shape == theirs[name].shape
        assert set(np.unique(theirs[name])) <= {0, 255}
        assert (mask != theirs[name]).sum() <= 1, name


def test_monai_verifies_shapes_and_types_of_the_network(folder: Path) -> None:
    configs = folder / "configs"
    bundle.verify_net_in_out(
        net_id="network_def",
        config_file=str(configs / "inference.json"),
        meta_file=str(configs / "metadata.json"),
        device="cpu",
        n=1,
    )


def test_metadata_has_what_monais_schema_requires(folder: Path) -> None:
    """The schema itself is a download, which `monai.bundle verify_metadata` makes."""
    found = json.loads((folder / "configs" / "metadata.json").read_text())
    required = {
        "version",
        "monai_version",
        "pytorch_version",
        "numpy_version",
        "task",
        "description",
        "authors",
        "copyright",
        "network_data_format",
    }
    assert required <= found.keys()
    assert found["schema"].startswith("https://github.com/Project-MONAI/")
    assert all(isinstance(found[key], str) for key in required - {"network_data_format"})


def test_weights_are_tensors_that_torch_reads_without_running_code(made: Made, folder: Path) -> None:
    state = torch.load(folder / "models" / "model.pt", weights_only=True)
    network = BundleNetwork(made("diffusion").recipe.model_dump(mode="json"))
    network.load_state_dict(state)
    for name, value in made("diffusion").segmenter.state_dict().items():
        torch.testing.assert_close(state[f"segmenter.{name}"], value, rtol=0, atol=0)


def test_code_that_a_recipe_names_needs_trust(made: Made) -> None:
    recipe = made("direct").recipe.model_dump(mode="json")
    with pytest.raises(UserError, match=r"import and run os\.system"):
        BundleNetwork({**recipe, "model": {"target": "os.system"}})


def test_a_second_look_which_it_cannot_take_is_refused(tmp_path: Path) -> None:
    pretrained = load_pretrained("default")
    pretrained.recipe = override_sampling(pretrained.recipe, {"second_look": True})
    with pytest.raises(UserError, match=r"export with sampling\.second_look=false"):
        write_bundle(pretrained, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_an_existing_folder_is_kept(made: Made, folder: Path) -> None:
    before = (folder / "models" / "model.pt").read_bytes()
    write_bundle(made("direct"), folder)
    assert (folder / "models" / "model.pt").read_bytes() == before
    assert (folder / "LICENSE").read_text().startswith("The licences of the data")


def test_the_default_weights_have_their_digest_and_licence(tmp_path: Path) -> None:
    write_bundle(load_pretrained("default"), tmp_path / "bundle")
    licence = "The weights are under CC-BY-NC-SA-4.0."
    assert (tmp_path / "bundle" / "LICENSE").read_text().startswith(licence)
    assert licence in (tmp_path / "bundle" / "docs" / "README.md").read_text()
    found = json.loads((tmp_path / "bundle" / "configs" / "metadata.json").read_text())
    assert found["copyright"].startswith(licence)
    assert found["description"].endswith(f"SHA-256 of the weights: {DEFAULT_SHA256}")
