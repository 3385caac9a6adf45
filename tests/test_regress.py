"""Commits with a planted regression turn the gate red, in the figures that are the same at every run; others do not.

Each is made in a repository of its own, from the sources as they are here, and goes the whole way: two wheels, a
process for each, the command's exit code.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TORCH = "impls/sdegrad/torch/methods/reversible_heun.py"
JAX = "impls/sdegrad/jax/methods/reversible_heun.py"
DISCRETE = "impls/sdegrad/torch/adjoints/discrete.py"
PARTS = ("impls", "suite", "pyproject.toml", "constraints.txt", "README.md", "LICENSE", ".gitignore")


def git(folder, *arguments):
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """One commit, of the sources as they are here; its wheel and figures are made once."""
    folder = tmp_path_factory.mktemp("planted") / "repository"
    folder.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for part in PARTS:
        source = ROOT / part
        copy = shutil.copy if source.is_file() else lambda a, b: shutil.copytree(a, b, ignore=ignored)
        copy(source, folder / part)
    git(folder, "init", "--quiet", "--initial-branch", "base")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "base")
    return folder


def gate(repository, pattern, base="base"):
    """The exit code of the gate on the last commit, and what it found: benchmark -> verdict."""
    out = repository / ".asv" / "found"
    command = [sys.executable, "-m", "suite.regress", base, "--deterministic", "--quick", "--bench", pattern]
    environment = os.environ | {"PYTHONPATH": f"{repository / 'impls'}{os.pathsep}{repository}"}
    done = subprocess.run(
        [*command, "--out", str(out)], cwd=repository, env=environment, capture_output=True, text=True
    )
    found = json.loads((out / "regress.json").read_text())
    assert found["exit_code"] == done.returncode, done.stderr
    return done.returncode, {f["benchmark"]: f["verdict"] for f in found["findings"]}


def plant(repository, file, old, new, message="planted"):
    """Commit one change on top of base."""
    git(repository, "checkout", "--quiet", "-B", "planted", "base")
    path = repository / file
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    git(repository, "commit", "--quiet", "--all", "-m", message)


# what -> (file, old, new, benchmarks to run, those that must be worse)
PLANTS = {
    "an extra evaluation": (
        TORCH,
        "    f1, g1 = field.f_and_g(t, zh1)\n    z1 =",
        "    field.f_and_g(t, z)\n    f1, g1 = field.f_and_g(t, zh1)\n    z1 =",
        "nfe_.* sdegrad_torch",
        ("nfe_drift", "nfe_diffusion"),
    ),
    "an extra copy of the state": (
        DISCRETE,
        "        ctx.solve = solve\n",
        "        ctx.solve, ctx.more = solve, y0.clone()\n",
        "gradient_memory sdegrad_torch",
        ("gradient_memory",),
    ),
    "an extra copy at every step": (
        TORCH,
        "    z0, f0, _, _ = state\n",
        "    z0, f0, _, _ = (x.clone() for x in state)\n",
        "operations sdegrad_torch",
        ("operations",),
    ),
    "an order lost": (
        TORCH,
        "z1 = field.add_product_(add_scaled_(z, f1, half * dt), g1, dW, half)",
        "z1 = field.add_product_(add_scaled_(z, f1, half * dt), g0, dW, half)",
        "strong_.* sdegrad_torch",
        ("strong_order", "strong_error"),
    ),
    "a gradient that is only nearly exact": (
        TORCH,
        "a_z.add_(a_zh, alpha=2)",
        "a_z.add_(a_zh, alpha=2 + 1e-9)",
        "gradient_error sdegrad_torch",
        ("gradient_error",),
    ),
    "a gradient that is only nearly exact, in JAX": (
        JAX,
        "a_y = (r.a_y**ω + 2 * a_hat**ω).ω",
        "a_y = (r.a_y**ω + (2 + 1e-9) * a_hat**ω).ω",
        "gradient_error sdegrad_jax",
        ("gradient_error",),
    ),
    "an extra evaluation, in JAX": (
        JAX,
        "        fields = field.at(t1, hat1)\n",
        "        fields = field.at(t1, (hat1**ω + 0 * field.contract(field.at(t1, hat1), dt, dW)**ω).ω)\n",
        "(nfe|operations).* sdegrad_jax",
        ("nfe_drift", "nfe_diffusion"),
    ),
}


BRIEF = ("a gradient that is only nearly exact",)


@pytest.mark.slow
@pytest.mark.parametrize("what", PLANTS)
def test_a_planted_regression_is_caught(repository, what, request):
    if what not in BRIEF and not request.config.getoption("--plants"):
        pytest.skip("takes a minute; with --plants")
    file, old, new, pattern, worse = PLANTS[what]
    plant(repository, file, old, new)
    code, found = gate(repository, pattern)
    assert code == 1, found
    assert set(worse) <= {name.partition(" ")[0] for name, verdict in found.items() if verdict == "worse"}


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_change_of_words_is_green(repository):
    plant(repository, TORCH, "# z0 + (f0 dt + g0 dW) / 2", "# half of the way")
    code, found = gate(repository, "(nfe|gradient_memory|operations|gradient_error).* sdegrad_torch")
    assert code == 0
    assert set(found.values()) == {"same"}
    assert len(found) > 5


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_change_that_is_meant_is_accepted(repository):
    file, old, new, pattern, _ = PLANTS["an extra evaluation"]
    plant(repository, file, old, new, "planted\n\nAccept-regression: nfe_(drift|diffusion)\n")
    code, found = gate(repository, pattern)
    assert code == 0, found
    assert "worse" in found.values()


@pytest.mark.slow
def test_a_base_without_what_the_suite_needs(repository, request):
    if not request.config.getoption("--plants"):
        pytest.skip("takes half a minute; with --plants")
    """All that it lacks is said, and nothing was compared."""
    git(repository, "checkout", "--quiet", "-B", "old", "base")
    git(repository, "rm", "--quiet", "impls/sdegrad/grid.py")
    git(repository, "commit", "--quiet", "-m", "old")
    git(repository, "checkout", "--quiet", "-B", "new", "base")
    (repository / "impls/sdegrad/more.py").write_text("")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "new")
    code, found = gate(repository, "nfe_.* sdegrad_torch", "old")
    assert code == 2
    assert set(found.values()) == {"new"}
