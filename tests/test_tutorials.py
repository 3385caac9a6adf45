"""The tutorials run, on a small preset, learn, and end with a plot; each is short, and in the guide."""

import runpy
import sys

import numpy as np
import pytest

from reports.site import guide

FOLDER = guide.ROOT / guide.TUTORIALS
NAMES = sorted(file.stem for file in FOLDER.glob("*.py"))


@pytest.fixture(autouse=True, scope="module")
def without_a_display():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLBACKEND", "agg")
        yield


def run(name, tmp_path, **preset):
    """What `main` returns, when it has drawn."""
    plot = tmp_path / f"{name}.png"
    found = runpy.run_path(str(FOLDER / f"{name}.py"))["main"](file=str(plot), **preset)
    assert plot.read_bytes().startswith(b"\x89PNG")
    return found


@pytest.mark.slow
def test_a_latent_sde_learns(tmp_path):
    losses = run("latent_sde", tmp_path, steps=8, batch=16)
    assert np.isfinite(losses).all()
    assert np.mean(losses[-2:]) < np.mean(losses[:2])


@pytest.mark.slow
def test_an_sde_gan_trains(tmp_path):
    """To come nearer takes a minute; here what is drawn and measured is that of the trained average."""
    before, after = run("sde_gan", tmp_path, steps=4, batch=16)
    assert 0 < after != before > 0


@pytest.mark.slow
def test_the_port_has_the_exact_gradient(tmp_path):
    losses, (reversible, continuous) = run("port_torchsde", tmp_path, steps=4, halvings=2)
    assert losses[-1] < losses[0]
    assert max(reversible) < 1e-13
    assert min(continuous) > 1e-5


@pytest.mark.filterwarnings("ignore:The spacing between time points")
def test_the_port_runs_with_torchsde_as_well(tmp_path, monkeypatch):
    """With it as the module that is imported: it fits, and its reversible gradient is not exact off the grid."""
    import torchsde

    import sdegrad

    monkeypatch.setitem(sys.modules, "sdegrad.torch", torchsde)
    monkeypatch.setattr(sdegrad, "torch", torchsde)
    losses, (reversible, _) = run("port_torchsde", tmp_path, steps=4, halvings=1)
    assert losses[-1] < losses[0]
    assert reversible[0] > 1e-5


@pytest.mark.exhaustive
@pytest.mark.slow
def test_diffrax_is_kept(tmp_path):
    losses, memory, apart = run("keep_diffrax", tmp_path, updates=3, numbers=(16,))
    assert losses[-1] < losses[0]
    assert apart < 1e-5  # single precision
    ours, theirs = memory.values()
    assert ours < theirs


@pytest.mark.parametrize("name", NAMES)
def test_a_tutorial_is_short_and_in_the_guide_with_its_plot(name):
    assert len((FOLDER / f"{name}.py").read_text().splitlines()) < 100
    assert (FOLDER / f"{name}.png").exists()
    assert f"{guide.TUTORIALS}/{name}.py" in [document for _, document in guide.DOCUMENTS.values()]
