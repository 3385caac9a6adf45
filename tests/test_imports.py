"""Who may import what (one way only), and that looking at the suite starts no framework."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FRAMEWORKS = {"torch", "jax", "equinox", "diffrax", "torchsde", "lineax"}

# folder or file -> the top-level modules (or sdegrad's own parts) that it must not import, at any level
FORBIDDEN = {
    "impls/sdegrad/contract.py": FRAMEWORKS
    | {"suite", "reports", "tests", "sdegrad.torch", "sdegrad.jax", "sdegrad.adapters"},
    "impls/sdegrad/registry.py": FRAMEWORKS
    | {"suite", "reports", "tests", "sdegrad.torch", "sdegrad.jax", "sdegrad.adapters"},
    "impls/sdegrad/grid.py": FRAMEWORKS
    | {"suite", "reports", "tests", "sdegrad.torch", "sdegrad.jax", "sdegrad.adapters"},
    "impls/sdegrad/methods.py": FRAMEWORKS
    | {"suite", "reports", "tests", "sdegrad.torch", "sdegrad.jax", "sdegrad.adapters"},
    "impls/sdegrad/networks.py": FRAMEWORKS
    | {"suite", "reports", "tests", "sdegrad.torch", "sdegrad.jax", "sdegrad.adapters"},
    "impls/sdegrad/tableaux.py": FRAMEWORKS
    | {"suite", "reports", "tests", "sdegrad.torch", "sdegrad.jax", "sdegrad.adapters"},
    "impls/sdegrad/torch": {
        "jax",
        "equinox",
        "diffrax",
        "torchsde",
        "suite",
        "reports",
        "tests",
        "sdegrad.jax",
        "sdegrad.adapters",
    },
    "impls/sdegrad/jax": {"torch", "torchsde", "suite", "reports", "tests", "sdegrad.torch", "sdegrad.adapters"},
    "impls/sdegrad/adapters": {"suite", "reports", "tests"},
    "suite": {"tests"},
    "reports": FRAMEWORKS | {"sdegrad", "tests"},
}
ROOMS = ("brownian", "stepping", "adjoints", "sdeint")  # of a framework: each imports those before it only
NUMPY_ONLY = [
    "suite/problems",
    "suite/paths.py",
    "suite/statistics.py",
    "suite/laws.py",
    "suite/verify/spoiled.py",
    "suite/training/ou.py",
    "suite/training/measures.py",
    "suite/training/held_out.py",
    "suite/training/data.py",
    "suite/training/tables.py",
    "suite/training/weights.py",
]


def sources(top: str) -> list[Path]:
    """The files of a folder, but for its documents: tutorials are programs to be read, and nothing imports them."""
    path = ROOT / top
    return [path] if path.suffix == ".py" else sorted(set(path.rglob("*.py")) - set(path.glob("docs/**/*.py")))


def imported(source: Path, module_level: bool = False) -> set[str]:
    """Every module that a file imports, absolute, with all its parents."""
    tree = ast.parse(source.read_text())
    nodes = tree.body if module_level else list(ast.walk(tree))
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source}: relative import; write it out"
            found.add(node.module or "")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {".".join(name.split(".")[:depth]) for name in found for depth in range(1, name.count(".") + 2)}


@pytest.mark.parametrize("top", FORBIDDEN)
def test_directions(top):
    assert sources(top)
    for source in sources(top):
        assert not imported(source) & FORBIDDEN[top], source


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_rooms(framework):
    seen = set()
    for i, room in enumerate(ROOMS[:-1]):
        for source in sources(f"impls/sdegrad/{framework}/{room}"):
            seen.add(room)
            later = {f"sdegrad.{framework}.{other}" for other in ROOMS[i + 1 :]}
            assert not imported(source) & later, source
    assert seen == set(ROOMS[:-1])


def test_diffrax_stays_in_its_room():
    """Outside of it nothing imports diffrax, nor that room, before it is asked to."""
    room = ROOT / "impls/sdegrad/jax/diffrax"
    outside = [source for source in sources("impls/sdegrad/jax") if room not in source.parents]
    for source in outside:
        assert not imported(source, module_level=True) & {"diffrax", "sdegrad.jax.diffrax"}, source
    assert len(outside) < len(sources("impls/sdegrad/jax"))


@pytest.mark.parametrize("top", NUMPY_ONLY)
def test_yardstick_needs_numpy_only(top):
    for source in sources(top):
        assert not imported(source) & (FRAMEWORKS | {"sdegrad", "pandas", "matplotlib"}), source


def test_harness_alone_meets_sdegrad():
    meeting = [s.relative_to(ROOT).as_posix() for s in sources("suite") if "sdegrad" in imported(s)]
    assert meeting == ["suite/harness.py"]


def test_a_forbidden_import_is_seen(tmp_path):
    source = tmp_path / "wrong.py"
    source.write_text("def late():\n    from torch.nn import Module\n")
    assert imported(source) & FORBIDDEN["reports"]


@pytest.mark.slow
def test_importing_the_suite_starts_no_framework():
    """asv imports every module below suite/ in a fork server: a JAX device touched there would deadlock."""
    modules = [".".join(s.relative_to(ROOT).with_suffix("").parts) for s in sources("suite") if s.name != "__init__.py"]
    program = (
        "import importlib, json, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        f"print(json.dumps([f for f in {sorted(FRAMEWORKS)!r} if f in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_the_tests_mirror_the_rooms(library):
    rooms = {room.name for room in (ROOT / "impls/sdegrad" / library).glob("[!_]*/")}
    assert {file.parent.name for file in (ROOT / "tests" / library).glob("*/test_*.py")} == rooms >= {"brownian"}
