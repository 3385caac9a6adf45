"""Training: it goes on after a kill as if never stopped, and what cannot be trained is refused in a sentence."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from suite import journal, results, store, train
from suite.training import REAL, data, real, run, torch_gan, torch_latent
from suite.training.data import Series, Source
from suite.training.libraries import LIBRARIES
from suite.training.matching import energy_score
from suite.training.real import RealData
from suite.training.run import Training, TrainingError, grown
from suite.training.settings import EXPERIMENTS, FIRST, PRESETS, SettingsError, changed
from suite.training.torch_gan import TorchGAN

ROOT = Path(__file__).parents[2]
TINY = PRESETS["tiny"]
ONE = ["--preset", "tiny", "--seeds", "1", "--implementation", "sdegrad_torch"]
CLOCKED = ("step_time", "training_time", "compile_time", "gradient_memory")  # not the same twice
AT_END = {"marginal_distance", "signature_distance", "training_time", "step_time", "nfe_training", "gradient_memory"}
QUALITY = "marginal_distance"
TORCH, JAX = ("sdegrad_torch", "torchsde"), ("sdegrad_jax", "diffrax")


@pytest.fixture
def unmeasured(monkeypatch):
    """The memory of a step is 1 byte: to measure it takes longer than these trainings."""
    for module in (torch_gan, torch_latent):
        monkeypatch.setattr(module, "peak_memory", lambda work: 1)


def trained(training):
    rows = list(run.train(training, lambda _: None))
    return {(r["measure"], r["steps"], r.get("real")): r["value"] for r in rows if r["measure"] not in CLOCKED}


def measures(rows, name, library):
    own = [r for r in rows if r["problem"] == f"ou {name}" and r["implementation"] == library]
    return {steps: {r["measure"] for r in own if r["steps"] == steps} for steps in ("0", "3", "6")}


@pytest.mark.exhaustive(but=["sdegrad_torch"])
@pytest.mark.usefixtures("unmeasured")
@pytest.mark.slow
@pytest.mark.parametrize("library", TORCH)
def test_every_experiment_trains_and_is_measured(library, tmp_path, capfd):
    assert train.main(["--preset", "tiny", "--seeds", "1", "--implementation", library, "--out", str(tmp_path)]) == 0
    rows = results.read(tmp_path / "train.csv")
    for name in LIBRARIES[library].experiments:
        found = measures(rows, name, library)
        assert found["0"] == {"marginal_distance", "signature_distance"}
        assert found["3"] == {"marginal_distance", "training_time"}
        assert found["6"] == AT_END
    printed = capfd.readouterr().out
    assert "real paths" in printed
    assert f"reversible-clipping, {library}" in printed
    assert (tmp_path / "train.png").exists()
    assert (tmp_path / "marginals.png").exists()


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("reversible-clipping", "sdegrad_jax"),
        *(pytest.param(n, lib, marks=pytest.mark.slow) for n in list(EXPERIMENTS)[1:4] for lib in JAX),
    ],
)
@pytest.mark.slow
def test_training_in_jax_is_measured(name, library, tmp_path):
    arguments = ["--preset", "tiny", "--seeds", "1", "--implementation", library, "--experiment", name]
    assert train.main([*arguments, "--out", str(tmp_path)]) == 0
    rows = results.read(tmp_path / "train.csv")
    assert measures(rows, name, library)["6"] == {*AT_END, "compile_time"}
    adjoint = LIBRARIES[library].experiment(EXPERIMENTS[name]).adjoint
    assert {r["adjoint"] for r in rows} == {adjoint}
    distance = {r["steps"]: r["value"] for r in rows if (r["measure"], r["implementation"]) == (QUALITY, library)}
    assert len(set(distance.values())) == 3
    real = [run.DATA.sample(np.random.default_rng(k), np.arange(4.0), 8) for k in range(2)]
    one, other = (LIBRARIES[library].model(EXPERIMENTS[name], TINY, seed) for seed in (0, 1))  # compiled above
    one.step(real[0], 0)
    other.load(one.state())
    assert other.step(real[1], 1) == one.step(real[1], 1)
    np.testing.assert_array_equal(other.generated(100, 2), one.generated(100, 2))


def test_paths_begin_as_widely_spread_as_the_data():
    """Deviation at the start 0.58, at the end 0.88: of each of five generators within a factor of 3 of it."""
    for seed in range(5):
        model = LIBRARIES["sdegrad_torch"].model(EXPERIMENTS["reversible-clipping"], PRESETS["cpu"], seed)
        start, end = model.generated(1000, 0)[[0, -1], :, 0].std(1)
        assert 1 / 3 < start / 0.58 < 3
        assert 1 / 3 < end / 0.88 < 3


@pytest.mark.exhaustive
@pytest.mark.slow
def test_all_libraries_start_from_the_same_weights_and_score_paths_alike():
    """The scores of 8 paths agree to round-off in single precision, by both methods."""
    ys = run.DATA.sample(np.random.default_rng(0), np.arange(4.0), 8).astype(np.float32)
    for experiment in (EXPERIMENTS["midpoint-clipping"], EXPERIMENTS["reversible-clipping"]):
        models = {name: LIBRARIES[name].model(experiment, TINY, 0) for name in LIBRARIES}
        scores = [models[name]._score(models[name].torch.from_numpy(ys)).detach().numpy() for name in TORCH]
        scores += [np.asarray(models[name].programs.score(models[name]._state[1], ys)) for name in JAX]
        for found in scores[1:]:
            np.testing.assert_allclose(found, scores[0], rtol=1e-4, atol=1e-6)
        assert np.std(scores[0]) > 1e-3


@pytest.mark.parametrize("name", ["midpoint-penalty", "reversible-clipping"])
def test_both_libraries_of_pytorch_have_the_same_gradient(name):
    """Of the score by the paths: by backpropagation, and by the reversible adjoint of each."""
    ys = run.DATA.sample(np.random.default_rng(0), np.arange(4.0), 8).astype(np.float32)
    found = []
    for library in TORCH:
        model = LIBRARIES[library].model(EXPERIMENTS[name], TINY, 0)
        paths = model.torch.from_numpy(ys).requires_grad_()
        model._score(paths).sum().backward()
        found.append(paths.grad.numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4, atol=1e-6)
    assert np.abs(found[0]).max() > 1e-3


@pytest.mark.exhaustive(but=["reversible-matching"])
@pytest.mark.parametrize("name", ["reversible-clipping", "reversible-matching", "midpoint-penalty"])
@pytest.mark.usefixtures("unmeasured")
@pytest.mark.slow
def test_a_training_that_is_stopped_goes_on_to_the_same_numbers(name, tmp_path):
    settings = replace(TINY, steps=8, interval=3, evaluations=4)
    straight = trained(Training(name, settings, 0, tmp_path / "straight"))
    stopped = Training(name, settings, 0, tmp_path / "stopped")
    steps = run.train(stopped, lambda _: None)
    first = [next(steps) for _ in range(7)]  # until after step 4: a step beyond the checkpoint
    assert first[-1]["steps"] > 3
    steps.close()
    rest = trained(stopped)
    assert min(at for _, at, _ in rest) == 4
    assert rest == {key: value for key, value in straight.items() if key in rest}
    again = trained(stopped)  # once finished, the end is only measured
    assert again == {key: value for key, value in straight.items() if key[1] == 8}


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_kill_costs_no_more_than_an_interval(tmp_path):
    """The process is killed as soon as it has written a checkpoint; the same command ends with the same distances."""
    command = [sys.executable, "-m", "suite.train", *ONE]
    command += ["--experiment", "reversible-clipping", "--set", "steps=40"]
    begin = {"cwd": ROOT, "env": {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}}
    subprocess.run([*command, "--out", str(tmp_path / "straight")], **begin, check=True, capture_output=True)
    process = subprocess.Popen([*command, "--out", str(tmp_path / "killed")], **begin, stdout=subprocess.DEVNULL)
    while not list(tmp_path.glob("killed/train/*/*.npz")):
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    subprocess.run([*command, "--out", str(tmp_path / "killed")], **begin, check=True, capture_output=True)
    found = [
        {results.key(r): r["value"] for r in results.read(tmp_path / name / "train.csv") if r["measure"] not in CLOCKED}
        for name in ("straight", "killed")
    ]
    assert found[0] == found[1]


@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured")
def test_seeds_differ(tmp_path):
    a, b = (trained(Training("reversible-clipping", TINY, seed, tmp_path)) for seed in (0, 1))
    assert all(a[key] != b[key] for key in a if key[0] == "marginal_distance" and not key[2])


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.slow
def test_evaluations_are_counted(tmp_path):
    """4 times, 3 steps: reversible Heun evaluates 4 times forward and 4 back, drift and diffusion of the generator and
    the field of the discriminator, for generated and real paths at once; without a discriminator a third less.
    """
    for name, fields in (("reversible-clipping", 3), ("reversible-matching", 2)):
        found = trained(Training(name, TINY, 0, tmp_path))
        assert found["nfe_training", TINY.steps, None] == 4 * 2 * fields


@pytest.mark.slow
def test_the_energy_score_is_the_mean_over_pairs_in_both_frameworks():
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(0)
    fake, real = rng.standard_normal((2, 4, 5, 1)).astype(np.float32)
    order = np.array([2, 0, 3, 1])  # the pairs of times are (2, 3) and (0, 1)

    def distance(a, b):
        return np.mean(
            [np.hypot(a[s, ..., 0] - b[s, ..., 0], a[t, ..., 0] - b[t, ..., 0]) for s, t in ((2, 3), (0, 1))]
        )

    cross = np.mean([distance(fake[:, i], real[:, j]) for i in range(5) for j in range(5)])
    own = np.mean([distance(fake[:, i], fake[:, j]) for i in range(5) for j in range(5) if i != j])
    tensor = torch.from_numpy(fake).requires_grad_()
    score = energy_score(tensor, torch.from_numpy(real), torch.from_numpy(order))
    assert score.item() == pytest.approx(cross - own / 2, rel=1e-5)
    value, slope = jax.value_and_grad(energy_score)(jnp.asarray(fake), jnp.asarray(real), jnp.asarray(order))
    assert value == pytest.approx(cross - own / 2, rel=1e-5)
    np.testing.assert_allclose(slope, torch.autograd.grad(score, tensor)[0], rtol=1e-4, atol=1e-6)


def test_the_energy_score_is_least_for_the_law_of_the_data():
    """400 paths; processes of another mean, another spread, and the same marginals without memory: all are told from
    the data by more than 5 deviations of the score of further data (20 of them)."""
    ts, order = np.arange(4.0), torch.arange(4)
    paths = [torch.from_numpy(run.DATA.sample(np.random.default_rng(k), ts, 400)) for k in range(22)]
    real, *same = paths
    usual = np.array([energy_score(fake, real, order).item() for fake in same])
    fake = same[0]
    shuffles = torch.Generator().manual_seed(0)
    forgetful = torch.stack([y[torch.randperm(400, generator=shuffles)] for y in fake])
    for other in (fake + 0.3, 1.3 * fake, forgetful):
        assert energy_score(other, real, order).item() > usual.mean() + 5 * usual.std()


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(tmp_path, monkeypatch):
    training = Training("reversible-clipping", TINY, 0, tmp_path)
    step, steps = TorchGAN.step, iter(range(1, 99))

    def broken(*arguments):
        loss, norms = step(*arguments)
        return (loss, norms) if next(steps) < 5 else (float("nan"), {**norms, "generator.drift": 1e9})

    monkeypatch.setattr(TorchGAN, "step", broken)
    with pytest.raises(TrainingError, match=r"the loss is nan at step 5. The gradient of generator.drift grew first"):
        trained(training)
    monkeypatch.setattr(TorchGAN, "step", step)
    assert min(at for _, at, _ in trained(training)) == 6  # it goes on from step 4


def test_which_norm_grew_first():
    usual = [{"a": 1.0, "b": 2.0}] * 5
    assert grown(usual) == "No gradient had grown."
    assert "of b grew first, to 50, 1 steps before" in grown([*usual, {"a": 1.0, "b": 50.0}, {"a": 1e9, "b": 1e9}])
    assert "of a grew first, to nan" in grown([*usual, {"a": float("nan"), "b": 2.0}])


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.slow
def test_other_data_of_the_same_name_is_another_configuration(tmp_path):
    """Two folders with CSV files of one's own."""
    ts, ys = np.arange(3.0), np.zeros((3, 8, 1))
    series = [Series(ts=ts, train=ys + k, test=ys, channels=("a",)) for k in (0, 0, 1)]
    first, again, other = (
        Training("reversible-clipping", TINY, 0, tmp_path, data=RealData("beijing", (), one)).configuration()
        for one in series
    )
    assert first == again
    assert first != other


def test_a_checkpoint_of_another_configuration_or_none_at_all_is_refused(tmp_path):
    training = Training("reversible-clipping", TINY, 0, tmp_path)
    trained(training)
    with pytest.raises(TrainingError, match=r"another configuration \(batch=8 there, 9 here\); delete it"):
        trained(replace(training, settings=replace(TINY, batch=9)))
    training.checkpoint.write_bytes(training.checkpoint.read_bytes()[:100])
    with pytest.raises(TrainingError, match="is no checkpoint that can be read"):
        trained(training)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("step=3", "unknown setting 'step'; the settings are steps, others, times"),
        ("steps=many", "steps must be a number like 6, got 'many'"),
        ("steps=0", "steps must be an integer from 1 to 10000000, got 0"),
        ("times=1", "times must be an integer from 2 to 10000000, got 1"),
        ("samples=99", "samples must be an integer from 100 to 10000000, got 99"),
        ("descent=-1", "descent must be between 0 and 1, got -1.0"),
        ("evaluations=7", "evaluations=7 is more than steps=6"),
        ("others=1", "evaluations=2 is more than others=1"),
    ],
)
def test_bad_settings(change, sentence, capsys, tmp_path):
    with pytest.raises(SettingsError, match=sentence):
        changed(TINY, [change])
    assert train.main(["--preset", "tiny", "--set", change, "--out", str(tmp_path)]) == 2
    assert sentence in capsys.readouterr().err


def test_where_nothing_can_be_written_nothing_is_trained(tmp_path, capsys):
    blocked = tmp_path / "a file"
    blocked.write_text("")
    assert train.main(["--preset", "tiny", "--out", str(blocked)]) == 2
    assert "nothing can be written in" in capsys.readouterr().err
    with store.locked(tmp_path / "train"):
        assert train.main(["--preset", "tiny", "--out", str(tmp_path)]) == 2
    assert "another run is at work in" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        train.main(["--seeds", "0"])
    assert "--seeds must be 1 or more, got 0" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here.")
def test_a_device_that_is_not_there_is_an_error(tmp_path, capsys):
    arguments = ["--preset", "tiny", "--device", "cuda", "--implementation", "sdegrad_torch", "--out", str(tmp_path)]
    assert train.main(arguments) == 2
    told = capsys.readouterr()
    assert "sdegrad_torch is left out: PyTorch sees no CUDA device here." in told.out
    assert "error: no library can train on cuda here" in told.err


def test_experiments_that_are_not_first_have_steps_of_their_own():
    settings = changed(TINY, ["steps=8", "others=3"])
    assert {name: settings.of(name).steps for name in EXPERIMENTS} == {
        name: 8 if name in FIRST else 3 for name in EXPERIMENTS
    }


@pytest.mark.exhaustive(but=["stop0-*"])
@pytest.mark.parametrize(
    ("stop", "code", "sentence"),
    [
        (
            OSError(28, "No space left on device"),
            2,
            "cannot be written (No space left on device). Rows and checkpoints",
        ),
        (KeyboardInterrupt(), 130, "interrupted. Rows and checkpoints are kept"),
    ],
)
@pytest.mark.slow
def test_a_full_disk_and_an_interrupt_keep_what_there_is(stop, code, sentence, tmp_path, monkeypatch, capsys):
    arguments = [*ONE, "--experiment", "reversible-clipping", "--out", str(tmp_path)]
    written = []

    def append(path, text):
        if len(written) == 5:
            raise stop
        written.append(text)
        journal.append(path, text)

    monkeypatch.setattr(train, "append", append)
    assert train.main(arguments) == code
    assert sentence in capsys.readouterr().err
    assert len(results.read(tmp_path / "train.csv")) == 5
    monkeypatch.undo()
    assert train.main(arguments) == 0
    at_end = [r for r in results.latest(results.read(tmp_path / "train.csv")) if r["steps"] == "6"]
    assert {r["measure"] for r in at_end} == AT_END


HELD_OUT = {"signature_distance", "real_fake_accuracy", "prediction_loss"}


@pytest.fixture
def real_data(monkeypatch):
    """Two classes of series that wave, one around 1 and one around -1, in the place of the weather; and one channel
    of them in the place of the weights."""
    rng, ts = np.random.default_rng(0), np.arange(5.0)
    labels = rng.integers(0, 2, 600)
    ys = 2 * labels[:, None] - 1 + np.sin(ts[:, None, None] + rng.uniform(0, 6, (600, 1)))
    ys = np.concatenate((ys, -ys), -1)
    weather = Series(ts, ys[:, :300], ys[:, 300:], ("a", "b"), ("x", "y"), labels[:300], labels[300:])
    weights = Series(np.arange(51.0), *(rng.normal(size=(51, 300, 1)).cumsum(0) for _ in range(2)), ("weight",))
    made = {"weather": weather, "weights-digits": weights, "oil": weights}
    monkeypatch.setattr(real, "DATA", {name: Source(lambda s=s: s) for name, s in made.items()})
    monkeypatch.setattr(real, "beijing", lambda folder: weather)


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore:the two copies of the solution")  # said of weights-digits, and truly
@pytest.mark.slow
@pytest.mark.parametrize("name", real.TRAINED)
def test_training_on_real_data_is_measured_against_what_was_held_out(name, real_data, tmp_path, capfd):
    arguments = ["--data", name, "--preset", "tiny", "--seeds", "1", "--out", str(tmp_path)]
    assert train.main(arguments + ["--folder", str(tmp_path)] * (name == real.YOURS)) == 0
    rows = results.read(tmp_path / "train.csv")
    labelled = {"label_accuracy"} if name in ("weather", real.YOURS) else set()
    for experiment in real.TRAINED[name]:
        own = [r for r in rows if r["problem"] == f"{name} {experiment}"]
        found = {(r["implementation"], r["steps"]): set() for r in own}
        for r in own:
            found[r["implementation"], r["steps"]].add(r["measure"])
        assert found[REAL, "0"] == found["sdegrad_torch", "0"] == HELD_OUT | labelled
        assert found["sdegrad_torch", "3"] == {"signature_distance", "training_time"}
        assert found["sdegrad_torch", "6"] == AT_END - {QUALITY} | HELD_OUT | labelled
        (real_accuracy,) = (
            float(r["value"]) for r in own if (r["implementation"], r["measure"]) == (REAL, "real_fake_accuracy")
        )
        assert abs(real_accuracy - 0.5) < 0.2  # 200 paths, 4 deviations and more
    printed = capfd.readouterr().out
    assert ("reported by the paper" in printed) == (name != "oil")
    assert ("reported by the paper of other data" in printed) == (name in ("weather", "weights-digits"))
    assert f"{real.TRAINED[name][0]}, untrained" in printed
    if labelled:
        (best,) = {r["value"] for r in rows if (r["implementation"], r["measure"]) == (REAL, "label_accuracy")}
        assert float(best) > 0.9


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.slow
def test_a_latent_sde_that_is_stopped_goes_on_to_the_same_numbers(real_data, tmp_path):
    weather = real.load("weather")
    settings = weather.settings(replace(TINY, steps=4, interval=2, evaluations=4))
    straight, stopped = (
        Training("reversible-latent", settings, 0, tmp_path / name, data=weather) for name in ("straight", "stopped")
    )
    whole = trained(straight)
    steps = run.train(stopped, lambda _: None)
    while not stopped.checkpoint.exists():
        next(steps)
    steps.close()
    rest = trained(stopped)
    assert min(at for _, at, _ in rest) == 3
    assert rest == {key: value for key, value in whole.items() if key in rest}


def test_a_folder_of_too_few_days_is_refused_before_anything_is_trained(tmp_path, capsys):
    line = "2013,3,{day},{hour},{pm},{hour},here"
    lines = [line.format(day=day, hour=hour, pm=day + hour) for day in range(1, 30) for hour in range(24)]
    (tmp_path / "here.csv").write_text("\n".join(("year,month,day,hour,PM2.5,O3,station", *lines)) + "\n")
    assert train.main(["--data", "beijing", "--folder", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert f"error: {tmp_path} has 6 paths to test on; to tell how good" in capsys.readouterr().err
    assert not (tmp_path / "out" / "train.csv").exists()


def test_real_data_that_are_absent_or_have_no_such_experiment_are_refused(real_data, tmp_path, monkeypatch, capsys):
    here = ["--data", "weather", "--preset", "tiny", "--out", str(tmp_path)]
    for wrong in (["--experiment", "reversible-clipping"], ["--implementation", "torchsde"]):
        assert train.main([*here, *wrong]) == 2
        assert f"reversible-latent with sdegrad_torch, not by {wrong[1]}; leave that out" in capsys.readouterr().err
    assert train.main(["--experiment", "midpoint-latent", "--out", str(tmp_path)]) == 2
    assert "diffrax, not by midpoint-latent; leave that out, or name other --data" in capsys.readouterr().err
    for apart in (["--data", real.YOURS], [*here, "--folder", str(tmp_path)]):
        with pytest.raises(SystemExit) as ended:
            train.main([*apart, "--out", str(tmp_path)])
        assert ended.value.code == 2
        assert "--data beijing and --folder, with its CSV files, go together" in capsys.readouterr().err
    monkeypatch.setattr(real, "DATA", {"weather": Source(lambda: data.packaged("a-package", "no_such_module", "a"))})
    assert train.main(here) == 2
    assert "in the package a-package, which is not installed" in capsys.readouterr().err


def test_a_file_of_someone_else_is_not_touched(tmp_path, capsys):
    (tmp_path / "train.csv").write_text("precious, without a line end")
    assert train.main([*ONE, "--out", str(tmp_path), "--experiment", FIRST[1]]) == 2
    assert "nothing was changed" in capsys.readouterr().err
    assert (tmp_path / "train.csv").read_text() == "precious, without a line end"


@pytest.mark.parametrize("cut", [12, None, -1])
@pytest.mark.usefixtures("unmeasured")
def test_a_table_that_was_cut_short_at_its_beginning_is_gone_on_with(cut, tmp_path):
    """In its header, after it, and in the first row."""
    header = results.text((), header=True)
    (tmp_path / "train.csv").write_text({12: header[:12], None: header, -1: f"{header}3,ab"}[cut])
    assert train.main([*ONE, "--out", str(tmp_path), "--experiment", FIRST[1]]) == 0
    rows = results.read(tmp_path / "train.csv")
    assert rows
    assert (tmp_path / "train.csv").read_text().count(header) == 1


@pytest.mark.parametrize("setting", ["hidden=1000000000", "batch=10000000000000", "samples=100000000000000"])
def test_sizes_that_nothing_can_hold_are_refused(setting, capsys):
    assert train.main(["--set", setting]) == 2
    assert "must be an integer from" in capsys.readouterr().err
