"""Documents, specs and the schema say what is so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from deeplense_registry.cli import main
from deeplense_registry.cli.main import VERBS, parser
from deeplense_registry.spec import expand, json_schema, load_spec

ROOT = Path(__file__).parents[1]
SPECS = sorted((ROOT / "specs").glob("*.toml"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("plugins/*/*/README.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.name)
def test_every_spec_is_right(path: Path) -> None:
    assert expand(load_spec(path))


def test_the_schema_is_that_of_the_installed_plugins() -> None:
    written = json.loads((ROOT / "specs" / ".schema.json").read_text())
    assert written == json.loads(json.dumps(json_schema())), "make docs"


def test_the_specs_obey_the_schema() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("tombi"), "lint", "--offline", *SPECS], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_specs_in_documents_are_right(page: Path, tmp_path: Path) -> None:
    """Whole specs, that is; pyprojects and single tables are for other tests and for reading."""
    for number, text in enumerate(blocks(page, "toml")):
        document = tomllib.loads(text)
        if {"dataset", "method", "backbone"} <= document.keys() and "barlow" not in document["method"]:
            path = tmp_path / f"{number}.toml"
            path.write_text(text)
            assert expand(load_spec(path)), text


def test_every_verb_of_the_readme_exists() -> None:
    known = {line.split()[0] for verb in VERBS for line in [verb.__name__.rpartition(".")[2]]}
    named = set(re.findall(r"bin/deeplense (\w+)", (ROOT / "README.md").read_text()))
    assert named <= known, named - known
    assert "run" in named


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    assert all(verb.__name__.rpartition(".")[2] in said for verb in VERBS)
    assert parser().prog == "deeplense"


def test_links_in_documents_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_projects_agree_on_version_and_python() -> None:
    projects = [tomllib.loads(path.read_text())["project"] for path in [ROOT / "pyproject.toml", *project_files()]]
    assert {project["version"] for project in projects} == {projects[0]["version"]}
    assert {project["requires-python"] for project in projects} == {">=3.11"}


def project_files() -> list[Path]:
    return sorted(ROOT.glob("plugins/*/*/pyproject.toml"))


@pytest.mark.parametrize("path", project_files(), ids=lambda path: path.parent.name)
def test_plugins_are_named_alike(path: Path) -> None:
    """A folder of a kind, a distribution, a package and entry points of that kind, and no tool configuration."""
    project = tomllib.loads(path.read_text())
    kind = path.parents[1].name
    name = project["project"]["name"]
    assert name == f"deeplense-{path.parent.name}"
    points = project["project"]["entry-points"]
    assert list(points) == [f"deeplense.{kind}"]
    assert set(points[f"deeplense.{kind}"].values()) == {name.replace("-", "_")}
    assert set(project.get("tool", {})) == {"hatch"}
    assert (path.parent / "README.md").exists()
