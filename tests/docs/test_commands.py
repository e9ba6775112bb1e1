"""Every command and Python block of README.md and docs/ is run.

Commands run on synthetic images with tiny networks: STAND_INS replaces names and numbers of the reader, SHORT
adds options that make a command fast. PARSED_ONLY lists commands that would need a cluster or hours; the real
command line still parses them. OTHERS are other programs.
"""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer

from mlffm_segdiff.cli.app import COMMAND, app, run
from mlffm_segdiff.data.synthetic import write_folder
from mlffm_segdiff.data.table import DATASETS
from mlffm_segdiff.inference.demo import samples_folder
from mlffm_segdiff.inference.outputs.writers import WRITERS
from mlffm_segdiff.losses import LOSSES
from mlffm_segdiff.models.registry import MODELS
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.pretrained import save_segmenter
from mlffm_segdiff.segmenters.recipe import load_recipe

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
SHELL = ("sh", "bash", "console")

OTHERS = {
    "ray": "a cluster",
    "torchrun": "torch's own; tests/training/test_replicas.py runs such a line",
    "docker": "a container engine; tools/check_release.py runs what the image runs",
    "pytest": "the tests themselves",
    **dict.fromkeys(("ruff", "mypy", "lint-imports"), "checks of the source"),
    "nnUNetv2_plan_and_preprocess": "nnU-Net's own",
    "nnUNetv2_train": "nnU-Net's own",
    "nnUNetv2_predict": "nnU-Net's own",
    "gdcmconv": "GDCM's own",
    "mkdir": "the shell's own",
    "label-studio": "Label Studio's own",
    **dict.fromkeys(("pip", "uv", "pipx", "conda"), "installers"),
}
PARSED_ONLY = {
    "study run evidence --source ... -o /shared/evidence launcher.name=ray": "a Ray cluster",
    "predict -i s3://bucket/photos -o /shared/results --engine ray": "a Ray cluster",
    "study run evidence --source isic2018=/shared/isic2018": "a Slurm cluster",
    "study run models": "153 trainings",
    "benchmark -o speed --threads 2": "hours; tests/cli/test_benchmark.py runs it in small",
    "plan ": "minutes; tests/cli/test_plan_job.py runs it in small",
    "serve": "runs until it is stopped; tests/serve runs it",
    "demo": "tests/cli/test_demo.py runs it",
    "--install-completion": "changes the user's shell",
    "--show-completion": "needs a shell above it; tests/cli/test_app.py shows it",
    "train my_unet.yaml": "a recipe of the reader",
    "train examples/own_parts/recipe.yaml": "needs the example installed; its own test trains it",
}
STAND_INS = (
    (r"--source isic2018=\S+( --source ph2=\S+)?( --source ham10000=\S+)?", "--source folder=lesions"),
    (r"--source '?(ph2|ham10000|cvat|wounds)=\S+", "--source folder=lesions"),
    (r"data (check|split|plan) (isic2018|ham10000|cvat|yolo|NAME) \S+", r"data \1 folder lesions"),
    (r"--sizes \S+", "--sizes 10/5/5"),
    (r"data nnunet isic2018 \S+", "data nnunet folder lesions"),
    (r"\$nnUNet_raw", "raw"),
    (r"\$nnUNet_preprocessed", "preprocessed"),
    (r"folder([ =])MINE", r"folder\1lesions"),
    (r"--masks (PREDICTED|predicted)", "--masks lesions/masks"),
    (r"--truth (TRUTH|raw/\S+)", "--truth lesions/masks"),
    (r"=OURS --masks nnunet=THEIRS", "=our_masks --masks nnunet=their_masks"),
    (r"-i IMAGES", "-i images"),
    (r"runs/isic2018 -o", "runs/isic2018 --part val -o"),
    (r"-o FOLDER\b", "-o made"),
    (r" train\.devices=4$", ""),  # tests/training/test_replicas.py runs two processes
    (r"^(train (?!--resume).*--run) runs/\w+$", r"\1 runs/new"),
    (r"--count 100", "--count 2"),
    (r"study (plan|run) (?!models)\S+", r"study \1 small.yaml"),
    (r"--reuse \S+", "--reuse studies/small"),
    (r"study report \S+", "study report studies/small"),
    (r"study repeat \S+ \w+", "study repeat studies/small CELL"),
    (r"evaluate default (--part val --calibrate)", r"evaluate runs/isic2018 \1"),
    (r"export default", "export unet"),
    (r"--runtime onnx$", "--runtime onnx --weights unet"),
)
SHORT = {
    "train": "model.size=tiny train.init=null data.size=32 data.workers=0 data.synthetic_count=20 "
    "train.images=16 train.batch_size=8 train.validate_every=16 train.precision=float32 --threads 1",
    "benchmark": "--weights runs/isic2018 --only predict --images 2 --repeats 1 --precision float32",
}
NAMES = {
    "np": "numpy",
    "Image": "PIL.Image",
    "json": "json",
    "pandas": "pandas",
    "shapely": "shapely.geometry",
    "highdicom": "highdicom",
    "pycocotools": "pycocotools.coco",
}
STUDY = """
name: small
variants: {full: {recipe: synthetic}}
datasets: {folder: {}}
seeds: [3]
overrides: [model.size=tiny, data.size=32, data.workers=0, train.images=8, train.batch_size=8,
  train.validate_every=8, train.precision=float32]
baseline: full
launcher: {threads: 1}
"""


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Yield language and text of each block of code; an indented one has no language."""
    text = page.read_text(encoding="utf-8")
    yield from re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for found in re.findall(
        r"((?:^ {4}\S?.*\n)+)", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.M
    ):
        yield "", re.sub(r"^ {4}", "", found, flags=re.MULTILINE)


def shell_lines(page: Path) -> Iterator[str]:
    """Yield each command of a page: of shell blocks every one, of indented ones those of programs we know."""
    for language, text in blocks(page):
        for line in re.sub(r"\\\n\s*", "", text).splitlines():
            words = re.sub(r"\s+#.*", "", line).strip()
            known = re.match(
                r"(\S*/)?(mlffm-segdiff|make|pip|python|ray|nnUNetv2_\w+|OMP_\w+=\S+) ", words + " "
            )
            if words and language in (*SHELL, "") and (language or known):
                yield words


COMMANDS = sorted({(page.name, line) for page in PAGES for line in shell_lines(page)})
OURS = [(page, line) for page, line in COMMANDS if line.removeprefix(".venv/bin/").startswith(COMMAND)]
PYTHON = [
    (page.name, text)
    for page in PAGES
    for language, text in blocks(page)
    if language == "python" and "sys.argv" not in text  # a file of examples/, which runs in tests/examples
]


def arguments(line: str) -> str:
    """Return our command without its name."""
    return line.removeprefix(".venv/bin/").removeprefix(COMMAND).strip()


def is_parsed_only(line: str) -> bool:
    return any(arguments(line).startswith(start) for start in PARSED_ONLY)


def stand_in(line: str) -> str:
    """Return a command's arguments with ours in place of the reader's names."""
    found = arguments(line)
    for pattern, text in STAND_INS:
        found = re.sub(pattern, text, found)
    return found


def read(words: list[str]) -> None:
    """Let the real command line read the words, and do nothing. Raises TyperException for what it refuses."""
    command = typer.main.get_command(app)
    context = command.make_context(COMMAND, list(words))
    while hasattr(command, "resolve_command"):
        left = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, left)
        context = command.make_context(name, rest, parent=context)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, dicom_photo: Path) -> Path:
    """A folder with what the commands name: lesions, images, a run, a study."""
    folder = tmp_path_factory.mktemp("reader")
    write_folder(folder / "lesions", 20, 48, seed=3)
    for masks in ("our_masks", "their_masks"):
        shutil.copytree(folder / "lesions" / "masks", folder / masks)
    (folder / "images").mkdir()
    for name, target in (("sample_5", "images/a"), ("sample_6", "images/b")):
        shutil.copy(samples_folder() / f"{name}.png", folder / f"{target}.png")
    shutil.copy(folder / "images" / "a.png", folder / "lesion.jpg")
    shutil.copy(folder / "images" / "b.png", folder / "other.png")
    (folder / "small.yaml").write_text(STUDY)
    lesions = f"--source folder={folder / 'lesions'}"
    trained = f"train synthetic {SHORT['train']} {lesions} --run {folder / 'runs' / 'isic2018'} -q"
    assert run(trained.split()) == 0
    shutil.copytree(folder / "runs" / "isic2018", folder / "runs" / "mine")
    recipe = load_recipe("unet", ["model.widths=[4,8]", "model.residual_units=1", "data.size=32"])
    save_segmenter(build_segmenter(recipe), recipe, folder / "unet")  # the network that is exported fastest
    for name in ("lesion.dcm", "a.dcm"):
        shutil.copy(dicom_photo, folder / name)
    every = " ".join(f"-w {product}" for product in WRITERS)
    weights = f"--weights {folder}/runs/isic2018 --samples 2"
    for table, out in (("csv", "OUT"), ("parquet", "PARQUET")):
        shown = f"predict -i {folder}/a.dcm -o {folder}/{out} {weights} -q {every} --table {table}"
        assert run(shown.split()) == 0
    shutil.copy(folder / "PARQUET" / "predictions.parquet", folder / "OUT")
    assert run(["export", str(folder / "unet"), "-q", "-o", str(folder / "OUT" / "graphs")]) == 0
    return folder


@pytest.fixture(scope="module")
def cell(place: Path) -> str:
    """The key of the only cell of a finished study."""
    before = Path.cwd()
    os.chdir(place)
    try:
        assert run(["study", "run", "small.yaml", "--source", "folder=lesions", "-q"]) == 0
    finally:
        os.chdir(before)
    (found,) = (place / "studies" / "small" / "cells").iterdir()
    return found.name


@pytest.fixture
def within(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the reader's folder, to work in."""
    work = tmp_path / "work"
    shutil.copytree(place, work)
    monkeypatch.chdir(work)
    return work


def test_the_pages_have_commands_of_every_verb() -> None:
    assert len(OURS) > 35
    verbs = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert {"train", "predict", "serve", "doctor"} <= verbs
    assert verbs - {"demo"} <= {arguments(line).split()[0] for _, line in OURS}


@pytest.mark.parametrize(("page", "line"), OURS)
def test_our_commands_are_read_by_the_real_command_line(page: str, line: str) -> None:
    words = shlex.split(stand_in(line).replace(" ...", " folder=lesions"))
    if words[0].startswith("--"):
        assert words[0] in known_options()
    else:
        read(words)


@pytest.mark.parametrize(
    "line", ["train isic2018 --fast", "predcit -i a -o b", "export default -o x --format gguf"]
)
def test_what_is_not_a_command_is_refused(line: str) -> None:
    with pytest.raises(typer.TyperException):
        read(line.split())


RUN = {stand_in(line): f"{page}: {line}" for page, line in OURS if not is_parsed_only(line)}


@pytest.mark.parametrize("words", RUN, ids=RUN.values())
def test_our_commands_run(words: str, within: Path, request: pytest.FixtureRequest) -> None:
    if "studies/small" in words:
        words = words.replace("CELL", request.getfixturevalue("cell")[:6])
        shutil.copytree(request.getfixturevalue("place") / "studies", within / "studies", dirs_exist_ok=True)
    found = shlex.split(words)
    if found[0] == "export":
        shutil.rmtree(within / "OUT")
    if "--resume" not in found:
        found += SHORT.get(found[0], "").split()
    assert run(found) == 0


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools 2.0.11
@pytest.mark.parametrize(("page", "text"), PYTHON)
def test_python_runs(page: str, text: str, within: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for registry in (DATASETS, LOSSES, MODELS):  # a block may register a part, which ends with it
        monkeypatch.setattr(registry, "_parts", dict(registry))
    modules = [name for name in NAMES if re.search(rf"\b{name}\.", text)]
    imported = {
        name: pytest.importorskip(NAMES[name], reason=f"{page} reads files with it") for name in modules
    }
    exec(
        compile(text, page, "exec"), {name: sys.modules.get(name, found) for name, found in imported.items()}
    )


@pytest.mark.parametrize("name", ["segment.py", "segment.mjs"])
def test_pages_show_the_example_files(name: str) -> None:
    example = (ROOT / "examples" / "graph" / name).read_text("utf-8").strip()
    assert example in [text.strip() for _, text in blocks(ROOT / "docs" / "MASKS.md")]


OTHER_LINES = [pair for pair in COMMANDS if pair not in OURS]


@pytest.mark.parametrize(("page", "line"), OTHER_LINES)
def test_other_commands_name_what_is_there(page: str, line: str) -> None:
    words = [word for word in shlex.split(line) if not re.match(r"[A-Z_]+=", word)]
    check = {"make": check_make, "pip": check_pip, "python": check_script, "eval": check_completion}.get(
        words[0]
    )
    if check is None:
        assert words[0] in OTHERS
    else:
        check(words[1:])


def check_make(words: list[str]) -> None:
    assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def check_pip(words: list[str]) -> None:
    (extras,) = re.findall(r"\[([\w,]+)\]", " ".join(words)) or [""]
    known = re.findall(r"^(\w+) = \[$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert (ROOT / "constraints.txt").is_file()
    assert set(filter(None, extras.split(","))) <= set(known)


def check_script(words: list[str]) -> None:
    if words[0] == "-m":
        assert find_spec(words[1])
    else:
        assert (ROOT / words[0]).is_file()


def check_completion(words: list[str]) -> None:
    """tests/cli/test_app.py lets bash read it."""
    assert words == ["$(_MLFFM_SEGDIFF_COMPLETE=source_bash mlffm-segdiff)"]


def known_options() -> set[str]:
    """Return every option of every verb."""

    def walk(command: object) -> Iterator[str]:
        for parameter in command.params:
            yield from (*parameter.opts, *parameter.secondary_opts)
        for inner in getattr(command, "commands", {}).values():
            yield from walk(inner)

    return {*walk(typer.main.get_command(app)), "--help"}


@pytest.mark.parametrize("page", [page.name for page in PAGES])
def test_every_option_that_words_name_is_one(page: str) -> None:
    text = next(path for path in PAGES if path.name == page).read_text(encoding="utf-8")
    words = re.sub(r"^```.*?^```$|^ {4}[^\n]*$", "", text, flags=re.MULTILINE | re.DOTALL)
    codes = [code for code in re.findall(r"`([^`\n]+)`", words) if code.split()[0] not in OTHERS]
    named = {option for code in codes for option in re.findall(r"(?<!\S)--[a-z][\w-]*", code)}
    assert named <= known_options()
