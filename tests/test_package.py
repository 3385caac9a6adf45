"""What is published: a source archive, and the wheel made from it, which works by itself."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import sdegrad

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]


def run(*command, **variables):
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": "", **variables})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Made from the source archive, and that from a copy, so that nothing is left in the working tree."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "impls", source / "impls", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    run(sys.executable, "-m", "build", "--no-isolation", str(source))
    archive, made = sorted((source / "dist").iterdir(), key=lambda file: file.suffix)
    assert archive.name == f"sdegrad-{sdegrad.__version__}.tar.gz"
    return made


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The interpreter of an environment that holds the wheel alone."""
    venv.create(folder := tmp_path_factory.mktemp("empty"), with_pip=False)
    run(*(sys.executable, "-m", "pip", "--python", str(folder / "bin/python")), "install", "--no-deps", str(wheel))
    return folder / "bin/python"


def test_the_wheel_holds_the_library_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0] for name in names} == {"sdegrad", f"sdegrad-{sdegrad.__version__}.dist-info"}
    sources = {path.relative_to(ROOT / "impls").as_posix() for path in (ROOT / "impls/sdegrad").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == sources
    assert "sdegrad/py.typed" in names


def test_it_imports_in_an_empty_environment(python):
    program = "import importlib.metadata, sdegrad, sdegrad.methods\n"
    program += "print(sdegrad.__file__, sdegrad.__version__, importlib.metadata.version('sdegrad'), sep='\\n')"
    file, *versions = run(str(python), "-c", program)
    assert Path(file).is_relative_to(python.parents[1])
    assert versions == [sdegrad.__version__, sdegrad.__version__]


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_the_libraries_import_with_their_frameworks_alone(python, library):
    program = f"import sdegrad.{library}; print(sdegrad.{library}.__file__)"
    (file,) = run(str(python), "-c", program, PYTHONPATH=sysconfig.get_path("purelib"))
    assert Path(file).is_relative_to(python.parents[1])


def test_there_is_one_version():
    """And what cites or describes the project has the same."""
    assert re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)[1] == sdegrad.__version__
    assert f"## [{sdegrad.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "version" in project["dynamic"]
    assert "version" not in project
