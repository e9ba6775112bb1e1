from collections.abc import Callable
from importlib import import_module
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


def test_the_name_of_a_built_in_part_is_refused_before_it_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, install: Install
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own.py").write_text("import registries\nregistries.PARTS.register('own')(lambda: 1)\n")
    (tmp_path / "registries.py").write_text(
        "from mlffm_segdiff.config.registry import Registry\n"
        f"PARTS = Registry('part', {GROUP!r}, modules=('own',))\n"
    )
    parts = import_module("registries").PARTS
    install("others", own="statistics:mean")
    with pytest.raises(ValueError, match="there is already a part called 'own'"):
        parts.register("own")(float)
    assert parts["own"]() == 1
    assert parts.package_of("own") is None
    with pytest.raises(
        UserError, match=r"^part 'own' is built in, and others has one of that name, too; ren"
    ):
        parts.require("own")


def test_a_part_of_another_kind_is_refused(install: Install) -> None:
    parts: Registry[type] = Registry("part", GROUP, base=Exception)
    assert parts.register("own")(KeyError) is KeyError
    install("others", whole="builtins:int")
    for register in (lambda: parts.register("half")(int), lambda: parts["whole"]):
        with pytest.raises(UserError, match=r"^int cannot be .*; register a subclass of Exception$"):
            register()


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
    assert parts.require("mean")([1, 2, 6]) == 3
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


def test_a_target_is_imported() -> None:
    assert import_target("pathlib.Path", "model.target") is Path


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("pathlib.Pth", "model.target=pathlib.Pth: module 'pathlib' has no 'Pth'; check the name"),
        (
            "no_such.part",
            "there is no module 'no_such'; install its package, or add its folder to PYTHONPATH",
        ),
        ("Path", "give the module too, for example my_package.Path"),
        (".parts.Path", "give the module too, for example my_package.parts.Path"),
        ("lacking.part", r"module 'lacking' cannot be imported \(ImportError: .*'not_there'"),
        ("faulty.part", r"module 'faulty' cannot be imported \(AttributeError: .*'Pth'"),
        ("unfinished.part", r"module 'unfinished' cannot be imported \(SyntaxError: "),
    ],
)
def test_a_target_that_cannot_be_imported_is_an_error_that_names_the_fix(
    target: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lacking.py").write_text("from pathlib import not_there\n")
    (tmp_path / "faulty.py").write_text("import pathlib\npathlib.Pth\n")
    (tmp_path / "unfinished.py").write_text("def part(:\n")
    with pytest.raises(UserError, match=says):
        import_target(target, "model.target")


def test_arguments_that_do_not_fit_are_named() -> None:
    assert call_target(complex, {"real": 3}, "model.args") == 3
    with pytest.raises(UserError, match=r"model\.args=\{'width': 3\}: "):
        call_target(complex, {"width": 3}, "model.args")
    with pytest.raises(UserError, match=r"model\.args=\{'key': 3\}: KeyError: 3"):
        call_target(lambda key: {}[key], {"key": 3}, "model.args")
