"""A method is a function and a line of the registry; the commands find it by its name."""

from __future__ import annotations

import numpy as np

import phasegan
from phasegan.reconstruction import registry
from phasegan.reconstruction.protocol import Method, Problem, Solution


def flat(problem: Problem) -> Method:
    level = problem.data_range / 2
    return lambda observation: Solution(
        np.full(observation.phase.shape[:-2] + problem.shape, level)
    )


def test_a_line_of_the_registry_makes_a_method(monkeypatch, tiny, run_cli):
    monkeypatch.setitem(registry.METHODS, "flat", registry.MethodEntry(flat))
    result = phasegan.reconstruct(tiny, method="flat")
    assert result.estimate.shape == (3, 32, 32)
    np.testing.assert_array_equal(result.estimate, 127.5)
    outcome = run_cli("evaluate", tiny, "--method", "flat", "--method", "zero")
    assert outcome.status == 0, outcome.err
    assert "flat" in outcome.out
