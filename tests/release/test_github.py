"""GitHub's files are of the form that GitHub reads, and name files and commands of the project."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = {path.stem: path for path in sorted((GITHUB / "workflows").glob("*.yml"))}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def jobs(name: str) -> dict[str, dict[str, Any]]:
    found = yaml.load(WORKFLOWS[name].read_text("utf-8"), yaml.BaseLoader)  # otherwise "on" is a bool
    assert {"name", "on", "permissions", "jobs"} <= set(found)
    assert found["permissions"] == {"contents": "read"}
    return dict(found["jobs"])


def test_the_tests_run_on_every_system_and_python_that_the_package_names() -> None:
    matrix = jobs("test")["test"]["strategy"]["matrix"]
    assert matrix["os"] == ["ubuntu-latest", "macos-latest", "windows-latest"]
    classifiers = "\n".join(PROJECT["classifiers"])
    assert matrix["python"] == re.findall(r"^Programming Language :: Python :: (3\.\d+)$", classifiers, re.M)
    assert PROJECT["requires-python"] == f">={matrix['python'][0]}"


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_job_is_complete(name: str) -> None:
    found = jobs(name)
    for job in found.values():
        if "uses" in job:
            assert (ROOT / job["uses"]).is_file()
        else:
            assert int(job["timeout-minutes"]) <= 90
            assert all(("run" in step) != ("uses" in step) for step in job["steps"])
        assert {job.get("needs", next(iter(found)))} <= set(found)


def test_the_checks_are_those_of_make_test_and_the_scripts_exist() -> None:
    steps = [step for name in WORKFLOWS for job in jobs(name).values() for step in job.get("steps", [])]
    runs = [step["run"] for step in steps if "run" in step]
    target = (ROOT / "Makefile").read_text("utf-8").partition("\ntest: ")[2].partition("\n\n")[0]
    assert set(re.findall(r"\$\(BIN\)/(.+)", target)) <= set(runs)
    scripts = [match[1] for run in runs for match in re.finditer(r"python (tools/\w+\.py)", run)]
    assert scripts
    assert all((ROOT / script).is_file() for script in scripts)


@pytest.mark.parametrize("name", ["bug", "feature", "question"])
def test_issue_forms_ask_for_something(name: str) -> None:
    form = yaml.safe_load((GITHUB / "ISSUE_TEMPLATE" / f"{name}.yml").read_text("utf-8"))
    assert {"name", "description", "labels", "body"} <= set(form)
    questions = [part for part in form["body"] if part["type"] != "markdown"]
    assert any(part.get("validations", {}).get("required") for part in questions)
    assert len({part["id"] for part in questions}) == len(questions)


def test_pre_commit_runs_the_linters_of_the_project() -> None:
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    hooks = {hook["id"] for repository in repositories for hook in repository["hooks"]}
    assert {"ruff-check", "ruff-format", "check-yaml", "check-added-large-files"} <= hooks


@pytest.mark.parametrize("name", ["SECURITY.md", "CODE_OF_CONDUCT.md", "RELEASING.md"])
def test_links_of_the_project_pages_lead_somewhere(name: str) -> None:
    links = re.findall(r"\]\(([^)#]+)", (ROOT / name).read_text("utf-8"))
    assert all((ROOT / link).exists() for link in links if "://" not in link)
