"""Clean phases of other conventions are named; noisy and right ones are not taken for them."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data
from skimage.transform import resize

import phasegan
from phasegan.errors import InputError
from phasegan.fourier.foreign import (
    ORIGINS,
    PhaseConvention,
    named_position,
    object_position,
    to_corner,
)
from phasegan.fourier.layouts import from_half_plane
from phasegan.fourier.phase import analyse
from phasegan.progress import Progress
from phasegan.reconstruction.exact.certificate import Verdict
from phasegan.reconstruction.inputs.conventions import (
    identify_convention,
    identify_padding,
    identify_signs,
)

N, M = 24, 48
FRAME, SHAPE = (M, M), (N, N)
MIDDLE = (M - N) // 2


class Listening(Progress):
    def __init__(self):
        super().__init__()
        self.warnings = []
        self.said = []

    def warn(self, text):
        self.warnings.append(text)

    def say(self, text):
        self.said.append(text)


@pytest.fixture(scope="module")
def image():
    return np.rint(255 * resize(data.camera(), SHAPE, anti_aliasing=True))


def embed(image, row=0, column=0, frame=FRAME):
    whole = np.zeros(frame)
    whole[: image.shape[0], : image.shape[1]] = image
    return np.roll(whole, (row, column), (0, 1))


def phase_of(whole):
    return np.angle(np.fft.rfft2(whole))


def options_of(explanation):
    """Return named options as keywords."""
    keywords = {}
    for option in explanation.options:
        flag, *value = option.split(" ")
        keywords[flag.removeprefix("--").replace("-", "_")] = value[0] if value else True
    for name in ("origin", "zero"):
        if "," in str(keywords.get(name)):
            keywords[name] = tuple(map(int, keywords[name].split(",")))
    if "offset" in keywords:
        keywords["offset"] = float(keywords["offset"])
    if "shape" in keywords:
        keywords["shape"] = int(keywords["shape"])
    return keywords


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (lambda x: phase_of(embed(x, MIDDLE, MIDDLE)), ("--origin centre",)),
        (lambda x: -phase_of(embed(x)), ("--sign +",)),
        (lambda x: -phase_of(embed(x, MIDDLE, MIDDLE)), ("--sign +", "--origin centre")),
        (lambda x: phase_of(embed(x, -N // 2, -N // 2)), ("--origin ifftshift",)),
        (lambda x: -phase_of(embed(x, -N // 2, -N // 2)), ("--sign +", "--origin ifftshift")),
        (lambda x: phase_of(embed(x, N, N)), ("--origin 24,24",)),
        (lambda x: phase_of(embed(x, N, 0)), ("--origin 24,0",)),
        (lambda x: phase_of(embed(x, 5, 17)), ("--origin 5,17",)),
        (lambda x: phase_of(embed(x - x.mean())), ("--mean-removed",)),
        (
            lambda x: phase_of(embed(x - x.mean(), MIDDLE, MIDDLE)),
            ("--origin centre", "--mean-removed"),
        ),
        (lambda x: phase_of(embed(-x, MIDDLE, MIDDLE)), ("--origin centre", "--offset 3.1415926")),
    ],
)
def test_the_options_that_explain_are_named(image, make, options):
    said = identify_convention(make(image), None, FRAME, SHAPE, 0.3)
    assert [a.startswith(b) for a, b in zip(said.options, options, strict=True)] == [True] * len(
        options
    )
    assert str(said).endswith(f": {' '.join(said.options)}")


KINDS = [
    {"origin": "centre"},
    {"origin": "ifftshift"},
    {"origin": (3, 20)},
    {"sign": "+"},
    {"sign": "+", "origin": "centre"},
    {"sign": "+", "origin": (3, 20)},
    {"layout": "centred"},
    {"layout": "centred", "origin": "centre"},
    {"layout": "centred", "origin": (3, 20)},
    {"layout": "centred", "sign": "+", "origin": "ifftshift"},
    {"zero": (M // 2, 0)},
    {"zero": (M // 2, 0), "origin": (3, 20), "sign": "+"},
    {"offset": np.pi},
    {"offset": np.pi, "origin": "centre"},
    {"layout": "centred", "offset": np.pi, "origin": (3, 20), "sign": "+"},
    {"layout": "centred", "mean_removed": True, "origin": "centre", "sign": "+"},
    {"mean_removed": True},
]


def foreign(image, kind, frame=FRAME):
    """Return a full plane of phases of a kind."""
    shape = image.shape
    position = object_position(kind.get("origin", "corner"), frame, shape)
    image = image - image.mean() if kind.get("mean_removed") else image
    transform = np.fft.ifft2 if kind.get("sign") == "+" else np.fft.fft2
    phase = np.angle(transform(embed(image, *position, frame)))
    if kind.get("layout") == "centred":
        phase = np.fft.fftshift(phase)
    phase = np.roll(phase, kind.get("zero", (0, 0)), axis=(0, 1))
    return np.angle(np.exp(1j * (phase + kind.get("offset", 0.0))))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_what_auto_names_certifies(image, kind):
    """First as a full plane of ours, then with the options that were named."""
    given = foreign(image, kind)
    listening = Listening()
    first = phasegan.reconstruct(given, shape=SHAPE, layout="full", progress=listening)
    assert not first.certified.any()
    (said,) = [line for line in listening.warnings if "explained with" in line]
    assert "noisy" not in said
    named = said.rsplit(": ", 1)[1]
    options = {"layout": "full"} | options_of(
        type("Named", (), {"options": [f"--{o}" for o in named.removeprefix("--").split(" --")]})
    )
    result = phasegan.reconstruct(given, shape=SHAPE, **options)
    if kind.get("mean_removed"):
        assert result.unique_up_to_scale.all()
        assert np.corrcoef(result.estimate.ravel(), image.ravel())[0, 1] > 1 - 1e-6
        assert (result.estimate.min(), result.estimate.max()) == (0, pytest.approx(255))
    else:
        assert result.certified.all(), named
        if isinstance(kind.get("origin"), tuple) and "sign" in kind:  # nothing tells it from this
            assert "turned by 180°" in said
            image = image[::-1, ::-1]
        np.testing.assert_array_equal(
            result.estimate * np.gcd.reduce(image.astype(int), None), image
        )


@pytest.mark.parametrize("kind", KINDS[:-2:2], ids=str)
@pytest.mark.parametrize(("shape", "frame"), [((20, 16), (41, 40)), ((17, 23), (40, 47))])
def test_all_options_compose_on_rectangles(image, kind, shape, frame):
    small = image[: shape[0], : shape[1]]
    if "zero" in kind:
        kind = kind | {"zero": (frame[0] // 2, 3)}
    result = phasegan.reconstruct(
        foreign(small, kind, frame), shape=shape, **({"layout": "full"} | kind)
    )
    assert result.certified.all()
    np.testing.assert_array_equal(result.estimate * np.gcd.reduce(small.astype(int), None), small)


@pytest.mark.parametrize("dtype", ["float16", "float32", "codes12", "codes16"])
def test_half_steps_keep_their_meaning_elsewhere_in_the_frame(image, dtype):
    """A ramp and a conjugation keep differences of angles: the codes are compared as they came."""
    phase = foreign(image, {"sign": "+", "origin": "centre"})
    half = np.angle(np.exp(1j * phase))[:, : M // 2 + 1]
    if dtype.startswith("codes"):
        given = from_half_plane(half, layout="half", units=dtype)
        options = {"units": dtype}
    else:
        given, options = half.astype(dtype), {}
    result = phasegan.reconstruct(given, shape=SHAPE, sign="+", origin="centre", **options)
    assert result.certified.all()
    np.testing.assert_array_equal(result.estimate, image)
    changed = given.copy()  # one code further is another image's
    place = (7, 9)
    changed[place] = (
        np.nextafter(given[place], np.float32(4))
        if dtype == "float16"
        else (given[place] + 1 if dtype.startswith("codes") else given[place] + 1e-4)
    )
    if dtype != "float16":
        spoilt = phasegan.reconstruct(
            changed, shape=SHAPE, sign="+", origin="centre", method="cg", **options
        )
        assert not spoilt.certified.any()


def test_the_ramp_is_exact(rng):
    frame, shape = (46, 37), (21, 16)
    small = rng.integers(1, 256, shape)
    expected = analyse(small, frame).phase
    for origin in (*ORIGINS, (45, 36), (7, -3)):
        position = object_position(origin, frame, shape)
        given = analyse(embed(small, *position, frame), frame).phase
        error = np.angle(np.exp(1j * (to_corner(given, None, frame, position) - expected)))
        assert np.abs(error).max() < 1e-12
    assert to_corner(expected, None, frame, (0, 0)) is expected


def test_named_origins_are_those_of_numpy():
    for m, n in ((48, 24), (47, 24), (48, 23), (47, 23)):
        pad = (m - n) // 2
        marked = np.zeros(m)
        marked[pad : pad + n] = np.arange(1, n + 1)
        assert marked[named_position("centre", (m, m), (n, n))[0]] == 1
        middle = np.zeros(m)
        middle[m // 2 - n // 2 : m // 2 - n // 2 + n] = np.arange(1, n + 1)
        assert np.fft.ifftshift(middle)[named_position("ifftshift", (m, m), (n, n))[0]] == 1


def test_odd_frames_and_sizes(image, rng):
    small, frame = image[:21, :21], (46, 46)
    for room, option in ((12, "--origin centre"), (13, "--origin 13,13")):
        given = phase_of(embed(small, room, room, frame))
        assert identify_convention(given, None, frame, (21, 21), 0.3).options == (option,)
    mask = rng.uniform(size=given.shape) > 0.05
    assert identify_convention(given, mask, frame, (21, 21), 0.3).options == (option,)


def test_what_is_said_continues_from_the_options_that_were_set(image):
    phase = phase_of(embed(image, -N // 2, -N // 2))
    own = PhaseConvention(origin="centre", sign="+", layout="half")
    moved = to_corner(phase, None, FRAME, (MIDDLE, MIDDLE), "+")
    said = identify_convention(moved, None, FRAME, SHAPE, 0.3, own)
    assert said.options == ("--sign -", "--origin ifftshift")


@pytest.mark.parametrize("sigma", [0.1, 0.3, 0.6, 1.0])
def test_noise_is_no_convention(image, sigma):
    for seed in range(12):
        rng = np.random.default_rng(seed)
        clean = phase_of(embed(image))
        given = clean + rng.normal(0, sigma, clean.shape)
        for residual in (sigma, 0.7):
            assert identify_convention(given, None, FRAME, SHAPE, residual) is None
        assert identify_padding(given, None, FRAME) is None


def test_phases_of_nothing_are_no_convention(rng):
    for _ in range(5):
        given = rng.uniform(-np.pi, np.pi, (M, M // 2 + 1))
        assert identify_convention(given, None, FRAME, SHAPE, 0.6) is None
        assert identify_padding(given, None, FRAME) is None


@pytest.mark.parametrize("sigma", [0.1, 1.0])
def test_auto_takes_noisy_phases_as_noisy(image, sigma, rng):
    clean = phase_of(embed(image))
    listening = Listening()
    given = clean + rng.normal(0, sigma, clean.shape)
    phasegan.reconstruct(
        np.angle(np.exp(1j * given)), shape=SHAPE, symmetrise=True, iterations=200,
        progress=listening,
    )  # fmt: skip
    assert any("taken as noisy" in line for line in listening.warnings)
    assert not any("explained" in line for line in listening.warnings)


def test_signs_of_pixels_are_named(image):
    rows, columns = np.mgrid[:N, :N]
    own = PhaseConvention(layout="full")
    assert identify_signs(image * (-1) ** (rows + columns), FRAME, own).options == (
        "--layout centred",
    )
    assert identify_signs(image * (-1) ** rows, FRAME, own).options == (f"--zero {M // 2},0",)
    assert "background subtracted" in str(identify_signs(image - 60, FRAME))
    assert identify_signs(image - image.mean(), FRAME).options == ("--mean-removed",)
    turned = PhaseConvention(units="turns", offset=0.25)
    assert identify_signs(-image, FRAME, turned).options == ("--offset 0.75",)
    assert identify_signs(image, FRAME) is None


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda x: phase_of(embed(x - 60)), "are those of an image with negative pixels"),
        (lambda x: phase_of(embed(x, N, N)), "--sign + --origin 1,1): --origin 24,24"),
    ],
)
def test_auto_says_it(image, make, said):
    listening = Listening()
    result = phasegan.reconstruct(make(image), shape=SHAPE, iterations=400, progress=listening)
    assert len(listening.warnings) == 1
    assert said in listening.warnings[0]
    assert not result.certified.any()


def test_coarse_codes_of_an_object_elsewhere_are_named(image):
    codes = from_half_plane(phase_of(embed(image, MIDDLE, MIDDLE)), layout="half", units="codes8")
    listening = Listening()
    phasegan.reconstruct(codes, shape=SHAPE, units="codes8", progress=listening)
    assert any("--origin centre" in line for line in listening.warnings)


@pytest.mark.parametrize("origin", ["corner", "centre"])
def test_an_object_that_fills_half_of_its_frame_is_named(image, origin):
    listening = Listening()
    place = named_position(origin, FRAME, SHAPE)
    given = phase_of(embed(image, *place))
    phasegan.reconstruct(given, progress=listening, method="auto", iterations=20)
    (note,) = [line for line in listening.said if "without --shape" in line]
    assert "N = 48×48" in note
    assert "--shape N" in note
    (said,) = [line for line in listening.warnings if "explained" in line]
    wanted = "--shape 24" if origin == "corner" else "--shape 24 --origin centre"
    assert said.endswith(f": {wanted}")


def test_an_image_with_opposite_phases_is_not_unique_up_to_scale(image):
    """Half of the phases are half a turn off, which the linear condition does not see."""
    result = phasegan.reconstruct(phase_of(embed(image, N, 0)), shape=SHAPE, method="cg")
    (certificate,) = result.certificates
    assert certificate.verdict == Verdict.NOT_EXPLAINED
    assert not result.unique_up_to_scale.any()
    assert result.residual < 1e-6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"origin": "middle"}, "--origin middle: choose one of corner, centre, ifftshift, or ROW"),
        ({"origin": (1, 2, 3)}, "choose one of corner"),
        ({"origin": (48, 0)}, "--origin 48,0 is not in the frame of 48×48"),
        ({"zero": "a"}, "--zero a: expected ROW,COLUMN"),
        ({"sign": "*"}, "choose one of -, +"),
        ({"frame": 47}, "--frame 47x47 has planes of 47×24"),
        ({"channel_axis": -1}, "for arrays of three or four axes, this has 2"),
    ],
)
def test_bad_options_are_one_line(image, options, message):
    with pytest.raises(InputError, match=message.replace("*", r"\*").replace("+", r"\+")) as caught:
        phasegan.reconstruct(phase_of(embed(image)), shape=SHAPE, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_high_frequencies_in_a_wrong_place_explain_nothing():
    """On large frames an image that alternates from pixel to pixel fits almost anywhere."""
    large = np.rint(255 * resize(data.camera(), (256, 256), anti_aliasing=True))
    given = phase_of(np.pad(large, 128))
    said = identify_convention(given, None, (512, 512), (256, 256), 0.6)
    assert said.options == ("--origin centre",)
    moved = to_corner(given, None, (512, 512), (20, 131))
    said = identify_convention(moved, None, (512, 512), (256, 256), 0.6)
    assert said is None or said.options == ("--origin 108,509",)
