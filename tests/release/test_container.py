"""Dockerfile and compose.yaml name options, routes, extras and files that exist."""

import re
import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from mlffm_segdiff.cli.app import app
from mlffm_segdiff.serve import app as serve_app

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
image_settings = runpy.run_path(str(ROOT / "tools" / "check_release.py"))["image_settings"]


def options(arguments: list[str]) -> dict[str, Any]:
    """Return the options of a verb as the real command line reads them. Raises TyperException."""
    verb = typer.main.get_group(app).commands[arguments[0]]
    return verb.make_context(arguments[0], list(arguments[1:])).params


def test_the_image_serves_all_networks_on_the_port_that_it_names() -> None:
    _, command, health, _ = image_settings(DOCKERFILE)
    assert command[0] == "mlffm-segdiff"
    served = options(command[1:])
    assert served["host"] == "0.0.0.0"
    assert f"\nEXPOSE {served['port']}\n" in DOCKERFILE
    path = re.search(rf"127\.0\.0\.1:{served['port']}(/\w+)'", health[-1])
    assert path is not None
    assert f'"{path[1]}"' in Path(serve_app.__file__).read_text("utf-8")


def test_extras_and_files_of_the_image_exist() -> None:
    variables, _, _, extras = image_settings(DOCKERFILE)
    known = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert set(extras.strip("[]").split(",")) <= set(known)
    assert variables["MLFFM_SEGDIFF_CACHE"].startswith("/tmp/")
    sent = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE)
    copied = " ".join(re.findall(r"^COPY ([\w./ ]+) \S+$", DOCKERFILE, re.MULTILINE)).split()
    assert sorted(sent) == sorted(copied)
    assert all((ROOT / name).exists() for name in copied)


def test_the_image_runs_as_an_unprivileged_user() -> None:
    user = re.search(r"^USER (\d+):(\d+)$", DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :], re.MULTILINE)
    assert user is not None
    assert "0" not in user.groups()


def test_only_the_proxy_is_published_and_the_server_cannot_write() -> None:
    server, proxy = COMPOSE["services"]["segdiff"], COMPOSE["services"]["proxy"]
    assert "ports" not in server
    assert server["read_only"]
    assert server["tmpfs"] == ["/tmp"]
    memory_mb = int(server["mem_limit"].removesuffix("g")) * 1024
    assert options(server["command"])["max_disk_mb"] <= memory_mb / 3  # what /tmp has is in memory
    assert server["cap_drop"] == ["ALL"]
    assert COMPOSE["networks"][server["networks"][0]]["internal"]
    assert options(server["command"])["host"] == "0.0.0.0"
    assert proxy["depends_on"]["segdiff"]["condition"] == "service_healthy"


def test_the_proxy_gets_its_settings_and_forwards_to_the_server() -> None:
    proxy = COMPOSE["services"]["proxy"]
    caddyfile = (ROOT / "Caddyfile").read_text("utf-8")
    assert set(re.findall(r"\{\$(\w+)\}", caddyfile)) == set(proxy["environment"])
    assert "reverse_proxy segdiff:8000" in caddyfile
    assert "basic_auth" in caddyfile
    limits = dict(re.findall(r"^request_body @(\w+) {\n\tmax_size (\d+)MiB$", caddyfile, re.MULTILINE))
    served = options(COMPOSE["services"]["segdiff"]["command"])
    assert limits == {"jobs": str(served["max_job_mb"]), "others": str(served["max_mb"])}


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml", "Caddyfile"])
def test_no_registry_or_machine_of_ours_is_named(name: str) -> None:
    addresses = re.findall(r"https?://([^/\s'\"]+)", (ROOT / name).read_text("utf-8"))
    assert set(addresses) <= {"download.pytorch.org", "127.0.0.1:8000"}
