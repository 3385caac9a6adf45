"""Every command of the project: `nox --list` shows them.

All but lint and tests_lowest share one environment, .nox/suite: it takes a minute and two gigabytes. It is made from
the dependency groups of pyproject.toml under constraints.txt, and again when one of the two or the version changes.
With --third-party it is .nox/third that a command runs in: that one, and the libraries of impls/third_party over it.
"""

import hashlib
import json
import os
import shlex
import sys
from itertools import pairwise
from pathlib import Path

import nox

nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "typecheck", "tests"]

ROOT = Path(__file__).parent
SHARED = ROOT / ".nox" / "suite"
THIRD = ROOT / ".nox" / "third"
INTERPRETER = "Scripts/python.exe" if os.name == "nt" else "bin/python"
PYTHON = SHARED / INTERPRETER
SCHEMAS = {
    "vendor.github-workflows": ".github/workflows/*.yml",
    "vendor.github-issue-forms": ".github/ISSUE_TEMPLATE/[!c]*.yml",
    "vendor.github-issue-config": ".github/ISSUE_TEMPLATE/config.yml",
    "vendor.citation-file-format": "CITATION.cff",
}
# Tests of one file stay in one process, since they share what they compile and draw; files in the order of the tests.
PARALLEL = ("-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder")
OPTION = "--third-party"
CONSTRAINED = {"PIP_CONSTRAINT": str(ROOT / "constraints.txt")}


def run(session: nox.Session, *command: str, success_codes: tuple[int, ...] = (0,)) -> None:
    """`python -m command` in the shared environment, which is made or renewed if need be."""
    wanted = digest("pyproject.toml", "constraints.txt", "impls/sdegrad/__init__.py")
    stamp = SHARED / "made-from"
    if not stamp.exists() or stamp.read_text() != wanted:
        session.log("making the environment .nox/suite (about a minute, once)")
        groups = nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "typecheck")
        session.run(sys.executable, "-m", "virtualenv", "--quiet", str(SHARED), external=True)
        pip = (str(PYTHON), "-m", "pip", "install", "--quiet")
        session.run(*pip, *groups, env=CONSTRAINED, external=True)
        session.run(*pip, "--no-deps", "--editable", str(ROOT), env=CONSTRAINED, external=True)
        stamp.write_text(wanted)
    python = third_party(session, wanted) if OPTION in command else PYTHON
    rest = [argument for argument in command if argument != OPTION]
    session.run(str(python), "-m", *rest, env=CONSTRAINED, external=True, success_codes=success_codes)


def digest(*files: str) -> str:
    return hashlib.sha256(b"".join((ROOT / file).read_bytes() for file in files)).hexdigest()


def third_party(session: nox.Session, below: str) -> Path:
    """The interpreter of .nox/third, which is made or renewed if need be. It sees the shared environment, of digest
    `below`, and what is installed in itself before that; so their pins may differ."""
    wanted, stamp, python = below + digest("impls/third_party/pyproject.toml"), THIRD / "made-from", THIRD / INTERPRETER
    if not stamp.exists() or stamp.read_text() != wanted:
        session.log("making the environment .nox/third (half a minute, once)")
        session.run(sys.executable, "-m", "virtualenv", "--quiet", "--clear", str(THIRD), external=True)
        where = "import sysconfig; print(sysconfig.get_path('purelib'))"
        shared, own = (
            str(session.run(str(p), "-c", where, silent=True, external=True)).strip() for p in (PYTHON, python)
        )
        (Path(own) / "shared.pth").write_text(f"import site; site.addsitedir({shared!r})\n")
        folder = str(ROOT / "impls" / "third_party")
        session.run(str(python), "-m", "pip", "install", "--quiet", "-e", folder, env=CONSTRAINED, external=True)
        stamp.write_text(wanted)
    return python


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """All tests, the fast statistical ones among them, on all cores. Arguments go to pytest."""
    run(session, "pytest", *PARALLEL, *session.posargs)


@nox.session
def tests_lowest(session: nox.Session) -> None:
    """The tests of both libraries with the lowest versions that pyproject.toml allows. Arguments go to pytest."""
    pyproject = nox.project.load_toml("pyproject.toml")
    extras = pyproject["project"]["optional-dependencies"]
    allowed = pyproject["project"]["dependencies"] + extras["torch"] + extras["diffrax"]
    lowest = [requirement.replace(">=", "==") for requirement in allowed]
    session.install(*lowest, *nox.project.dependency_groups(pyproject, "tests"))
    session.install("--no-deps", "--editable", ".")
    session.run("pytest", *PARALLEL, "tests/torch", "tests/jax", *session.posargs)


@nox.session(venv_backend="none")
def bench(session: nox.Session) -> None:
    """The main job: measure every implementation on the same work, write the report, print the headline table.
    `-- --third-party`: the libraries of impls/third_party too."""
    run(session, "suite.run", *session.posargs)


@nox.session(venv_backend="none")
def verify(session: nox.Session) -> None:
    """Check what libraries claim and theory says, and write reports/out/verification.csv; `-- --quick` is for CI, and
    `-- --third-party` for the libraries of impls/third_party too."""
    run(session, "suite.verify", *session.posargs)


@nox.session
def mutate(session: nox.Session) -> None:
    """Do the tests notice small changes of a module? Arguments: the FILE or FOLDER to change, the tests that are to
    notice, other arguments of pytest. Changes are made in place and taken back, so commit first; each takes as long as
    the tests do; what no test noticed is printed."""
    if len(session.posargs) < 2:
        session.error("name what to change and its tests: nox -s mutate -- MODULE TESTS...")
    module, *arguments = session.posargs
    run(session, "pytest", "-q", *arguments)  # they pass, or nothing is noticed
    session.env.update(CONSTRAINED)
    session.install(*nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "mutate"))
    config, found = (str(Path(session.create_tmp()) / name) for name in ("cosmic-ray.toml", "found.sqlite"))
    command = shlex.join([str(PYTHON), "-m", "pytest", "-x", "-q", *arguments])
    wanted = {"module-path": module, "timeout": 300.0, "excluded-modules": [], "test-command": command}
    lines = ["[cosmic-ray]", *(f"{key} = {json.dumps(value)}" for key, value in wanted.items())]
    Path(config).write_text("\n".join([*lines, "[cosmic-ray.distributor]", 'name = "local"', ""]))
    session.run("cosmic-ray", "init", "--force", config, found)
    session.run("cosmic-ray", "exec", config, found)
    session.run("cr-report", "--surviving-only", "--show-diff", found)


@nox.session(venv_backend="none")
def train(session: nox.Session) -> None:
    """Train a neural SDE by each experiment and library, three seeds each; prints how near it comes, and how soon.
    `-- --preset tiny`: a look; `-- --preset gpu --device cuda`: larger, on a GPU."""
    run(session, "suite.train", *session.posargs)


@nox.session(venv_backend="none")
def report(session: nox.Session) -> None:
    """Write the report again from the results. Arguments: a results file, --out FOLDER."""
    run(session, "reports", *session.posargs)


@nox.session(venv_backend="none")
def site(session: nox.Session) -> None:
    """The report as a site of static pages, reports/out/site. Arguments: results files, --out FOLDER."""
    run(session, "reports.site", *session.posargs)


@nox.session(venv_backend="none")
def regress(session: nox.Session) -> None:
    """HEAD against a base commit (default: the one before): exits 1 if it is slower or less accurate, 2 if that cannot
    be told."""
    run(session, "suite.regress", *session.posargs)


@nox.session(venv_backend="none")
def check(session: nox.Session) -> None:
    """Verify and measure a library of your own. Arguments: the FOLDER of its package, its NAME, options of
    `python -m suite`; paths are relative to where you are."""
    if len(session.posargs) < 2:
        session.error("name the folder of your package and your implementation: nox -s check -- FOLDER NAME")
    here = Path(session.invoked_from)
    folder, *arguments = session.posargs
    run(session, "pip", "install", "--quiet", "--editable", str(here / folder))
    files = ("--junit", "--json", "--out")
    split = [part for a in arguments for part in (a.split("=", 1) if a.partition("=")[0] in files else [a])]
    run(session, "suite", *(str(here / a) if before in files else a for before, a in pairwise(["", *split])))


@nox.session(venv_backend="none")
def compare(session: nox.Session) -> None:
    """The libraries head to head with pytest-benchmark, whose options it takes; JSON in reports/out/compare.json."""
    (ROOT / "reports" / "out").mkdir(exist_ok=True)
    bare = ("-o", "addopts=--import-mode=importlib", "--benchmark-json=reports/out/compare.json")
    run(session, "pytest", "tests/compare", *bare, *session.posargs)


@nox.session(venv_backend="none")
def history(session: nox.Session) -> None:
    """Our own figures over the commits, and the steps in them, as a page; goes on where it stopped."""
    run(session, "suite.regress.history", *session.posargs)


@nox.session(venv_backend="none")
def typecheck(session: nox.Session) -> None:
    """Pyright, on everything but the tests themselves."""
    run(session, "pyright", "--pythonpath", str(PYTHON))


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: rules and format. The files that describe the project to others: their schemas, and safe workflows."""
    session.env.update(CONSTRAINED)
    session.install(*nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    for schema, pattern in SCHEMAS.items():
        files = [str(file.relative_to(ROOT)) for file in sorted(ROOT.glob(pattern))]
        session.run("check-jsonschema", "--builtin-schema", schema, *files)
    session.run("zizmor", "--offline", ".github")
