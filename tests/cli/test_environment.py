"""Options in the environment."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer

from mlffm_segdiff.cli.app import COMMAND, app
from mlffm_segdiff.cli.environment import Verb, environment_options, variables

Command = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "COMMANDS.md").read_text(encoding="utf-8")
DOCS = [path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")]


def verbs(group: object = None, path: str = COMMAND) -> Iterator[tuple[str, Verb]]:
    """Yield each verb with its words."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if isinstance(command, Verb):
            yield f"{path} {name}", command
        else:
            yield from verbs(command, f"{path} {name}")


def test_each_variable_means_one_option() -> None:
    seen: dict[str, set[str]] = {}
    for path, verb in verbs():
        for option in environment_options(verb):
            own, common = variables(path, option)
            seen.setdefault(own, set()).add(f"{path} {option.opts}")
            seen.setdefault(common, set()).add(str(max(option.opts, key=len)))
    assert len(seen) > 100
    assert all(len(options) == 1 for options in seen.values())
    assert not {"MLFFM_SEGDIFF_HELP", "MLFFM_SEGDIFF_VERSION", "MLFFM_SEGDIFF_CACHE"} & set(seen)


def test_every_verb_reads_its_environment() -> None:
    assert {path.removeprefix(f"{COMMAND} ") for path, _ in verbs()} >= {"predict", "study run", "data check"}
    assert all(isinstance(command, Verb) for _, command in verbs())


@pytest.mark.parametrize(
    ("variable", "value", "verb", "option", "expected"),
    [
        ("MLFFM_SEGDIFF_PREDICT_DEVICE", "CPU", "predict", "device", "cpu"),
        ("MLFFM_SEGDIFF_DEVICE", "cuda:1", "predict", "device", "cuda:1"),
        ("MLFFM_SEGDIFF_THREADS", "3", "predict", "threads", 3),
        ("MLFFM_SEGDIFF_JSON", "1", "predict", "as_json", True),
        ("MLFFM_SEGDIFF_QUIET", "false", "predict", "quiet", False),
        ("MLFFM_SEGDIFF_WRITE", "overlay review", "predict", "write", ["overlay", "review"]),
        ("MLFFM_SEGDIFF_API_KEY_FILE", "keys", "serve", "api_key_file", Path("keys")),
        ("MLFFM_SEGDIFF_TRAIN_DEVICE", "cpu", "predict", "device", "auto"),
        ("MLFFM_SEGDIFF_DEVICE", "", "predict", "device", "auto"),
    ],
)
def test_options_are_read_from_the_environment(
    variable: str, value: str, verb: str, option: str, expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    assert read(verb)[option] == expected


def test_the_command_line_takes_precedence_and_then_the_verb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFFM_SEGDIFF_DEVICE", "cuda")
    monkeypatch.setenv("MLFFM_SEGDIFF_PREDICT_DEVICE", "mps")
    assert read("predict")["device"] == "mps"
    assert read("predict", "--device", "cpu")["device"] == "cpu"
    monkeypatch.setenv("MLFFM_SEGDIFF_OUTPUT", "other")
    monkeypatch.setenv("MLFFM_SEGDIFF_INPUT", "image.png")
    assert read("predict")["output"] == Path("out")


def read(verb: str, *more: str) -> dict[str, object]:
    """Return the values that a verb gets, without running it."""
    needed = {"predict": ["-i", "a.png", "-o", "out"]}.get(verb, [])
    command = typer.main.get_command(app).commands[verb]
    parent = typer.main.get_command(app).make_context(COMMAND, [verb])
    return command.make_context(verb, [*needed, *more], parent=parent).params


@pytest.mark.parametrize(
    ("variable", "value", "arguments", "message"),
    [
        ("MLFFM_SEGDIFF_THREADS", "none", ["demo"], "'--threads'"),
        ("MLFFM_SEGDIFF_DEMO_THREADS", "0", ["demo"], "'--threads'"),
        ("MLFFM_SEGDIFF_DEVICE", "cuad", ["demo"], "did you mean cuda?"),
        ("MLFFM_SEGDIFF_DEVICE", "xpu", ["demo"], "no device xpu"),
        ("MLFFM_SEGDIFF_WEIGHTS", "no/such", ["demo"], "no/such"),
    ],
)
def test_errors_name_the_variable(
    variable: str,
    value: str,
    arguments: list[str],
    message: str,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv(variable, value)
    status, printed, error = command(*arguments, "-o", tmp_path)
    assert (status, printed) == (2, "")
    assert message in error
    assert f"(in the environment: {variable})" in error
    assert error.count("\n") == 1


def test_errors_of_other_values_do_not(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFFM_SEGDIFF_DEVICE", "cpu")
    monkeypatch.setenv("MLFFM_SEGDIFF_WEIGHTS", "of-no-effect")
    monkeypatch.setenv("MLFFM_SEGDIFF_THREADS", "1")
    _, _, error = command("predict", ROOT / "no.png", "--threshold", "1.5", "-o", tmp_path)
    assert "in the environment" not in error
    _, _, error = command("demo", "--weights", "no/such", "-o", tmp_path)
    assert "MLFFM" not in error


def test_the_help_says_how(command: Command) -> None:
    _, printed, _ = command("data", "check", "--help")
    assert "MLFFM_SEGDIFF_DATA_CHECK_SOME_OPTION, or MLFFM_SEGDIFF_SOME_OPTION" in " ".join(printed.split())
    assert "env var" not in printed


def variables_of(code: str) -> Iterator[str]:
    """Yield the names by which code reads or sets os.environ: written there, or constants of the module."""
    tree = ast.parse(code)
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(value=ast.Attribute(attr="environ"), slice=key):
                pass
            case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="environ")), args=[key, *_]):
                pass
            case _:
                continue
        named = constants.get(key.id) if isinstance(key, ast.Name) else key
        if isinstance(named, ast.Constant):
            yield named.value


def test_the_documentation_lists_every_other_variable() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py")]
    used = {name for code in sources for name in variables_of(code)}
    assert {"MLFFM_SEGDIFF_CACHE", "MLFFM_SEGDIFF_TRUST_CODE", "OMP_WAIT_POLICY"} <= used
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", PAGE, re.MULTILINE)) == used
    options = {
        name for path, verb in verbs() for one in environment_options(verb) for name in variables(path, one)
    }
    named = set(re.findall(r"\bMLFFM_SEGDIFF_[A-Z_]+\b", " ".join([*sources, *DOCS])))
    assert named - used - options <= {"MLFFM_SEGDIFF_VERB_OPTION", "MLFFM_SEGDIFF_OPTION"}
