from collections.abc import Callable
from pathlib import Path

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.registry import Registry, call_target, import_target

GROUP = "mlffm_segdiff.test_parts"
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put the metadata of a package on the path, as pip does: install(package, name=target)."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(package: str, **points: str) -> None:
        info = tmp_path / f"{package}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {package}\nVersion: 1\n")
        lines = [f"[{GROUP}]", *(f"{name} = {target}" for name, target in points.items())]
        (info / "entry_points.txt").write_text("\n".join(lines))

    return write


def test_a_part_is_registered_by_decorator_and_found_by_name() -> None:
    parts: Registry[type] = Registry("part", GROUP, parts={"whole": int})

    @parts.register("half")
    class Half: ...

    assert parts["half"] is parts.require("half") is Half
    assert list(parts) == ["half", "whole"]
    assert len(parts) == 2
    assert "third" not in parts
    assert 3 not in parts
    with pytest.raises(KeyError):
        parts["third"]
    with pytest.raises(UserError, match=r"^unknown part 'third'; choose one of half, whole$"):
        parts.require("third")


def test_a_name_stands_for_one_part() -> None:
    parts: Registry[type] = Registry("part", GROUP, parts={"whole": int})
    assert parts.register("whole")(int) is int
    with pytest.raises(ValueError, match="there is already a part called 'whole'"):
        parts.register("whole")(float)


def test_modules_of_the_registry_are_imported_at_the_first_lookup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "late_parts.py").write_text("raise ZeroDivisionError\n")
    parts: Registry[type] = Registry("part", GROUP, modules=("late_parts",))
    with pytest.raises(ZeroDivisionError):
        list(parts)


def test_entry_points_are_listed_and_only_the_wanted_one_is_imported(install: Install) -> None:
    install("others", mean="statistics:mean", lost="no_such_module:part")
    parts: Registry[object] = Registry("part", GROUP, parts={"whole": int})
    assert list(parts) == ["lost", "mean", "whole"]
    assert parts.require("mean")([1, 2, 6]) == 3  # type: ignore[operator]
    assert (parts.package_of("mean"), parts.package_of("whole"), parts.package_of("x")) == (
        "others",
        None,
        None,
    )
    with pytest.raises(
        UserError, match=r"^part 'lost' of the package others cannot be imported .*no_such_module"
    ):
        parts.require("lost")


def test_a_name_in_two_packages_is_refused(install: Install) -> None:
    install("first", mean="statistics:mean")
    install("second", mean="statistics:fmean")
    with pytest.raises(UserError, match="part 'mean' is in the packages first and second; uninstall one"):
        Registry("part", GROUP).require("mean")


def test_a_target_is_imported_or_the_error_names_the_fix() -> None:
    assert import_target("pathlib.Path", "model.target") is Path
    for target, says in (
        ("pathlib.Pth", "model.target=pathlib.Pth: module 'pathlib' has no 'Pth'; check the name"),
        (
            "no_such.part",
            "there is no module 'no_such'; install its package, or add its folder to PYTHONPATH",
        ),
        ("Path", "give the module too, for example my_package.Path"),
    ):
        with pytest.raises(UserError, match=says):
            import_target(target, "model.target")


def test_arguments_that_do_not_fit_are_named() -> None:
    assert call_target(complex, {"real": 3}, "model.args") == 3
    with pytest.raises(UserError, match=r"model\.args=\{'width': 3\}: "):
        call_target(complex, {"width": 3}, "model.args")
