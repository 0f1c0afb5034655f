"""The model that comes with phasegan, and runs as methods."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

import phasegan
from phasegan.config.run_folder import RunFolder
from phasegan.errors import InputError
from phasegan.evaluation.inspection import inspect
from phasegan.fourier.degradation import add_phase_noise, quantise_phase
from phasegan.fourier.encoding import decode, encode, half_steps
from phasegan.fourier.phase import analyse, mirrored, mirrored_bins
from phasegan.models.weights import weights_intact
from phasegan.reconstruction.auto import choose_method
from phasegan.reconstruction.learned import LearnedMethod
from phasegan.reconstruction.pretrained import pretrained_run
from phasegan.reconstruction.protocol import Observation, Problem
from phasegan.reconstruction.registry import make_method

FRAME = (128, 128)
SMALL = {"widths": (4, 4), "discriminator_channels": 2, "batch_size": 2, "device": "cpu"}


def photograph(name="astronaut", channels="L"):
    picture = Image.fromarray(getattr(data, name)()).convert(channels)
    return np.asarray(picture.resize((128, 128), Image.Resampling.LANCZOS)).astype(float)


@pytest.fixture(scope="module")
def phase():
    return analyse(np.stack([photograph(), photograph("camera")]), FRAME).phase


def angle(a, b):
    return np.abs(np.angle(np.exp(1j * (a - b))))


def test_the_shipped_run_is_whole_and_small():
    folder = RunFolder(pretrained_run())
    assert folder.read_config().preset == "physics"
    assert folder.read_status().step > 0
    assert weights_intact(folder.weights_path("generator_ab"))
    files = {path.name: path.stat().st_size for path in folder.path.iterdir()}
    assert set(files) == {"config.json", "status.json", "generator_ab.safetensors"}
    assert sum(files.values()) <= 5e6
    assert inspect(folder.path, verify=True).damaged == []


def test_learned_is_nearer_than_the_prior_without_training_images(phase):
    images = np.stack([photograph(), photograph("camera")])
    errors = [
        np.mean((np.clip(phasegan.reconstruct(phase, method=m).estimate, 0, 255) - images) ** 2)
        for m in ("learned", "map")
    ]
    assert errors[0] < 0.5 * errors[1]


def test_estimates_carry_the_phase(phase):
    estimate = phasegan.reconstruct(phase, method="learned", device="cpu").estimate
    spectrum = np.fft.rfft2(estimate)
    strong = np.abs(spectrum) > 1e-3 * np.abs(spectrum).mean()
    assert angle(np.angle(spectrum), phase)[strong].max() < 0.01


def test_estimates_are_in_units_of_the_data_range(phase):
    found = [
        phasegan.reconstruct(phase, method="learned", data_range=white).estimate / white
        for white in (255, 65535)
    ]
    np.testing.assert_allclose(found[1], found[0], atol=1e-9)


def test_colour_goes_channel_by_channel():
    image = np.moveaxis(photograph(channels="RGB"), -1, 0)
    phase = analyse(image, FRAME).phase
    together = phasegan.reconstruct(phase[None], method="learned").estimate
    assert together.shape == (1, 3, 128, 128)
    apart = phasegan.reconstruct(phase, method="learned").estimate
    np.testing.assert_allclose(together[0], apart, atol=1e-2)


def test_a_mirrored_phase_gives_the_mirrored_estimate(phase):
    straight = phasegan.reconstruct(phase, method="learned").estimate
    turned = phasegan.reconstruct(mirrored(phase, FRAME, FRAME), method="learned").estimate
    np.testing.assert_allclose(turned, straight[..., ::-1], atol=0.05)
    alone = LearnedMethod(pretrained_run(), torch.device("cpu"), mirror=False)
    once = alone(Observation(phase)).estimate
    other = alone(Observation(mirrored(phase, FRAME, FRAME))).estimate[..., ::-1]
    np.testing.assert_allclose((once + other) / 2, straight, atol=0.05)
    assert np.abs(once - straight).max() > 1


def test_untrusted_phases_do_not_matter(phase, rng):
    trusted = rng.random(phase.shape) < 0.95
    garbled = np.where(trusted, phase, rng.uniform(-3, 3, phase.shape))
    found = [
        phasegan.reconstruct(p, method="learned", mask=trusted).estimate for p in (phase, garbled)
    ]
    np.testing.assert_allclose(found[0], found[1], atol=0.05)
    turned = phasegan.reconstruct(
        mirrored(phase, FRAME, FRAME), method="learned", mask=mirrored_bins(trusted, FRAME)
    )
    np.testing.assert_allclose(turned.estimate, found[0][..., ::-1], atol=0.05)


def test_constant_and_black_pictures_are_finite(tmp_path):
    images = np.stack([np.zeros(FRAME), np.full(FRAME, 200), photograph()]).astype(np.uint8)
    phasegan.prepare(images, tmp_path / "c.h5", size=128, samples=1, test=2)
    for split in ("train", "test"):
        result = phasegan.reconstruct(tmp_path / "c.h5", method="learned", split=split)
        assert np.isfinite(result.estimate).all()


@pytest.mark.parametrize(
    ("shape", "frame", "kind"),
    [
        ((64, 64), (64, 64), "N = M = 64"),
        ((128, 128), (256, 256), "N = 128, M = 256"),
        ((64, 64), (128, 128), "N = 64, M = 128"),
        ((100, 128), (128, 128), "N = 100×128, M = 128"),
    ],
)
def test_other_sizes_are_refused_with_what_to_do(shape, frame, kind):
    with pytest.raises(InputError) as caught:
        make_method("learned", Problem(shape, frame))
    text = str(caught.value)
    assert "takes phases of N = M = 128" in text
    assert f"these have {kind};" in text
    for advice in ("--size 128 --oversample 1", "phasegan train", "--method auto"):
        assert advice in text
    assert "\n" not in text
    assert choose_method(Problem(shape, frame), 0.0) != "learned"


def test_noise_and_rounding_are_taken_up_to_a_bound(phase):
    for sigma in (0.0, 0.05):
        assert choose_method(Problem(FRAME, FRAME), sigma) == "learned"
        noisy = add_phase_noise(phase, sigma, np.random.default_rng(0), FRAME)
        assert phasegan.reconstruct(noisy, noise=sigma).method == "auto (learned)"
    assert choose_method(Problem(FRAME, FRAME), 0.051) == "map"
    with pytest.raises(InputError, match=r"up to 0.05 rad together, these have 0.1 rad"):
        phasegan.reconstruct(phase, method="learned", noise=0.1)
    for bits, taken in ((6, True), (5, False)):
        codes = encode(quantise_phase(phase, bits, FRAME), "uint16")
        coarse = Observation(decode(codes), None, half_steps(codes, bits))
        method = make_method("learned", Problem(FRAME, FRAME))
        if taken:
            assert np.isfinite(method(coarse).estimate).all()
        else:
            with pytest.raises(InputError, match="train a model on phases like these"):
                method(coarse)


@pytest.mark.parametrize("dtype", ["uint16", "float16", "float32"])
def test_what_a_file_rounds_does_not_count_as_noise(tmp_path, dtype):
    kind = {"size": 128, "samples": 1, "test": 1, "phase_noise": 0.05, "phase_dtype": dtype}
    phasegan.prepare("builtin", tmp_path / "d.h5", **kind)
    assert phasegan.reconstruct(tmp_path / "d.h5", method="learned").method == "learned"
    assert len(phasegan.evaluate(tmp_path / "d.h5", ["learned"]).rows) == 1


def test_auto_takes_training_images_where_there_are_any(tmp_path):
    options = {"size": 128, "samples": 6, "test": 1}
    phasegan.prepare("builtin", tmp_path / "d.h5", **options)
    phasegan.prepare("builtin", tmp_path / "p.h5", images=False, **options)
    assert phasegan.reconstruct(tmp_path / "d.h5").method == "auto (shrinkage)"
    assert phasegan.reconstruct(tmp_path / "p.h5").method == "auto (learned)"
    given = phasegan.reconstruct(tmp_path / "p.h5", statistics=tmp_path / "d.h5")
    assert given.method == "auto (shrinkage)"


def test_evaluate_scores_it_and_refuses_before_any_work(tmp_path, tiny):
    phasegan.prepare("builtin", tmp_path / "d.h5", size=128, samples=2, test=2)
    rows = phasegan.evaluate(tmp_path / "d.h5", ["learned", "mean-magnitude"]).rows
    assert rows[0].values["mse"] < rows[1].values["mse"]
    with pytest.raises(InputError, match=r"tiny.h5: method learned takes .* N = M = 32;"):
        phasegan.evaluate(tiny, ["zero", "learned"])
    coarse = tmp_path / "c.h5"
    phasegan.prepare("builtin", coarse, size=128, samples=2, test=2, phase_bits=4)
    with pytest.raises(InputError, match=r"c.h5: method learned .* these have 0.11 rad"):
        phasegan.evaluate(coarse, ["zero", "learned"])


def test_a_picture_is_reconstructed_at_once(run_cli, tmp_path):
    Image.fromarray(data.astronaut()).save(tmp_path / "photo.png")
    gray = ("--size", 128, "--channels", "gray")
    outcome = run_cli("reconstruct", tmp_path / "photo.png", "-o", "out", *gray)
    assert outcome.status == 0, outcome.err
    assert "wrote 1 reconstructions by auto (learned) to out" in outcome.out
    estimate = np.asarray(Image.open("out/00000-photo.png")).astype(float)
    assert estimate.shape == (128, 128)
    assert np.corrcoef(estimate.ravel(), photograph().ravel())[0, 1] > 0.9
    for options, message in {
        ("--size", 64): "these have N = M = 64",
        ("--size", 128, "--oversample", 2): "these have N = 128, M = 256",
        ("--size", 128, "--phase-noise", 0.2): "these have 0.2 rad",
    }.items():
        refused = run_cli(
            "reconstruct", tmp_path / "photo.png", "-o", "x", "--method", "learned", *options
        )
        assert refused.status == 2
        assert message in refused.err
        assert "Traceback" not in refused.err


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["uint16", "float16", "float32"])
def test_a_run_takes_its_phases_however_they_are_stored(tmp_path, dtype):
    others = [d for d in ("uint16", "float16", "float32") if d != dtype]
    kind = {"size": 32, "samples": 3, "test": 2}
    phasegan.prepare("builtin", tmp_path / "d.h5", phase_dtype=dtype, **kind)
    phasegan.train(tmp_path / "d.h5", tmp_path / "r", epochs=1, **SMALL)
    assert RunFolder(tmp_path / "r").read_config().data.phase_error == 0
    own = phasegan.reconstruct(tmp_path / "d.h5", run=tmp_path / "r", device="cpu").estimate
    for other in others:
        path = tmp_path / f"{other}.h5"
        phasegan.prepare("builtin", path, phase_dtype=other, **kind)
        phasegan.evaluate(path, runs=[tmp_path / "r"], device="cpu")
        found = phasegan.reconstruct(path, run=tmp_path / "r", device="cpu").estimate
        assert np.abs(found - own).max() < 5
        array = phasegan.reconstruct(
            phasegan.open(path).test.phase(), run=tmp_path / "r", device="cpu"
        )
        np.testing.assert_allclose(array.estimate, found, atol=1e-3)


@pytest.mark.slow
def test_noise_on_a_run_of_clean_phases_is_taken_up_to_a_bound(tmp_path):
    kind = {"size": 32, "samples": 3, "test": 2}
    phasegan.prepare("builtin", tmp_path / "d.h5", **kind)
    phasegan.train(tmp_path / "d.h5", tmp_path / "r", epochs=1, **SMALL)
    for number, options in enumerate(
        ({"phase_noise": 0.04}, {"phase_bits": 6}, {"phase_noise": 0.045, "phase_bits": 6})
    ):
        path = tmp_path / f"{number}.h5"
        phasegan.prepare("builtin", path, **kind, **options)
        if number < 2:
            phasegan.evaluate(path, runs=[tmp_path / "r"], device="cpu")
        else:
            with pytest.raises(InputError, match=r"noise and rounding up to 0.05 rad together"):
                phasegan.evaluate(path, runs=[tmp_path / "r"], device="cpu")
