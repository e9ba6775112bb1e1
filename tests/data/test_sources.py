from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import AugmentConfig, DataConfig
from mlffm_segdiff.data.dataset import Draw, Share
from mlffm_segdiff.data.datasets.nnunet_export import write_nnunet
from mlffm_segdiff.data.sources import (
    SplitCases,
    load_split_cases,
    open_split,
    open_splits,
    training_dataset,
    training_shares,
)
from mlffm_segdiff.data.splits import Split, save_split


def folder(root: Path, ids: list[str]) -> Path:
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    for n, name in enumerate(ids):
        pixels = np.random.default_rng(n).integers(0, 256, (40, 48, 3), dtype=np.uint8)
        mask = np.zeros((40, 48), np.uint8)
        mask[8:30, 10:40] = 255
        Image.fromarray(pixels).save(root / "images" / f"{name}.png")
        Image.fromarray(mask).save(root / "masks" / f"{name}.png")
    return root


def data(sources: Mapping[str, Path | None], split: Path | None = None, **keys: object) -> DataConfig:
    return DataConfig(sources=sources, split=split, size=32, **keys)


def ids(parts: SplitCases) -> dict[str, list[str]]:
    return {part: [case.id for case in cases] for part, cases in parts.cases.items()}


def test_own_images_are_split_in_70_10_20_per_cent(tmp_path: Path) -> None:
    names = [f"case_{n:02d}" for n in range(20)]
    source = data({"folder": folder(tmp_path, names)})
    parts = load_split_cases(source)
    found = ids(parts)
    assert [len(found[part]) for part in ("train", "val", "test")] == [14, 2, 4]
    assert sorted(name for part in found.values() for name in part) == names
    assert ids(load_split_cases(source)) == found


def test_own_images_of_patients_are_split_by_whole_patients(tmp_path: Path) -> None:
    names = [f"case_{n:02d}" for n in range(30)]
    own = folder(tmp_path, names)
    lines = [f"{name},patient_{n // 2}" for n, name in enumerate(names)]
    (own / "groups.csv").write_text("\n".join(["id,group", *lines]))
    parts = load_split_cases(data({"folder": own}))
    assert {part: len(cases) for part, cases in parts.cases.items()} == {"train": 22, "val": 2, "test": 6}
    patients = [{case.group for case in cases} for cases in parts.cases.values()]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 15


def test_synthetic_images_of_another_generator_or_side_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFFM_SEGDIFF_CACHE", str(tmp_path))
    for name, value in (("GENERATOR", 998), ("GENERATOR", 999), ("SYNTHETIC_SIDE", 40)):
        monkeypatch.setattr(f"mlffm_segdiff.data.sources.{name}", value)
        load_split_cases(data({"synthetic": None}, synthetic_count=4))
    assert len(list(tmp_path.iterdir())) == 3


def test_a_users_split_is_taken_and_its_digest_kept(tmp_path: Path) -> None:
    names = [f"case_{n}" for n in range(5)]
    split = Split(("case_3", "case_4"), ("case_0",), ("case_1",))
    save_split(split, tmp_path / "split.csv")
    parts = load_split_cases(data({"folder": folder(tmp_path / "own", names)}, tmp_path / "split.csv"))
    assert ids(parts) == {"train": ["case_3", "case_4"], "val": ["case_0"], "test": ["case_1"]}
    assert parts.digest == split.digest()


def test_a_users_split_covers_all_sources(tmp_path: Path) -> None:
    split = Split(("a1", "synthetic_00000"), ("a2",), ("synthetic_00003",))
    save_split(split, tmp_path / "split.csv")
    own = folder(tmp_path / "own", ["a1", "a2"])
    parts = load_split_cases(
        data({"folder": own, "synthetic": None}, tmp_path / "split.csv", synthetic_count=4)
    )
    assert ids(parts) == {"train": ["a1", "synthetic_00000"], "val": ["a2"], "test": ["synthetic_00003"]}


def test_sources_without_a_users_split_are_split_separately(tmp_path: Path) -> None:
    own = folder(tmp_path, [f"a{n}" for n in range(10)])
    both = load_split_cases(data({"synthetic": None, "folder": own}, synthetic_count=10))
    first = load_split_cases(data({"folder": own}))
    second = load_split_cases(data({"synthetic": None}, synthetic_count=10))
    for part in ("train", "val", "test"):
        assert ids(both)[part] == ids(first)[part] + ids(second)[part]
    assert both.digest == f"{first.digest}+{second.digest}"


def test_the_digest_changes_with_the_split(tmp_path: Path) -> None:
    own = folder(tmp_path / "own", ["a", "b", "c"])
    digests = set()
    for n, split in enumerate(
        [Split(("a",), ("b",), ("c",)), Split(("b",), ("a",), ("c",)), Split(("a",), ("b",), ())]
    ):
        save_split(split, tmp_path / f"{n}.csv")
        digests.add(load_split_cases(data({"folder": own}, tmp_path / f"{n}.csv")).digest)
    assert len(digests) == 3


def test_a_source_without_a_path_is_refused_with_the_fix() -> None:
    with pytest.raises(UserError, match=r"data\.sources\.ph2 has no path; add --source ph2=FOLDER"):
        load_split_cases(data({"ph2": None}))


def test_a_split_with_ids_that_are_not_there_is_refused(tmp_path: Path) -> None:
    save_split(Split(("a", "gone"), (), ()), tmp_path / "split.csv")
    with pytest.raises(UserError, match="gone"):
        load_split_cases(data({"folder": folder(tmp_path / "own", ["a"])}, tmp_path / "split.csv"))


def test_an_id_in_two_sources_is_refused(tmp_path: Path) -> None:
    own = folder(tmp_path, [f"synthetic_{n:05d}" for n in range(4)])
    with pytest.raises(UserError, match="id synthetic_00000 is in two sources"):
        load_split_cases(data({"folder": own, "synthetic": None}, synthetic_count=4))


def test_an_empty_part_is_refused(tmp_path: Path) -> None:
    save_split(Split(("a",), (), ("b",)), tmp_path / "split.csv")
    parts = load_split_cases(data({"folder": folder(tmp_path / "own", ["a", "b"])}, tmp_path / "split.csv"))
    with pytest.raises(UserError, match="the split has no case in part 'val'"):
        open_split(parts, "val", 32)


def test_pairs_and_training_items_have_the_size_requested() -> None:
    parts = load_split_cases(data({"synthetic": None}, synthetic_count=10))
    pairs = open_split(parts, "train", 48)
    assert pairs.images.shape == (7, 48, 48, 3)
    assert pairs.ids == tuple(case.id for case in parts.cases["train"])
    off = AugmentConfig(flip=False, affine=0, colour=0, blur=0, hair=0)
    plain = training_dataset(pairs, parts, off, 48, seed=1)
    expected = np.asarray(pairs.images[2]).transpose(2, 0, 1) / 127.5 - 1
    np.testing.assert_allclose(plain[Draw(3, 2)].image, expected, atol=1e-5)
    augmented = training_dataset(pairs, parts, AugmentConfig(), 48, seed=1)
    assert not np.allclose(augmented[Draw(3, 2)].image, expected, atol=1e-2)


def test_the_style_of_a_training_item_is_its_source(tmp_path: Path) -> None:
    split = Split(("a1", "synthetic_00000", "a2"), ("synthetic_00002",), ("synthetic_00003",))
    save_split(split, tmp_path / "split.csv")
    own = folder(tmp_path / "own", ["a1", "a2"])
    parts = load_split_cases(
        data({"folder": own, "synthetic": None}, tmp_path / "split.csv", synthetic_count=4)
    )
    assert parts.source["a1"] == "folder"
    assert parts.source["synthetic_00003"] == "synthetic"
    training = training_dataset(open_split(parts, "train", 32), parts, AugmentConfig(), 32, seed=1)
    styles = {item.id: item.style for item in (training[index] for index in range(len(training)))}
    assert styles == {"a1": "folder", "a2": "folder", "synthetic_00000": "synthetic"}


def test_without_a_mix_all_images_are_one_share() -> None:
    assert training_shares(["ph2", "folder", "ph2"], None) == [Share(range(3), 1.0)]


def test_a_mix_gives_each_source_its_images_and_its_share() -> None:
    styles = ["ph2", "folder", "ph2", "isic2018", "ph2"]
    assert training_shares(styles, {"ph2": 0.25, "folder": 0.75, "isic2018": 0.0}) == [
        Share([1], 0.75),
        Share([0, 2, 4], 0.25),
    ]


def test_the_order_of_a_mix_does_not_matter() -> None:
    styles = ["ph2", "folder"]
    one = training_shares(styles, {"ph2": 0.25, "folder": 0.75})
    assert one == training_shares(styles, {"folder": 0.75, "ph2": 0.25})


def test_a_share_of_a_source_without_training_images_is_refused() -> None:
    says = r"^data\.mix\.folder=0\.3, but the split has no training image of it; set the share to 0$"
    with pytest.raises(UserError, match=says):
        training_shares(["ph2", "ph2"], {"ph2": 0.7, "folder": 0.3})
    assert training_shares(["ph2", "ph2"], {"ph2": 1.0, "folder": 0.0}) == [Share([0, 1], 1.0)]


def test_a_raw_folder_of_nnunet_comes_with_its_own_split(tmp_path: Path) -> None:
    own = folder(tmp_path / "own", [f"a{n}" for n in range(10)])
    before = load_split_cases(data({"folder": own}))
    write_nnunet(tmp_path / "Dataset001_Own", before.cases, lambda done, total: None)
    after = load_split_cases(data({"nnunet": tmp_path / "Dataset001_Own"}))
    assert (ids(after), after.digest) == (ids(before), before.digest)
    for part in ("train", "val", "test"):
        one, other = (open_split(parts, part, 32) for parts in (before, after))
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.masks, other.masks)
    save_split(Split(("a1",), ("a2",), ()), tmp_path / "split.csv")
    chosen = load_split_cases(data({"nnunet": tmp_path / "Dataset001_Own"}, tmp_path / "split.csv"))
    assert ids(chosen) == {"train": ["a1"], "val": ["a2"], "test": []}


def rewrite_masks(own: Path, change: Callable[[np.ndarray], np.ndarray], extension: str = ".png") -> None:
    for path in sorted((own / "masks").iterdir()):
        mask = np.asarray(Image.open(path))
        path.unlink()
        Image.fromarray(change(mask)).save(path.with_suffix(extension))


def test_training_masks_without_a_lesion_are_refused(tmp_path: Path) -> None:
    own = folder(tmp_path, [f"case_{n}" for n in range(6)])
    rewrite_masks(own, lambda mask: mask * 0 + 255)
    with pytest.raises(UserError, match="of the 4 masks in part 'train' all are lesion everywhere"):
        open_split(load_split_cases(data({"folder": own})), "train", 32)
    rewrite_masks(own, lambda mask: mask * 0)
    parts = load_split_cases(data({"folder": own}))
    with pytest.raises(UserError, match="of the 4 masks in part 'train' none has a lesion"):
        open_split(parts, "train", 32)


@pytest.mark.parametrize(
    ("change", "extension", "warning"),
    [
        (lambda mask: mask * 0, ".png", "of the 2 masks in part 'test' none has a lesion"),
        (lambda mask: mask * 0 + 255, ".png", "of the 2 masks in part 'test' all are lesion everywhere"),
        (lambda mask: 255 - mask, ".png", "masks in part 'test' are perhaps inverted"),
        (lambda mask: mask, ".jpg", "2 of 2 masks in part 'test' have grey values"),
    ],
)
def test_doubtful_masks_are_warned_about_also_from_the_cache(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    change: Callable[[np.ndarray], np.ndarray],
    extension: str,
    warning: str,
) -> None:
    own = folder(tmp_path, [f"case_{n}" for n in range(10)])
    rewrite_masks(own, change, extension)
    for _ in range(2):
        caplog.clear()
        open_split(load_split_cases(data({"folder": own})), "test", 32)
        assert len(caplog.messages) == 1
        assert warning in caplog.messages[0]


def test_masks_without_an_image_are_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    own = folder(tmp_path, [f"case_{n}" for n in range(6)])
    (own / "images" / "case_4.png").unlink()
    parts = load_split_cases(data({"folder": own}))
    assert sum(map(len, parts.cases.values())) == 5
    assert caplog.messages == ["1 masks of folder have no image, such as case_4"]


def test_a_group_in_two_parts_is_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    own = folder(tmp_path / "own", ["a", "b", "c", "d"])
    (own / "groups.csv").write_text("id,group\na,anna\nb,bert\nc,anna\nd,anna\n")
    save_split(Split(("a",), ("b",), ("c", "d")), tmp_path / "leaking.csv")
    load_split_cases(data({"folder": own}, tmp_path / "leaking.csv"))
    assert "2 of 2 cases in part 'test' share their group (lesion or patient) with an earlier" in caplog.text
    assert "'val'" not in caplog.text
    caplog.clear()
    save_split(Split(("a", "c", "d"), ("b",), ()), tmp_path / "apart.csv")
    load_split_cases(data({"folder": own}, tmp_path / "apart.csv"))
    assert not caplog.text


def test_unusable_cases_of_several_parts_are_named_together(tmp_path: Path) -> None:
    own = folder(tmp_path / "own", [f"case_{n}" for n in range(6)])
    for name in ("images/case_1.png", "masks/case_4.png"):
        (own / name).write_bytes(b"")
    save_split(Split(("case_0", "case_1"), ("case_3", "case_4"), ("case_5",)), tmp_path / "split.csv")
    parts = load_split_cases(data({"folder": own}, tmp_path / "split.csv"))
    with pytest.raises(UserError, match=r"2 of 4 cases .*case_1\.png is empty .*case_4\.png is empty"):
        open_splits(parts, ("train", "val"), 32)
    assert [len(pairs.ids) for pairs in open_splits(parts, ("test",), 32)] == [1]


def test_synthetic_images_have_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="synthetic has no folder; leave out the path, or use folder=PATH"):
        load_split_cases(data({"synthetic": tmp_path}))
