"""Laws of the layouts and units that a phase may come in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phasegan.errors import InputError
from phasegan.fourier.layouts import LAYOUTS, UNITS, from_half_plane, to_half_plane
from phasegan.fourier.phase import analyse

CODE_STEPS = {f"codes{bits}": np.pi / 2**bits for bits in (8, 10, 12, 16)} | {
    f"grey{bits}": np.pi / (2**bits - 1) for bits in (8, 16)
}


def phases(rng, m, leading=()):
    return analyse(rng.integers(1, 256, (*leading, m, m)), (m, m)).phase


def read(array, layout="half", units="rad", **options):
    return to_half_plane(array, layout=layout, units=units, where="scan", **options)


def circular(a, b):
    return np.abs(np.angle(np.exp(1j * (np.asarray(a) - np.asarray(b))))).max()


@pytest.mark.parametrize("layout", LAYOUTS)
@given(
    units=st.sampled_from(sorted(UNITS)),
    m=st.integers(1, 16),
    leading=st.sampled_from([(), (3,), (2, 3)]),
    seed=st.integers(0, 99),
)
def test_every_layout_and_unit_is_undone(layout, units, m, leading, seed):
    phase = phases(np.random.default_rng(seed), m, leading)
    half = read(from_half_plane(phase, layout=layout, units=units), layout, units)
    assert half.phase.shape == (*leading, m, m // 2 + 1)
    assert half.phase.dtype == np.float64
    step = CODE_STEPS.get(units, 0.0)
    assert circular(half.phase, phase) < step + 1e-12
    assert -np.pi < half.phase.min()
    assert half.phase.max() <= np.pi
    assert half.trusted is None
    assert (half.not_real, half.inconsistent, half.warnings) == (0, 0, ())
    assert half.consistent_error < 2 * step + 1e-12
    assert half.resolution == pytest.approx(step)


def test_radians_of_a_half_plane_keep_their_bits(rng):
    phase = phases(rng, 16, (2,))
    np.testing.assert_array_equal(read(phase).phase, phase)


@pytest.mark.parametrize("m", [8, 9])
def test_planes_are_what_numpy_gives(m, rng):
    image = rng.random((m, m))
    spectrum = np.fft.fft2(image)
    expected = analyse(image, (m, m)).phase
    shifted = np.fft.fftshift(spectrum)
    assert circular(read(np.angle(np.fft.rfft2(image))).phase, expected) < 1e-9
    assert circular(read(np.angle(spectrum), "full").phase, expected) < 1e-9
    assert circular(read(np.angle(shifted), "centred").phase, expected) < 1e-9
    phasors = shifted / np.abs(shifted)
    assert circular(read(phasors, "centred", "phasor").phase, expected) < 1e-9


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("units", "turn"), [("rad", 2 * np.pi), ("deg", 360), ("turns", 1)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_both_ranges_and_every_precision_are_taken(layout, units, turn, dtype, rng):
    phase = phases(rng, 16, (20,))
    signed = from_half_plane(phase, layout=layout, units=units)
    for values in (signed, np.mod(signed, turn)):
        half = read(values.astype(dtype), layout, units)
        assert circular(half.phase, phase) <= max(half.resolution, 1e-12)
        assert half.not_real == 0
    assert half.resolution == pytest.approx(
        {"float16": 2.2e-3, "float32": 2.7e-7, "float64": 0}[dtype], rel=0.05
    )


def test_pi_rounded_up_stays_pi():
    phase = np.full((2, 8, 5), np.pi, np.float32)
    phase[1] *= -1
    phase[:, 0, 0] = 0
    assert float(phase[0, 1, 1]) > np.pi
    assert (np.delete(read(phase).phase.ravel(), [0, 40]) == np.pi).all()


def test_whole_degrees_may_be_integers(rng):
    phase = phases(rng, 8)
    degrees = np.rint(from_half_plane(phase, layout="full", units="deg")).astype(np.int16)
    half = read(degrees, "full", "deg")
    assert half.resolution == pytest.approx(np.radians(0.5))
    assert circular(half.phase, phase) <= half.resolution


@pytest.mark.parametrize(
    ("shape", "layout", "message"),
    [
        ((8, 8), "half", r"scan: .*\(8, 8\): expected \(\[n, \[C,\]\] M₁, M₂ // 2 \+ 1\).*full"),
        ((8, 5), "full", r"expected \(\[n, \[C,\]\] M₁, M₂\) .* half-plane\? add --layout half"),
        ((8, 5), "centred", "add --layout half"),
        ((8, 8), "half-rows", "a full plane"),
        ((64, 64, 3), "full", "channels come before rows: --channel-axis -1"),
        ((8,), "half", "one plane, n planes"),
        ((1, 1, 1, 8, 5), "half", "one plane, n planes"),
        ((0, 8, 5), "half", "one plane, n planes"),
        ((), "half", "one plane, n planes"),
    ],
)
def test_shapes_that_do_not_fit_say_what_was_expected(shape, layout, message):
    with pytest.raises(InputError, match=message):
        read(np.zeros(shape), layout)


@pytest.mark.parametrize(
    ("low", "high", "units", "message"),
    [
        (-180, 179, "rad", r"reaches -180: .*\[−π, π\] or \[0, 2π\]; .*degrees\? add --units deg"),
        (0, 359, "rad", "reaches 359.*add --units deg"),
        (0, 25, "rad", r"reaches 25.*unwrapped\? .*numpy.mod\(phase, 2 \* numpy.pi\)"),
        (-1, 6, "rad", "runs from -1 to 6"),
        (-3, 3.1, "turns", r"reaches 3.1.*\[0, 1\].*radians\? add --units rad"),
        (-170, 3, "turns", "reaches -170.*add --units deg"),
        (-4, 400, "deg", r"reaches 400.*numpy.mod\(phase, 360\)"),
        (-3.1416, 3.2, "rad", "runs from -3.142 to 3.2"),
    ],
)
def test_values_outside_the_unit_name_it_and_the_unit_that_fits(low, high, units, message):
    phase = np.zeros((8, 5))
    phase[1, 1], phase[2, 2] = low, high
    with pytest.raises(InputError, match=message):
        read(phase, units=units)


@pytest.mark.parametrize(
    ("array", "units", "message"),
    [
        (np.zeros((8, 5), np.uint16), "rad", r"integer codes without .*2\*pi/65536"),
        (np.zeros((8, 5), np.uint8), "turns", "integer codes without"),
        (np.full((8, 5), 40000, np.uint16), "deg", "reaches 4e.04.*integer codes"),
        (np.zeros((8, 5), bool), "rad", "dtype bool is no phase"),
        (np.full((8, 5), "a"), "rad", "dtype <U1 is no phase"),
        (np.full((8, 5), None), "rad", "dtype object is no phase"),
        (np.ones((8, 5), complex), "rad", "complex values .* add --units phasor"),
        (np.ones((8, 5)), "phasor", "float64 for --units phasor"),
        (np.zeros((8, 5), complex), "phasor", "all phasors are 0"),
    ],
)
def test_dtypes_that_are_no_phase_are_refused(array, units, message):
    with pytest.raises(InputError, match=message):
        read(array, units=units)


def test_a_whole_spectrum_is_no_phasor(rng):
    spectrum = np.fft.rfft2(rng.random((8, 8)))
    with pytest.raises(InputError, match=r"40 of 40 phasors .* at \[0, 0\]; .*numpy\.angle"):
        read(spectrum, units="phasor")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("units", UNITS)
def test_values_that_are_not_finite_are_counted_unless_masked(units, value, rng):
    phase = phases(rng, 8, (2,))
    array = from_half_plane(phase, layout="half", units=units)
    array = array if array.dtype.kind in "fc" else array.astype(np.float64)
    array[1, 3, 2] = array[1, 4, 1] = value
    with pytest.raises(InputError, match=r"2 of 80 phases .* first at \[1, 3, 2\].* --mask"):
        read(array, units=units)
    half = read(array, units=units, mask=np.isfinite(array))
    np.testing.assert_array_equal(half.trusted, np.isfinite(array))
    assert half.phase[1, 3, 2] == 0
    step = CODE_STEPS.get(units, 0.0)
    assert circular(half.phase[half.trusted], phase[half.trusted]) < step + 1e-12


@pytest.mark.parametrize("m", [8, 9])
@pytest.mark.parametrize("layout", ["full", "centred"])
def test_one_trusted_copy_of_a_pair_is_enough(layout, m, rng):
    phase = phases(rng, m, (3,))
    whole = from_half_plane(phase, layout=layout, units="rad")
    copy = (rng.random(whole.shape) < 0.6).astype(np.uint8)
    half = read(np.where(copy, whole, np.nan), layout, mask=copy)
    plain = copy if layout == "full" else np.fft.ifftshift(copy, axes=(-2, -1))
    rows = -np.arange(m) % m
    either = (plain | plain[:, rows][:, :, rows])[..., : m // 2 + 1].astype(bool)
    np.testing.assert_array_equal(half.trusted, either)
    assert circular(half.phase[either], phase[either]) < 1e-12
    assert (half.phase[~either] == 0).all()
    assert half.phase.min() > -np.pi


def test_phasors_of_nothing_are_not_trusted(rng):
    phasors = from_half_plane(phases(rng, 8), layout="full", units="phasor")
    phasors[2, 3] = 0
    assert read(phasors, "full", "phasor").trusted is None
    phasors[6, 5] = 0
    trusted = read(phasors, "full", "phasor").trusted
    assert list(zip(*np.nonzero(~trusted), strict=True)) == [(2, 3)]


def test_masks_of_one_plane_count_for_all(rng):
    phase = phases(rng, 8, (2, 3))
    mask = np.ones((8, 5))
    mask[2, 2] = 0
    half = read(phase, mask=mask)
    assert not half.trusted[..., 2, 2].any()
    assert half.trusted.sum() == 6 * 39


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones((8, 8)), r"a mask of shape \(8, 8\) for a phase of shape \(8, 5\)"),
        (np.ones((2, 8, 5)), "shape"),
        (np.full((8, 5), 255), r"holds 255 at \[0, 0\].*mask > 0"),
        (np.full((8, 5), np.nan), "holds nan"),
        (np.zeros((8, 5)), "trusts no sample"),
        (np.full((8, 5), "x"), "dtype <U1"),
    ],
)
def test_bad_masks_are_refused(mask, message):
    with pytest.raises(InputError, match=f"scan: .*{message}"):
        read(np.zeros((8, 5)), mask=mask)


@pytest.mark.parametrize(("m", "total"), [(8, 30), (9, 40)])
def test_every_pair_of_a_full_plane_is_checked_once(m, total, rng):
    phase = phases(rng, m)
    whole = from_half_plane(phase, layout="full", units="rad")
    assert read(whole, "full").pairs == total
    for place in ((1, 0), (m - 1, 0), (2, 3), (m - 2, m - 3), (1, m // 2)):
        bent = whole.copy()
        bent[place] -= np.copysign(0.5, bent[place])
        with pytest.raises(InputError, match=f"scan: .*fails in 1 of {total} pairs, .*by 0.5 rad"):
            read(bent, "full")
    with pytest.raises(InputError, match=r"symmetrise=True"):
        read(rng.uniform(-3, 3, (m, m)), "full")


@pytest.mark.parametrize(("m", "total"), [(8, 6), (9, 4)])
def test_a_half_plane_is_checked_where_it_holds_both_copies(m, total, rng):
    phase = phases(rng, m)
    assert read(phase).pairs == total
    bent = phase.copy()
    bent[3, 1] = 0.3
    assert read(bent).phase[3, 1] == 0.3
    bent[m - 1, 0] = -bent[1, 0] + 0.25
    with pytest.raises(InputError, match=rf"in 1 of {total} pairs, worst by 0.25 rad at \[1, 0\]"):
        read(np.angle(np.exp(1j * bent)))


def test_a_violation_is_named_where_the_user_sees_it(rng):
    whole = from_half_plane(phases(rng, 8, (2,)), layout="centred", units="rad")
    whole[1, 6, 7] -= np.copysign(1.0, whole[1, 6, 7])
    with pytest.raises(InputError, match=r"1 of 60 pairs, worst by 1 rad at \[1, 6, 7\]"):
        read(whole, "centred")


@pytest.mark.parametrize("m", [9, 15])
def test_full_and_centred_planes_of_odd_size_are_not_mixed_up(m, rng):
    phase = phases(rng, m)
    for made, said in (("full", "centred"), ("centred", "full")):
        with pytest.raises(InputError, match=f"explained with --layout {made}$"):
            read(from_half_plane(phase, layout=made, units="rad"), said)


def test_full_planes_of_even_size_taken_for_centred_raise_a_doubt(rng):
    whole = from_half_plane(phases(rng, 8, (30,)), layout="full", units="rad")
    assert "--layout centred right?" in read(whole, "centred").warnings[0]
    assert read(whole, "full").warnings == ()


def test_small_inconsistency_is_within_the_tolerance(rng):
    whole = from_half_plane(phases(rng, 8), layout="full", units="rad") * 0.9
    whole[2, 3] += 9e-4
    assert read(whole, "full").consistent_error == pytest.approx(9e-4)
    with pytest.raises(InputError, match="1 of 30 pairs"):
        read(whole, "full", tolerance=1e-4)
    for tolerance in (-1, np.nan, 4):
        with pytest.raises(InputError, match="tolerance"):
            read(whole, "full", tolerance=tolerance)


@pytest.mark.parametrize("m", [8, 9])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_symmetrise_takes_the_phase_of_the_mean_phasor(layout, m, rng):
    plane = rng.uniform(-np.pi, np.pi, (2, m, m))
    mean = np.exp(1j * plane) + np.exp(-1j * np.roll(plane[:, ::-1, ::-1], 1, axis=(1, 2)))
    expected = np.angle(mean)[..., : m // 2 + 1]
    given = {
        "half": plane[..., : m // 2 + 1],
        "full": plane,
        "centred": np.fft.fftshift(plane, axes=(1, 2)),
        "half-rows": plane[:, : m // 2 + 1],
    }[layout]
    half = read(given, layout, symmetrise=True)
    both = [0] + ([m // 2] if m % 2 == 0 else [])
    where = {"half": np.s_[..., both], "half-rows": np.s_[..., both, :]}.get(layout, np.s_[...])
    assert circular(half.phase[where], expected[where]) < 1e-9
    assert half.inconsistent > 0
    again = read(half.phase)
    np.testing.assert_array_equal(again.phase, half.phase)
    assert again.consistent_error < 1e-12


def test_copies_half_a_turn_apart_cancel(rng):
    phase = phases(rng, 9)
    phase[1, 0], phase[8, 0] = 0.5, np.pi - 0.5
    half = read(phase, symmetrise=True)
    assert list(zip(*np.nonzero(~half.trusted), strict=True)) == [(1, 0), (8, 0)]
    assert half.inconsistent == 1


def test_self_conjugate_bins_become_0_or_pi_and_are_counted(rng):
    phase = phases(rng, 8, (2,))
    phase[0, 0, 0], phase[0, 4, 4], phase[1, 0, 4] = 0.4, -2.0, np.pi - 5e-4
    half = read(phase)
    assert half.not_real == 2
    assert half.phase[0, 0, 0] == 0
    assert half.phase[0, 4, 4] == np.pi
    assert half.phase[1, 0, 4] == np.pi
    mask = np.ones((2, 8, 5), bool)
    mask[0, 0, 0] = mask[0, 4, 4] = False
    assert read(phase, mask=mask).not_real == 0


@pytest.mark.parametrize(("is_", "said"), [("rad", "deg"), ("turns", "rad"), ("turns", "deg")])
def test_values_that_are_small_for_their_unit_raise_a_doubt(is_, said, rng):
    array = from_half_plane(phases(rng, 16), layout="half", units=is_)
    assert any(f"add --units {is_}" in doubt for doubt in read(array, units=said).warnings)
    assert read(array, units=is_).warnings == ()


def test_a_constant_phase_is_a_phase():
    assert read(np.zeros((8, 5))).warnings == ()


def test_unknown_names_are_refused():
    for function in (read, lambda a, layout, units: from_half_plane(a, layout=layout, units=units)):
        with pytest.raises(InputError, match="--layout corner: choose one of half, full, centred"):
            function(np.zeros((8, 5)), layout="corner", units="rad")
        with pytest.raises(InputError, match="--units gon: choose one of rad, deg"):
            function(np.zeros((8, 5)), layout="half", units="gon")
    with pytest.raises(InputError, match=r"\(8, 8\): expected"):
        from_half_plane(np.zeros((8, 8)), layout="half", units="rad")


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">c8", "<f8"])
def test_byte_order_does_not_matter(dtype, rng):
    phase = phases(rng, 8)
    units = "phasor" if "c" in dtype else "rad"
    array = from_half_plane(phase, layout="full", units=units).astype(dtype)
    half = read(array, "full", units)
    assert circular(half.phase, phase) <= max(half.resolution, 1e-12)


def test_the_array_given_is_left_alone(rng):
    for layout in LAYOUTS:
        phase = from_half_plane(phases(rng, 8) * 0.9, layout=layout, units="rad")
        before = phase.copy()
        read(phase, layout, symmetrise=True, mask=np.eye(*phase.shape))
        np.testing.assert_array_equal(phase, before)


RECTANGLES = [(8, 12), (7, 12), (12, 7), (9, 5), (6, 1), (1, 6)]


@pytest.mark.parametrize("frame", RECTANGLES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_rectangular_frames_are_what_numpy_gives(layout, frame, rng):
    image = rng.integers(1, 256, (2, *frame))
    expected = analyse(image, frame).phase
    spectrum = np.fft.fft2(image)
    given = {
        "half": np.fft.rfft2(image),
        "full": spectrum,
        "centred": np.fft.fftshift(spectrum, axes=(-2, -1)),
        "half-rows": np.fft.rfft2(image, axes=(-1, -2)),
    }[layout]
    half = read(np.angle(given), layout, frame=frame)
    assert half.frame == frame
    assert circular(half.phase, expected) < 1e-9
    again = from_half_plane(half.phase, layout=layout, units="rad", frame=frame)
    assert circular(again, np.angle(given)) < 1e-9


def test_the_frame_of_a_half_plane_is_square_if_it_can_be_else_even_and_said():
    for shape, layout, frame in [
        ((9, 5), "half", (9, 9)), ((8, 5), "half", (8, 8)), ((12, 4), "half", (12, 6)),
        ((5, 9), "half-rows", (9, 9)), ((4, 12), "half-rows", (6, 12)),
    ]:  # fmt: skip
        half = read(np.zeros(shape), layout)
        assert half.frame == frame
        said = [line for line in half.warnings if "--frame" in line]
        assert len(said) == (frame[0] != frame[1])
    assert "if it is 12×7, add --frame 12x7" in read(np.zeros((12, 4))).warnings[0]
    assert read(np.zeros((12, 4)), frame=(12, 7)).frame == (12, 7)
    assert read(np.zeros((8, 8)), frame=(8, 14)).frame == (8, 14)
    with pytest.raises(InputError, match=r"--frame 12x9 has planes of 12×5"):
        read(np.zeros((12, 4)), frame=(12, 9))


def test_rows_halved_are_checked_where_both_copies_are(rng):
    plane = from_half_plane(phases(rng, 8), layout="half-rows", units="rad")
    assert read(plane, "half-rows").inconsistent == 0
    plane[4, 3] += np.copysign(0.5, -plane[4, 3])
    with pytest.raises(InputError, match=r"fails in 1 of .* worst by 0.5 rad at \[4, 3\]"):
        read(plane, "half-rows")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("offset", [0.7, -2.5, np.pi])
def test_a_constant_that_was_added_is_named_and_taken_away(layout, offset, rng):
    phase = phases(rng, 9)
    given = np.mod(from_half_plane(phase, layout=layout, units="rad") + offset, 2 * np.pi)
    if offset != np.pi:
        with pytest.raises(InputError, match=r"a constant was added .* --offset") as caught:
            read(given, layout)
        named = float(str(caught.value).rsplit(" ", 1)[1])
        assert circular(named, offset) < 1e-12
    else:
        (doubt,) = read(given, layout).warnings
        assert "--offset 3.14159" in doubt
    half = read(given, layout, offset=offset)
    assert circular(half.phase, phase) < 1e-12
    degrees = read(np.degrees(given), layout, "deg", offset=np.degrees(offset))
    assert circular(degrees.phase, phase) < 1e-12


@pytest.mark.parametrize("m", [8, 9])
def test_frequency_0_elsewhere_is_named_and_taken(m, rng):
    phase = phases(rng, m)
    full = from_half_plane(phase, layout="full", units="rad")
    for flipped, zero in ((full[::-1], (m - 1, 0)), (full[::-1, ::-1], (m - 1, m - 1))):
        with pytest.raises(InputError, match="frequency 0 is elsewhere, explained with --zero"):
            read(flipped, "full")
        half = read(flipped, "full", zero=zero)
        assert half.inconsistent == 0
        assert (half.phase[0, 0], half.warnings) == (0, ())
    half = read(np.roll(phase, m // 2, axis=0), "half", zero=(m // 2, 0))
    np.testing.assert_array_equal(half.phase, phase)
    with pytest.raises(InputError, match="of --layout half the column must be 0"):
        read(phase, zero=(0, 1))
    with pytest.raises(InputError, match="is not in the frame"):
        read(full, "full", zero=(m, 1))


def test_noise_is_no_other_place_of_frequency_0_and_no_constant(rng):
    full = from_half_plane(phases(rng, 12), layout="full", units="rad")
    for sigma in np.repeat([0.02, 0.1, 0.5, 1.0], 25):
        noisy = np.angle(np.exp(1j * (full + rng.normal(0, sigma, full.shape))))
        with pytest.raises(InputError, match="is the layout right") as caught:
            read(noisy, "full")
        assert "explained" not in str(caught.value)


def test_unwrapped_phases_are_taken_modulo_one_turn_by_option(rng):
    phase = phases(rng, 16)
    full = from_half_plane(phase, layout="full", units="rad")
    unwrapped = np.unwrap(np.unwrap(full, axis=0), axis=1) + 40 * np.pi
    with pytest.raises(InputError, match="unwrapped\\? --unwrapped"):
        read(unwrapped, "full")
    half = read(unwrapped, "full", unwrapped=True)
    assert circular(half.phase, phase) < 1e-12
    assert 0 < np.max(half.half_step) < 1e-12
    single = read(unwrapped.astype(np.float32), "full", unwrapped=True)
    assert (np.abs(np.angle(np.exp(1j * (single.phase - phase)))) <= single.half_step + 1e-12).all()


@pytest.mark.parametrize("turn", [0, 2 * np.pi])
def test_half_steps_are_those_of_the_values_as_they_came(turn, rng):
    phase = phases(rng, 16, (5,))
    given = (np.mod(phase, turn) if turn else phase).astype(np.float32)
    half = read(given)
    assert (circular_each(half.phase, phase) <= half.half_step).all()
    assert np.max(half.half_step) < 5e-7
    if turn:
        assert (circular_each(half.phase, phase) > np.spacing(np.float32(half.phase))).any()


def circular_each(a, b):
    return np.abs(np.angle(np.exp(1j * (a - b))))


@pytest.mark.parametrize(
    ("codes", "units", "message"),
    [
        (np.full((8, 5), 300), "codes8", r"300 to 300, .*expected 0 to 255; .*--units codes10"),
        (np.full((8, 5), 300), "grey8", "expected 0 to 255"),
        (np.full((8, 5), -3), "grey8", "expected 0 to 255"),
        (np.full((8, 5), 0.5), "codes8", r"0.5 at \[0, 0\] is no integer"),
        (np.full((8, 5), 200, np.uint8), "rad", "add --units codes8 .*--units grey8"),
        (np.full((8, 5), 900, np.uint16), "rad", "add --units codes10, or multiply"),
    ],
)  # fmt: skip
def test_codes_out_of_range_name_the_unit_that_fits(codes, units, message):
    with pytest.raises(InputError, match=message):
        read(codes, units=units)


def test_signed_codes_are_codes(rng):
    phase = phases(rng, 8)
    codes = from_half_plane(phase, layout="half", units="codes16")
    signed = codes.view(np.int16)
    np.testing.assert_array_equal(
        read(codes, units="codes16").phase, read(signed, units="codes16").phase
    )
    np.testing.assert_array_equal(
        read(codes.astype(float), units="codes16").phase, read(codes, units="codes16").phase
    )


@pytest.mark.parametrize("shift", [False, True])
def test_whole_planes_that_look_like_halves_are_named(shift):
    image = np.random.default_rng(0).random((20, 24))
    phase = np.angle(np.fft.fft2(image, s=(40, 48)))
    phase = np.fft.fftshift(phase) if shift else phase
    with pytest.raises(InputError, match="a whole plane: --layout full, or --layout centred"):
        to_half_plane(phase, layout="half", units="rad", where="x")


@pytest.mark.parametrize(("units", "offset"), [("deg", 33.0), ("rad", -1.25), ("turns", 0.4)])
def test_values_out_of_range_by_their_offset_alone_are_taken(units, offset):
    image = np.random.default_rng(1).random((20, 24))
    phase = np.angle(np.fft.rfft2(image, s=(40, 46)))
    values = from_half_plane(phase, layout="half", units=units, frame=(40, 46)) + offset
    options = {"layout": "half", "units": units, "where": "x", "frame": (40, 46)}
    found = to_half_plane(values, offset=offset, **options)
    assert np.abs(np.exp(1j * found.phase) - np.exp(1j * phase)).max() < 1e-9
    with pytest.raises(InputError):
        to_half_plane(values, offset=offset / 3, **options)
