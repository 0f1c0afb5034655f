"""Power laws of the mean squared error over samples, epochs or compute, with intervals.

Errors of trained networks follow a·x^−b over orders of magnitude of data and
compute (Hestness et al. 2017, arXiv:1712.00409; Kaplan et al. 2020,
arXiv:2001.08361), down to a floor that more of the same does not remove:
c + a·x^−b, Hestness's α·m^β + γ. Compute is counted here as training
images seen, samples × epochs.

Both forms are fitted by least squares in log y, as the scatter over seeds is in
proportion to the error rather than the same everywhere. The floor has to earn
its place: by the corrected information criterion AICc (Hurvich & Tsai 1989,
Biometrika 76:297), which at five points forbids it and at eight asks that it
cut the residual sum of squares to a third.

Intervals are Student's with the covariance of the linearised model (Bates &
Watts 1988, Nonlinear Regression Analysis, section 2.3): exact for the plain
power under normal scatter of log y, approximate with a floor. They are of the
chosen form and do not hold the doubt about it: the plain power fitted to points
that a floor bends without showing it has the slope of the data's range, and
goes too low beyond it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phasegan.errors import InputError

Floats = NDArray[np.float64]
Form = Literal["power", "power+floor"]

CONFIDENCE = 0.95
MIN_DISTINCT = {"power": 4, "power+floor": 5}
"""Different x that a form needs."""
MIN_RANGE = 4.0
"""Factor between the least and the largest x that any form needs."""
MAX_AICC_GAP = 10.0
"""A form whose AICc is larger by this has essentially no support (Burnham & Anderson
2002, Model Selection and Multimodel Inference, section 2.6)."""
RESOLUTION = 1e-10
"""Least standard deviation of log y that is believed: below it, numbers are rounded."""
MAX_EXPONENT = 4.0
"""Exponent above a floor at which one point makes the curve; measured ones are below 1."""
_STARTS = (0.01, 0.3, 0.6, 0.85, 0.97)


@dataclass(frozen=True)
class ScalingFit:
    """A fitted curve y(x), its parameters and how well they are known."""

    form: Form
    """`power`: a·x^−b. `power+floor`: c + a·x^−b."""
    amplitude: float
    """a, in units of y: the value, above the floor, at x = 1."""
    exponent: float
    """b, without unit; negative where y grows with x, which only `power` can."""
    floor: float
    """c, in units of y; 0 for `power`."""
    exponent_interval: tuple[float, float]
    """95 %; never includes 0."""
    floor_interval: tuple[float, float] | None
    """95 %, cut at 0; None for `power`."""
    points: int
    """How many y were fitted."""
    residual: float
    """Standard deviation of the residuals of log y: 0.1 is a scatter of about 10 %."""
    covariance: Floats = field(repr=False, compare=False)
    """Covariance of log amplitude, exponent and, for `power+floor`, floor: (2, 2) or (3, 3)."""

    def __call__(self, x: ArrayLike) -> Floats:
        """Return the curve.

        Parameters
        ----------
        x : array_like
            Positive; any shape.

        Returns
        -------
        numpy.ndarray
            Same shape, units of y.

        Raises
        ------
        InputError
            If an x is not a positive, finite number.
        """
        return self.floor + self._power(_positive(x, "x"))

    def band(self, x: ArrayLike) -> tuple[Floats, Floats]:
        """Return the pointwise 95 % confidence band of the curve.

        The delta method in log y with Student's t: where the curve may lie.
        Beyond the data it holds only if the form goes on holding.

        Parameters
        ----------
        x : array_like
            Positive; any shape.

        Returns
        -------
        (numpy.ndarray, numpy.ndarray)
            Lower and upper limit, of the shape of `x`, units of y.

        Raises
        ------
        InputError
            If an x is not a positive, finite number.
        """
        return self._limits(x, 0.0)

    def prediction(self, x: ArrayLike) -> tuple[Floats, Floats]:
        """Return the 95 % prediction interval for one new point at each x.

        As `band`, with the scatter of single points (`residual`) added.

        Parameters
        ----------
        x : array_like
            Positive; any shape.

        Returns
        -------
        (numpy.ndarray, numpy.ndarray)
            Lower and upper limit, of the shape of `x`, units of y.

        Raises
        ------
        InputError
            If an x is not a positive, finite number.
        """
        return self._limits(x, self.residual**2)

    def describe(self, variable: str = "x") -> str:
        """Return `MSE ≈ 310 + 5,800·x^−0.71 (exponent 0.55 to 0.87, 95 %; 7 points)`.

        Parameters
        ----------
        variable : str
            The name of x.

        Returns
        -------
        str
            One line.
        """
        low, high = self.exponent_interval
        floor = f"{_two_digits(self.floor)} + " if self.form == "power+floor" else ""
        return (
            f"MSE ≈ {floor}{_two_digits(self.amplitude)}·{variable}^{_decimal(-self.exponent)} "
            f"(exponent {_decimal(low)} to {_decimal(high)}, {100 * CONFIDENCE:g} %; "
            f"{self.points} points)"
        )

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        interval = None if self.floor_interval is None else list(self.floor_interval)
        return {
            "form": self.form,
            "amplitude": self.amplitude,
            "exponent": self.exponent,
            "exponent_interval": list(self.exponent_interval),
            "floor": self.floor,
            "floor_interval": interval,
            "points": self.points,
            "residual": self.residual,
        }

    def _power(self, x: Floats) -> Floats:
        return np.exp(np.log(self.amplitude) - self.exponent * np.log(x))

    def _limits(self, x: ArrayLike, scatter: float) -> tuple[Floats, Floats]:
        at = _positive(x, "x")
        power = self._power(at)
        curve = power + self.floor
        share = power / curve
        gradient = np.stack([share, -np.log(at) * share, 1 / curve], axis=-1)
        gradient = gradient[..., : len(self.covariance)]
        variance = np.einsum("...i,ij,...j->...", gradient, self.covariance, gradient)
        half = _student(self.points - len(self.covariance)) * np.sqrt(variance + scatter)
        return curve * np.exp(-half), curve * np.exp(half)


def fit_scaling(x: ArrayLike, y: ArrayLike, spread: ArrayLike | None = None) -> ScalingFit | None:
    """Fit a power law, with a floor where the points carry one.

    The plain power needs 4 different x over a factor of 4, the floor 5 and a
    lower AICc. Where the floor's exponent is not told from 0 or its intervals are
    not finite, the plain power stands unless its AICc is larger by 10.

    Parameters
    ----------
    x : array_like
        (n,), positive: samples, epochs, or samples × epochs.
    y : array_like
        (n,), positive: mean squared errors. Several at one x, as of several
        seeds, are points of their own.
    spread : array_like, optional
        (n,), positive, units of y: standard deviations of y up to a common
        factor. They weigh the points by (y / spread)²; the common factor is
        estimated from the residuals. Without it all points weigh the same.

    Returns
    -------
    ScalingFit or None
        None where the points carry no curve: too few different x or too short a
        range, an exponent whose 95 % interval includes 0, or no finite interval.

    Raises
    ------
    InputError
        If the shapes differ or are not (n,), or a value is not positive and finite.
    """
    data = _Points.of(x, y, spread)
    distinct = len(np.unique(data.u))
    if distinct < MIN_DISTINCT["power"] or np.ptp(data.u) < np.log(MIN_RANGE) - RESOLUTION:
        return None
    power, loss = _fit_power(data)
    if distinct >= MIN_DISTINCT["power+floor"]:
        floor, floor_loss = _fit_floor(data)
        gain = _aicc(loss, len(data.u), 2) - _aicc(floor_loss, len(data.u), 3)
        if gain > 0 and (floor is not None or gain > MAX_AICC_GAP):
            return floor
    return power


@dataclass(frozen=True)
class _Points:
    """Centred logarithms: u of x, v of y, both (n,); weights of mean 1."""

    u: Floats
    v: Floats
    weights: Floats
    centre: float
    level: float

    @classmethod
    def of(cls, x: ArrayLike, y: ArrayLike, spread: ArrayLike | None) -> _Points:
        values = {"x": _positive(x, "x"), "y": _positive(y, "y")}
        if spread is not None:
            values["spread"] = _positive(spread, "spread")
        shapes = {value.shape for value in values.values()}
        if len(shapes) > 1 or len(values["x"].shape) != 1:
            shapes_text = ", ".join(f"{name} {value.shape}" for name, value in values.items())
            raise InputError(
                f"points of a curve are lists of one length, not of shapes {shapes_text}"
            )
        u, v = np.log(values["x"]), np.log(values["y"])
        centre, level = (float(w.mean()) if len(w) else 0.0 for w in (u, v))
        weights = (values["y"] / values["spread"]) ** 2 if spread is not None else np.ones_like(u)
        return cls(
            u - centre, v - level, weights / (weights.mean() if len(u) else 1.0), centre, level
        )

    def fit(self, form: Form, theta: Floats, jacobian: Floats, loss: float) -> ScalingFit | None:
        """Scale the parameters (log amplitude, exponent[, floor]) back; None if not known."""
        freedom = len(self.u) - len(theta)
        residual = max(np.sqrt(loss / freedom), RESOLUTION)
        information = jacobian.T @ jacobian
        if np.linalg.cond(information) > 1 / np.finfo(float).eps:
            return None
        unit = float(np.exp(self.level))
        back = np.eye(len(theta))
        back[0, 1] = self.centre
        back[2:, 2:] = unit
        theta = back @ theta + np.where(np.arange(len(theta)) == 0, self.level, 0.0)
        covariance = residual**2 * back @ np.linalg.inv(information) @ back.T
        half = _student(freedom) * np.sqrt(np.diag(covariance))
        low, high = theta - half, theta + half
        is_significant = np.isfinite([low, high]).all() and (low[1] > 0 or high[1] < 0)
        amplitude = float(np.exp(theta[0]))
        if not is_significant or not 0 < amplitude < np.inf:
            return None
        with_floor = form == "power+floor"
        return ScalingFit(
            form,
            amplitude,
            exponent=float(theta[1]),
            floor=float(theta[2]) if with_floor else 0.0,
            exponent_interval=(float(low[1]), float(high[1])),
            floor_interval=(max(float(low[2]), 0.0), float(high[2])) if with_floor else None,
            points=len(self.u),
            residual=float(residual),
            covariance=covariance,
        )


def _fit_power(data: _Points) -> tuple[ScalingFit | None, float]:
    """Fit log y = log a − b·log x, which is linear; return the weighted squares left too."""
    root = np.sqrt(data.weights)
    design = root[:, None] * np.stack([np.ones_like(data.u), -data.u], axis=1)
    theta = np.linalg.lstsq(design, root * data.v, rcond=None)[0]
    loss = float(np.sum((design @ theta - root * data.v) ** 2))
    return data.fit("power", theta, design, loss), loss


def _fit_floor(data: _Points) -> tuple[ScalingFit | None, float]:
    """Fit log y = log(c + a·x^−b), 0 ≤ c < min y, b > 0, from several floors."""
    from scipy.optimize import least_squares

    root, u = np.sqrt(data.weights), data.u
    least = float(np.exp(data.v.min()))

    def residuals(theta: Floats) -> Floats:
        return root * (np.log(np.exp(theta[0] - theta[1] * u) + theta[2]) - data.v)

    def jacobian(theta: Floats) -> Floats:
        power = np.exp(theta[0] - theta[1] * u)
        gradient = np.stack([power, -u * power, np.ones_like(u)], axis=1)
        return root[:, None] * gradient / (power + theta[2])[:, None]

    fits = []
    for share in _STARTS:
        slope, height = np.polyfit(u, np.log(np.exp(data.v) - share * least), 1)
        start = [height, np.clip(-slope, 1e-3, 0.9 * MAX_EXPONENT), share * least]
        limits = ([-np.inf, 0.0, 0.0], [np.inf, MAX_EXPONENT, least * (1 - 1e-9)])
        fits.append(
            least_squares(residuals, start, jacobian, limits, x_scale="jac", xtol=1e-12, gtol=1e-12)
        )
    best = min(fits, key=lambda fit: float(fit.cost))
    inside = best.x[1] < 0.999 * MAX_EXPONENT
    fitted = data.fit("power+floor", best.x, jacobian(best.x), 2 * best.cost) if inside else None
    return fitted, float(2 * best.cost)


def _aicc(loss: float, points: int, parameters: int) -> float:
    """Return the AICc of Hurvich & Tsai 1989 up to a constant.

    Parameters
    ----------
    loss : float
        Sum of squared residuals.
    points : int
        n.
    parameters : int
        m, of the curve; the variance is one more.
    """
    if points <= parameters + 2:
        return float("inf")
    variance = max(loss / points, RESOLUTION**2)
    penalty = 2 * (parameters + 1) * points / (points - parameters - 2)
    return float(points * np.log(variance) + penalty)


def _student(freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))


def _positive(values: ArrayLike, name: str) -> Floats:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} is not a list of numbers") from None
    bad = np.flatnonzero(~(np.isfinite(numbers) & (numbers > 0)))
    if len(bad):
        value = numbers.flat[bad[0]]
        raise InputError(f"{name}: number {bad[0] + 1} is {value:g}; give positive, finite ones")
    return numbers


def _two_digits(value: float) -> str:
    """Return 5,800 for 5812, 0.031 for 0.0312."""
    if not 1e-3 <= abs(value) < 1e9:
        return f"{value:.1e}"
    return f"{float(f'{value:.1e}'):,.6g}" if value < 1e6 else f"{float(f'{value:.1e}'):,.0f}"


def _decimal(value: float) -> str:
    text = f"{value:.2f}" if abs(value) >= 0.095 else f"{value:.2g}"
    return text.replace("-", "−")
