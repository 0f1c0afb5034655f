"""Laws of the phase encodings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phasegan.errors import InputError
from phasegan.fourier.degradation import quantise_phase
from phasegan.fourier.encoding import decode, encode, half_steps

ERROR = {"uint16": np.pi / 65536 * 1.001, "float32": 3e-7, "float16": 9.8e-4}
angles = st.floats(-np.pi, np.pi, exclude_min=True, allow_nan=False)


def circular(a, b):
    return np.abs(np.angle(np.exp(1j * (np.asarray(a) - np.asarray(b)))))


@pytest.mark.parametrize("dtype", ERROR)
@given(phase=angles)
def test_decoding_returns_the_angle_within_the_rounding(dtype, phase):
    code = encode(np.array([phase]), dtype)
    assert code.dtype == dtype
    decoded = decode(code)
    assert circular(decoded, phase)[0] <= ERROR[dtype]
    assert -np.pi < decoded[0] <= np.pi


@pytest.mark.parametrize("dtype", ERROR)
@pytest.mark.parametrize("edge", [-np.pi, 0.0, np.pi])
def test_the_rounding_holds_close_to_the_edges(dtype, edge):
    steps = np.concatenate([np.linspace(0, 4e-3, 5001), np.logspace(-12, -3, 500)])
    phase = edge + (steps if edge <= 0 else -steps)
    phase = phase[phase > -np.pi]
    assert circular(decode(encode(phase, dtype)), phase).max() <= ERROR[dtype]


@pytest.mark.parametrize("dtype", ERROR)
def test_every_code_survives_decoding_and_encoding(dtype, rng):
    codes = encode(rng.uniform(-np.pi, np.pi, 20000), dtype)
    again = encode(decode(codes), dtype)
    np.testing.assert_array_equal(again, codes)


def test_uint16_codes_are_turns_over_65536():
    phase = 2 * np.pi * np.array([0, 1, 16384, 32768, -1, -16384]) / 65536
    np.testing.assert_array_equal(encode(phase, "uint16"), [0, 1, 16384, 32768, 65535, 49152])


@pytest.mark.parametrize("dtype", ERROR)
def test_minus_pi_is_stored_as_pi(dtype):
    codes = encode(np.array([-np.pi, np.pi]), dtype)
    assert codes[0] == codes[1]
    assert decode(codes)[0] > 3.14


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_stored_floats_stay_above_minus_pi(dtype):
    near = -np.pi + np.logspace(-12, -1, 200)
    assert (encode(near, dtype).astype(np.float64) > -np.pi).all()


def test_unknown_dtypes_are_refused():
    with pytest.raises(InputError, match="uint8"):
        encode(np.zeros(3), "uint8")
    with pytest.raises(InputError, match="uint8"):
        decode(np.zeros(3, np.uint8))


def same_code(phase, codes, bits=None):
    """Return the codes of phases at the edge of what `half_steps` allows, and just beyond."""
    steps = half_steps(codes, bits)
    return np.broadcast_to(np.asarray(steps, np.float64), np.shape(phase))


@pytest.mark.parametrize("dtype", ["uint16", "float16", "float32"])
def test_every_phase_lies_within_half_a_step_of_what_its_code_stands_for(dtype, rng):
    phase = np.concatenate(
        [
            rng.uniform(-np.pi, np.pi, 20000),
            np.logspace(-9, 0.49, 3000),
            -np.logspace(-9, 0.49, 3000),
        ]
    )
    codes = encode(phase, dtype)
    error = circular(decode(codes), phase)
    assert (error <= same_code(phase, codes) * (1 + 1e-9)).all()


@pytest.mark.parametrize("dtype", ["uint16", "float16"])
def test_half_a_step_is_not_too_wide(dtype, rng):
    phase = rng.uniform(0.3, 3.0, 20000)
    codes = encode(phase, dtype)
    error = circular(decode(codes), phase) / same_code(phase, codes)
    assert error.max() > 0.999
    beyond = decode(codes) + 1.01 * same_code(phase, codes)
    assert (encode(beyond, dtype) != codes).all()


def test_float64_is_not_rounded_and_bits_add_their_half_step():
    phase = np.linspace(-3, 3, 7)
    assert half_steps(phase) == 0.0
    assert half_steps(phase, 8) == np.pi / 256
    assert half_steps(encode(phase, "uint16")) == np.pi / 65536
    assert half_steps(encode(phase, "uint16"), 4) == np.pi / 16
    assert half_steps(encode(phase, "uint16"), 16) == np.pi / 65536
    for dtype in ("float16", "float32"):
        fine = half_steps(encode(phase, dtype))
        assert fine.shape == phase.shape
        assert (half_steps(encode(phase, dtype), 6) >= np.pi / 64).all()


@pytest.mark.parametrize("dtype", ["uint16", "float16", "float32"])
@pytest.mark.parametrize("bits", [1, 3, 8, 12, 16])
def test_phases_of_few_bits_lie_within_half_a_step(dtype, bits, rng):
    phase = rng.uniform(-np.pi, np.pi, (40, 5, 5 // 2 + 1))
    codes = encode(quantise_phase(phase, bits, (5, 5)), dtype)
    kept = np.s_[:, :, 1:]  # column 0 holds k and −k, one of which is replaced
    error = circular(decode(codes), phase)[kept]
    assert (error <= same_code(phase, codes, bits)[kept] * (1 + 1e-9)).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_code_is_its_angle_rounded_once(dtype):
    codes = np.arange(65536, dtype=np.uint16).reshape(2, -1)[:, ::-1]
    turns = codes.astype(np.int64) - 65536 * (codes > 32768)
    found = decode(codes, dtype)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, (turns * (2 * np.pi / 65536)).astype(dtype))
    assert not np.signbit(found[codes == 32768]).any()
