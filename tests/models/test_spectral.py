"""Generators with the transform inside: what holds for any weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from phasegan.models.cascade_fit import fit_shrinkage
from phasegan.models.spectral import LEAST_MAGNITUDE, EncodingContext, SpectralGenerator
from phasegan.models.weights import load_weights, save_weights

pytestmark = pytest.mark.numerical

SIZE = 16


def pictures(seed, count=3, channels=1, size=SIZE):
    """Smooth images in 0..1."""
    rng = np.random.default_rng(seed)
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    shape = np.exp(-40 * (fy**2 + fx**2)) + 0.05
    noise = np.fft.rfft2(rng.normal(size=(count, channels, size, size)))
    smooth = np.fft.irfft2(noise * shape, (size, size))
    low, high = smooth.min((2, 3), keepdims=True), smooth.max((2, 3), keepdims=True)
    return torch.from_numpy((smooth - low) / (high - low)).float()


def phase_of(images, padded):
    return torch.fft.rfft2(images.double(), (padded, padded)).angle().float()


def cascades(seed, channels=1):
    """Return a cascade a channel, fitted to some images."""
    images = np.rint(255 * pictures(seed, 12, channels).numpy()).astype(np.uint8)
    return [fit_shrinkage(images[:, c], data_range=255) for c in range(channels)]


def woken(generator, gain=1.0):
    """Give every network weights of its own, and statistics of images."""
    channels, frame = generator.channels, generator.frame
    images = pictures(90, 20, channels, generator.shape[0])
    magnitude = torch.fft.rfft2(images, frame).abs().mean(0)
    fitted = None
    if "cascade" in generator.encodings and generator.shape == (SIZE, SIZE):
        fitted = [cascade.coefficients() for cascade in cascades(91, channels)]
    generator.set_statistics(magnitude, images.mean(0), fitted)
    source = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for unet in generator.unets:
            for module in (unet.exit, unet.surroundings.outer):
                torch.nn.init.normal_(module.weight, std=gain / 10, generator=source)
    return generator


def make(size=SIZE, padded=None, channels=1, **changes):
    settings = {
        "widths": (4, 6),
        "unrolled": 2,
        "projection": "sign",
        "encodings": ("mean", "white"),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        made = SpectralGenerator(
            size=size, padded=padded or size, channels=channels, **(settings | changes)
        )
    return made.eval()


def misfit(estimate, phase):
    """Return the largest part of a spectrum that does not have a phase, against its largest."""
    spectrum = torch.fft.rfft2((estimate.double() + 1) / 2)
    aligned = spectrum * torch.polar(torch.ones_like(phase), -phase).to(torch.complex128)
    wrong = torch.maximum(aligned.imag.abs(), (-aligned.real).clamp(min=0))
    return float(wrong.max() / spectrum.abs().max())


@pytest.mark.parametrize("projection", ["sign", "magnitude"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [16, 17, 30])
@pytest.mark.parametrize("precision", [None, torch.bfloat16])
def test_estimates_have_the_given_phase_whatever_the_weights(projection, channels, size, precision):
    net = woken(make(size, channels=channels, projection=projection, precision=precision))
    images = pictures(1, channels=channels, size=size)
    phase = phase_of(images, size)
    with torch.no_grad():
        estimates = net.estimates(phase)
    assert len(estimates) == 2
    for estimate in estimates:
        assert estimate.dtype == torch.float32
        assert estimate.shape == images.shape
        assert misfit(estimate, phase) < 1e-6
    assert (estimates[0] - estimates[1]).abs().max() > 1e-2


@pytest.mark.parametrize("precision", [None, torch.bfloat16])
def test_without_projection_the_phase_is_not_kept(precision):
    net = woken(make(projection="off", precision=precision))
    phase = phase_of(pictures(1), SIZE)
    with torch.no_grad():
        assert all(misfit(estimate, phase) > 1e-3 for estimate in net.estimates(phase))


def test_noise_softens_the_projection():
    phase = phase_of(pictures(1), SIZE)
    found = []
    for noise in (0.0, 0.01, 0.3, 30.0):
        net = woken(make(noise=noise))
        with torch.no_grad():
            found.append(misfit(net(phase), phase))
    assert found[0] < 1e-6
    assert sorted(found) == found
    assert found[-1] > 1e-2


@pytest.mark.parametrize("projection", ["sign", "magnitude", "off"])
@pytest.mark.parametrize("first", ["cascade", "mean", "posterior", "white", "image"])
@pytest.mark.parametrize("channels", [1, 3])
def test_before_training_the_output_is_the_first_encoding_projected(projection, first, channels):
    other = "white" if first == "mean" else "mean"
    net = woken(make(channels=channels, projection=projection, encodings=(first, other)), gain=0)
    phase = phase_of(pictures(1, channels=channels), SIZE)
    phasor = torch.polar(torch.ones_like(phase), phase)
    with torch.no_grad():
        start = net.encode(first, EncodingContext(phasor, None, None)).double()
        found = (net(phase).double() + 1) / 2
    spectrum = torch.fft.rfft2(start)
    if projection == "magnitude":
        spectrum = phasor * spectrum.abs()
    elif projection == "sign":
        least = LEAST_MAGNITUDE * net.mean_magnitude
        spectrum = phasor * torch.maximum((phasor.conj() * spectrum).real, least)
    expected = torch.fft.irfft2(spectrum, (SIZE, SIZE))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shares", [(1.0, 1.0), (0.0, 1.0), (0.25, 0.5)])
def test_shares_scale_what_a_trained_network_changes(shares, channels):
    generator = woken(make(channels=channels, projection="off", unrolled=1), gain=10.0)
    phase = phase_of(pictures(1, channels=channels), SIZE)
    phasor = torch.polar(torch.ones_like(phase), phase)
    with torch.no_grad():
        start = generator.encode(generator.encodings[0], EncodingContext(phasor, None, None))
        free = (generator(phase) + 1) / 2 - start
        generator.set_shares(*shares)
        granted = (generator(phase) + 1) / 2 - start
        training = (generator.train()(phase) + 1) / 2 - start
    torch.testing.assert_close(training, free, rtol=1e-4, atol=1e-6)
    centred = start - start.mean((2, 3), keepdim=True)
    power = (centred**2).mean((2, 3), keepdim=True)

    def contrast(change):
        return (change * centred).mean((2, 3), keepdim=True) / power * centred

    assert contrast(free).abs().amax() > 1e-3
    torch.testing.assert_close(contrast(granted), shares[0] * contrast(free), rtol=1e-3, atol=1e-6)
    rest, kept = free - contrast(free), granted - contrast(granted)
    torch.testing.assert_close(kept, shares[1] * rest, rtol=1e-3, atol=1e-6)


def test_weights_of_earlier_versions_grant_all_of_the_change(tmp_path):
    generator, other = woken(make()), make()
    del generator._buffers["shares"]
    other.set_shares(0.5, 0.5)
    other.load_state_dict(generator.state_dict())
    assert other.shares.tolist() == [1, 1]
    save_weights(generator, tmp_path / "old.safetensors")
    loaded = make()
    load_weights(loaded, tmp_path / "old.safetensors")
    assert loaded.shares.tolist() == [1, 1]


def test_encodings_are_what_they_are_called():
    net = woken(make(encodings=("cascade", "mean", "posterior", "white", "image"), channels=3))
    images = pictures(1, channels=3)
    phase = phase_of(images, SIZE)
    phasor = torch.polar(torch.ones_like(phase), phase)
    with torch.no_grad():
        context = EncodingContext(phasor, None, None)
        made = {name: net.encode(name, context) for name in net.encodings}
    mean = torch.fft.irfft2(net.mean_magnitude * phasor, (SIZE, SIZE))
    torch.testing.assert_close(made["mean"], mean)
    white = torch.fft.irfft2(SIZE / 4 * phasor, (SIZE, SIZE))
    torch.testing.assert_close(made["white"], white)
    for c, cascade in enumerate(cascades(91, 3)):
        expected = torch.from_numpy(cascade(phase[:, c].numpy()) / 255).float()
        found = made["cascade"][:, c].clamp(0, 1)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
        assert (found - mean[:, c].clamp(0, 1)).abs().max() > 1e-2
    assert torch.isfinite(made["posterior"]).all()


def test_a_cascade_that_was_not_fitted_leaves_the_mean_magnitude_as_it_is():
    net = make(encodings=("cascade", "mean"))
    net.set_statistics(torch.fft.rfft2(pictures(4)).abs().mean(0), torch.full((1, 16, 16), 0.5))
    phase = phase_of(pictures(1), SIZE)
    phasor = torch.polar(torch.ones_like(phase), phase)
    made = [net.encode(name, EncodingContext(phasor, None, None)) for name in ("cascade", "mean")]
    torch.testing.assert_close(*made)


@pytest.mark.parametrize("channels", [1, 3])
def test_folds_choose_the_cascade(channels):
    encodings = ("cascade", "mean")
    net = woken(make(channels=channels, encodings=encodings))
    families = [[c.coefficients() for c in cascades(seed, channels)] for seed in (11, 12)]
    net.folds = families
    phase = phase_of(pictures(1, 4, channels), SIZE)
    fold = torch.tensor([1, 0, 0, 1])
    with torch.no_grad():
        found, full = net(phase, None, fold), net(phase)
        for number, family in enumerate(families):
            alone = woken(make(channels=channels, encodings=encodings))
            alone.set_statistics(net.mean_magnitude, net.mean_image, family)
            rows = fold == number
            torch.testing.assert_close(found[rows], alone(phase[rows]), rtol=1e-4, atol=1e-4)
    assert all((a - b).abs().max() > 1e-2 for a, b in zip(found, full, strict=True))


@pytest.mark.parametrize("projection", ["sign", "magnitude", "off"])
@pytest.mark.parametrize(
    ("padded", "noise", "encodings"),
    [(16, 0.0, ("cascade", "mean", "white")), (24, 0.2, ("posterior", "mean", "white"))],
)
def test_phases_that_are_not_trusted_do_not_matter(projection, padded, noise, encodings):
    settings = {"projection": projection, "encodings": encodings, "noise": noise}
    net = woken(make(padded=padded, **settings))
    phase = phase_of(pictures(1), padded)
    trusted = torch.rand(phase.shape, generator=torch.Generator().manual_seed(1)) > 0.2
    other = torch.where(trusted, phase, torch.rand_like(phase) * 6 - 3)
    with torch.no_grad():
        found = net(phase, trusted)
        assert torch.isfinite(found).all()
        assert torch.equal(found, net(other, trusted))
        assert (found - net(phase)).abs().max() > 1e-3
        everywhere = net(phase, torch.ones_like(trusted))
        torch.testing.assert_close(everywhere, net(phase), rtol=1e-4, atol=1e-4)
        assert torch.isfinite(net(phase, torch.zeros_like(trusted))).all()


@pytest.mark.parametrize("projection", ["sign", "magnitude", "off"])
@pytest.mark.parametrize("precision", [None, torch.bfloat16])
@pytest.mark.parametrize(
    ("padded", "noise", "encodings"),
    [(16, 0.0, ("cascade", "white")), (24, 0.2, ("posterior", "mean"))],
)
def test_constant_images_and_zero_phases_are_finite(
    projection, precision, padded, noise, encodings
):
    settings = {"projection": projection, "precision": precision, "noise": noise}
    net = woken(make(padded=padded, encodings=encodings, **settings)).train()
    grey = phase_of(torch.full((2, 1, SIZE, SIZE), 0.5), padded)
    zero = torch.zeros_like(grey)
    known = torch.zeros(grey.shape, dtype=torch.bool)
    known[..., 0, 0] = True
    nowhere = torch.zeros_like(known)
    for phase, trusted in ((grey, None), (zero, None), (zero, known), (zero, nowhere)):
        net.zero_grad()
        estimates = net.estimates(phase, trusted)
        torch.stack(estimates).square().mean().backward()
        assert all(torch.isfinite(estimate).all() for estimate in estimates)
        gradients = [p.grad for p in net.parameters() if p.grad is not None]
        assert gradients
        assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_a_black_data_set_is_finite():
    net = make(encodings=("mean", "white"))
    net.set_statistics(torch.zeros(1, 16, 9), torch.zeros(1, 16, 16))
    net(torch.zeros(2, 1, 16, 9)).square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    ("padded", "noise", "encodings"),
    [(16, 0.0, ("cascade", "mean")), (20, 0.2, ("posterior", "white"))],
)
def test_saved_weights_keep_the_statistics(tmp_path, padded, noise, encodings):
    settings = {"padded": padded, "noise": noise, "encodings": encodings, "channels": 3}
    net, other = woken(make(**settings)), make(**settings)
    phase = phase_of(pictures(1, channels=3), padded)
    save_weights(net, tmp_path / "w.safetensors")
    with torch.no_grad():
        assert not torch.equal(other(phase), net(phase))
        load_weights(other, tmp_path / "w.safetensors")
        assert torch.equal(other(phase), net(phase))
    for name in ("mean_magnitude", "mean_image"):
        assert torch.equal(getattr(other, name), getattr(net, name))
    if "cascade" in encodings:
        for ours, theirs in zip(net.cascades(), other.cascades(), strict=True):
            assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_every_weight_learns():
    net = woken(make(noise=0.2, unrolled=3)).train()
    phase = phase_of(pictures(1), SIZE)
    torch.stack(net.estimates(phase)).square().mean().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_a_cascade_that_is_not_exact_corrects_the_posterior():
    net = make(padded=2 * SIZE, noise=0.2, encodings=("cascade", "posterior", "mean"))
    phase = phase_of(pictures(3), 2 * SIZE)
    context = EncodingContext(torch.polar(torch.ones_like(phase), phase), None, None)
    with torch.no_grad():
        untouched = net.encode("cascade", context) - net.encode("posterior", context)
        assert untouched.abs().max() < 1e-4
        net.cascade_gains[..., 0] = 0.1  # statistic 0 is 1: a tenth more in every band and step
        made = EncodingContext(context.phasor, None, None)
        ratio = net.encode("cascade", made) / net.encode("posterior", made)
    expected = torch.full_like(ratio, 1.1 ** len(net.cascade_gains[0]))
    torch.testing.assert_close(ratio.median(), expected.median(), rtol=0.05, atol=0)
