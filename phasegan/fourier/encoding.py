"""Encodings of phases on disk.

`uint16` keeps the code k of φ = 2πk/65536, modulo one turn, so that the error
is at most π/65536 = 4.8e-5 rad and ±π are one code. `float32` and `float16`
keep radians, rounded to nearest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phasegan.errors import InputError

TURN = 2.0 * np.pi
UINT16_CODES = 65536
PHASE_DTYPES = ("uint16", "float16", "float32")


def encode(phase: NDArray[np.floating], dtype: str) -> NDArray[np.generic]:
    """Encode phases.

    Parameters
    ----------
    phase : numpy.ndarray
        Radians in (−π, π], any shape.
    dtype : {"uint16", "float16", "float32"}
        The encoding.

    Returns
    -------
    numpy.ndarray
        Same shape, little-endian on every machine that numpy calls native.

    Raises
    ------
    InputError
        If the encoding is unknown.
    """
    if dtype == "uint16":
        codes = np.rint(np.asarray(phase, np.float64) * (UINT16_CODES / TURN)).astype(np.int32)
        return codes.astype(np.uint16)  # modulo 65536
    if dtype not in PHASE_DTYPES:
        raise InputError(f"phase dtype {dtype!r}: choose one of {', '.join(PHASE_DTYPES)}")
    rounded = np.asarray(phase).astype(dtype)
    rounded[(np.asarray(phase) == -np.pi) | (rounded.astype(np.float64) <= -np.pi)] = np.pi
    return rounded


def decode(codes: NDArray[np.generic], dtype: type = np.float64) -> NDArray[np.floating]:
    """Return the phases that codes stand for.

    Parameters
    ----------
    codes : numpy.ndarray
        uint16 codes, or float16/float32 radians.
    dtype : numpy dtype
        float64 (default) or float32.

    Returns
    -------
    numpy.ndarray
        Radians in (−π, π], same shape; within 4.8e-5 rad (uint16), 3e-7
        (float32) or 9.8e-4 (float16) of the encoded phase.

    Raises
    ------
    InputError
        If the codes are of another dtype.
    """
    if codes.dtype == np.uint16:
        target = np.dtype(dtype)
        radians: NDArray[np.floating] = np.empty(codes.shape, target)
        signed = codes.view(np.int16)  # modulo one turn; only π comes out as −π
        np.multiply(signed, TURN / UINT16_CODES, out=radians, dtype=np.float64, casting="unsafe")
        np.copyto(radians, target.type(np.pi), where=codes == UINT16_CODES // 2)
        return radians
    if codes.dtype.name in PHASE_DTYPES:
        return np.minimum(codes.astype(np.float64), np.pi).astype(dtype)
    raise InputError(f"phases of dtype {codes.dtype}: expected one of {', '.join(PHASE_DTYPES)}")


def half_steps(codes: NDArray[np.generic], bits: int | None = None) -> NDArray[np.float64] | float:
    """Return how far a phase may lie from the one that its code stands for.

    Parameters
    ----------
    codes : numpy.ndarray
        uint16 codes, or float16/float32/float64 radians.
    bits : int, optional
        Phases were rounded to 2π/2^bits before they were encoded.

    Returns
    -------
    float or numpy.ndarray
        Radians: half a step of uint16 or of `bits`; half the spacing of float16
        at each phase; one spacing of float32, whose last place depends on who
        computed it; 0 for float64.
    """
    quantisation = 0.0 if bits is None else np.pi / 2**bits
    if codes.dtype == np.uint16:
        return max(quantisation, np.pi / UINT16_CODES)
    if codes.dtype == np.float64:
        return quantisation
    spacing = np.spacing(np.abs(codes)).astype(np.float64)
    factor = 0.5 if codes.dtype == np.float16 else 1.0
    rounding: NDArray[np.float64] = factor * spacing
    return rounding if bits is None else np.maximum(rounding, quantisation + rounding)
