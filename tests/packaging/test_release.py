"""What is said about the package outside of it agrees with it, and what is published can be built again byte by byte."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from typing import Any

import pytest
import yaml

import quivo_frames as qf
from quivo_frames.analysis.checks.audit import CHECKS
from quivo_frames.model.tables import TABLES
from tests.packaging.check_release import explain_refusal
from tests.packaging.write_sbom import make_document
from tests.support.paths import ROOT
from tests.support.reader_environment import PYTHON as READER_PYTHON

UV = shutil.which(ROOT / ".uv" / "bin" / "uv") or shutil.which("uv")
TOOLS = ROOT / ".venv-release" / "bin"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
RECIPE = yaml.safe_load((ROOT / "docs" / "recipes" / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
GITHUB = ROOT / ".github"
FORMS = sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml"))
SCHEMAS = {
    "github-issue-forms": [file for file in FORMS if file.stem != "config"],
    "github-issue-config": [GITHUB / "ISSUE_TEMPLATE" / "config.yml"],
    "github-workflows": sorted((GITHUB / "workflows").glob("*.yml")),
    "dependabot": [GITHUB / "dependabot.yml"],
    "citation-file-format": [ROOT / "CITATION.cff"],
}


def conda_name(requirement: str) -> tuple[str, str]:
    """The name and the versions of a requirement in pyproject.toml, as conda has them."""
    found = re.fullmatch(r"([\w.-]+)(?:\[(\w+)\])?([^;]*)(?:;.*)?", requirement)
    assert found
    name, extra, versions = found.groups()
    return f"{name}-{extra}" if extra else name, versions.strip()


def conda_requirements(part: str) -> dict[str, str]:
    listed = RECIPE["requirements"][part]
    plain = [entry if isinstance(entry, str) else entry["then"] for entry in listed]
    return {name: versions for name, _, versions in (entry.partition(" ") for entry in plain)}


def test_the_conda_recipe_needs_what_the_package_needs() -> None:
    needed = dict(map(conda_name, PROJECT["dependencies"]))
    assert conda_requirements("run") == {"python": "", **needed}
    built_with = dict(map(conda_name, PYPROJECT["build-system"]["requires"]))
    assert conda_requirements("host") == {"python": "", "pip": "", **built_with}
    [conditional] = [entry for entry in RECIPE["requirements"]["run"] if isinstance(entry, dict)]
    [marked] = [entry for entry in PROJECT["dependencies"] if ";" in entry]
    assert (conditional["if"], marked.partition("; ")[2]) == ('match(python, "<3.14")', "python_version < '3.14'")


def test_the_conda_recipe_says_of_the_package_what_pyproject_says() -> None:
    context, about = RECIPE["context"], RECIPE["about"]
    assert (context["name"], context["version"]) == (PROJECT["name"], PROJECT["version"])
    assert f">={context['python_min']}" == PROJECT["requires-python"]
    assert (about["summary"], about["license"]) == (PROJECT["description"], PROJECT["license"])
    assert about["license_file"] == PROJECT["license-files"]
    urls = PROJECT["urls"]
    assert (about["homepage"], about["repository"]) == (urls["Homepage"], urls["Source"])
    assert about["documentation"] == urls["Documentation"]
    assert RECIPE["build"]["python"]["entry_points"] == [f"{k} = {v}" for k, v in PROJECT["scripts"].items()]


def test_all_addresses_of_the_project_are_those_of_pyproject() -> None:
    urls = PROJECT["urls"]
    owner = re.fullmatch(r"https://github\.com/([\w-]+)/[\w-]+", urls["Source"])
    assert owner
    places = [*FORMS, GITHUB / "pull_request_template.md", *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    for file in (*places, ROOT / "CITATION.cff"):
        for address in re.findall(rf"https://[\w./-]*{owner[1]}[\w./-]*", file.read_text(encoding="utf-8")):
            assert address.startswith((urls["Source"], urls["Documentation"])), (file, address)
    assert all(address.startswith((urls["Source"], urls["Documentation"])) for address in urls.values())


def test_a_checkout_gets_the_same_extras_by_make_by_hand_and_in_the_workflow() -> None:
    files = [ROOT / "Makefile", ROOT / "CONTRIBUTING.md", GITHUB / "workflows" / "ci.yml"]
    synced = [
        re.search(r"(?:SYNC\)?|uv sync)[^\n]*--extra lab[^\n]*", file.read_text(encoding="utf-8")) for file in files
    ]
    extras = [sorted(re.findall(r"--extra (\w+)", found.group())) for found in synced if found]
    assert extras == [extras[0]] * len(files)


def test_names_that_a_form_gives_as_examples_are_there() -> None:
    [example] = re.findall(
        r'placeholder: "(\w+\.\w+; .*)"', (GITHUB / "ISSUE_TEMPLATE" / "wrong-number.yml").read_text("utf-8")
    )
    column, kpi, check = example.split("; ")
    table, _, name = column.partition(".")
    assert name in TABLES[table].schema
    assert kpi in qf.kpis(qf.flatten([])).definitions
    assert check in CHECKS


def test_the_lock_and_the_changelog_know_the_version() -> None:
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    [locked] = [package["version"] for package in lock["package"] if package["name"] == PROJECT["name"]]
    changes = re.findall(r"^## (\d.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert (locked, changes[0]) == (PROJECT["version"], PROJECT["version"])


def test_the_page_on_stability_names_tests_that_are_there() -> None:
    named = re.findall(r"`(tests/[\w/.]+)`", (ROOT / "docs" / "stability.md").read_text(encoding="utf-8"))
    assert len(named) > 8
    assert not [name for name in named if not (ROOT / name).exists()]


def test_a_release_of_another_version_or_from_another_repository_is_refused() -> None:
    tag, source = f"v{PROJECT['version']}", PROJECT["urls"]["Source"]
    assert explain_refusal(tag, source) is None
    assert "the version in pyproject.toml is" in str(explain_refusal("v0.0.1", source))
    assert "its source is" in str(explain_refusal(tag, "https://github.com/somebody/else"))


def test_hooks_run_what_is_installed_here_and_no_second_version() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    assert {repository["repo"] for repository in config["repos"]} == {"local"}
    assert {hook["language"] for hook in hooks} == {"system"}
    assert {hook["entry"].split("/")[0] for hook in hooks} == {".venv", ".uv"}


def export_tree(*words: str) -> str:
    if UV is None:
        pytest.skip("There is no uv")
    command = [UV, "export", "--quiet", "--frozen", "--no-default-groups", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("extras", [[], ["--extra", "all"]])
def test_the_list_of_components_is_the_tree_of_the_lock_and_the_same_each_time(extras: list[str]) -> None:
    exported: list[dict[str, Any]] = [
        json.loads(export_tree("--format", "cyclonedx1.5", *extras)) for _ in range(2)
    ]  # fmt: skip
    assert exported[0]["serialNumber"] != exported[1]["serialNumber"]
    document, again = map(make_document, exported)
    assert document == again
    listed = export_tree("--no-hashes", "--no-annotate", "--no-header", "--no-emit-project", *extras)
    pinned = {line.split(";")[0].strip().replace("==", "@") for line in listed.splitlines()}
    assert {f"{found['name']}@{found['version']}" for found in document["components"]} == pinned
    assert document["metadata"]["component"]["purl"] == f"pkg:pypi/quivo-frames@{PROJECT['version']}"
    names = {found["name"] for found in document["components"]}
    assert {"polars", "click"} <= names
    assert not names & {"pytest", "ruff", "twine", "pyspark"}


@pytest.mark.long
@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_for_github_fit_their_schemas(schema: str) -> None:
    if not READER_PYTHON.exists():
        pytest.skip("There is no .venv-readers: make .venv-readers/.made")
    words = [READER_PYTHON, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *SCHEMAS[schema]]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[:2000]


@pytest.mark.long
@pytest.mark.parametrize(
    "words", [["hadolint", "docs/recipes/Containerfile"], ["pre-commit", "validate-config"], ["repo-review", "."]], ids=str
)  # fmt: skip
def test_what_looks_at_a_release_finds_nothing(words: list[str]) -> None:
    if not (TOOLS / words[0]).exists():
        pytest.skip("There is no .venv-release: make .venv-release/.made")
    done = subprocess.run([TOOLS / words[0], *words[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="has no users by number")
def test_the_container_is_of_no_root_and_has_no_secret() -> None:
    lines = (ROOT / "docs" / "recipes" / "Containerfile").read_text(encoding="utf-8").splitlines()
    steps = [line.split() for line in lines if line[:1].isupper()]
    assert [words[1:] for words in steps if words[0] == "USER"] == [["10001"]]
    assert [words[1] for words in steps if words[0] == "FROM"] == ["python:3.13-slim-trixie"]
    assert not [line for line in lines if re.match(r"(ENV|ARG) .*(KEY|PASSWORD|USERNAME|TOKEN)", line)]
