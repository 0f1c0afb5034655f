"""The benchmark of training measures what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bench_training
import pytest
import torch
from training_speed import gauges, modes, recipe

from phasegan.config.resolve.phases import resolve_phases
from phasegan.config.run import PaperConfig
from phasegan.data.hdf5.reader import PreparedFile
from tests.training.loading import loaded, take_step

CPU = torch.device("cpu")
SMALL = ("--base-channels", "2", "--blocks", "1", "--samples", "4", "--seconds", "0.01")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take small products of matrices, and no processes that load pictures."""
    monkeypatch.setitem(gauges.MATRIX, "cpu", 128)
    monkeypatch.setattr(recipe, "worker_count", lambda: 0)


@pytest.fixture
def small(tiny: Path) -> tuple[PreparedFile, PaperConfig]:
    with PreparedFile(tiny) as file:
        options: dict[str, Any] = {"preset": "paper", "base_channels": 4, "blocks": 2}
        config = resolve_phases(file.facts, CPU, epochs=9, **options)
        assert isinstance(config, PaperConfig)
        return file, config


def test_reference_and_engine_have_one_objective(small: tuple[PreparedFile, PaperConfig]) -> None:
    file, config = small
    sizes = recipe.sizes_of(config)
    common = recipe.Recipe(sizes, CPU)
    off = modes.Execution(**modes.ALL_OFF)
    engine = modes.Steps(config, file, CPU, off)
    for name, network in engine.gan.networks().items():  # type: ignore[attr-defined]
        common.networks[name].load_state_dict(network.model.state_dict())
    for step in range(2):
        real_a, real_b = loaded(engine.batches, step)
        theirs = common.step(real_a, real_b)
        ours = take_step(engine.gan, real_a, real_b)  # type: ignore[attr-defined]
        assert set(theirs) == set(ours)
        for name, loss in ours.items():
            assert theirs[name].item() == pytest.approx(float(loss), rel=1e-4, abs=1e-4), name


def test_operations_are_those_counted_by_hand(small: tuple[PreparedFile, PaperConfig]) -> None:
    file, config = small
    runner = modes.Steps(config, file, CPU, modes.Execution(**modes.ALL_OFF))
    sizes = recipe.sizes_of(config)
    assert gauges.count_flops(runner) == gauges.hand_count(sizes)
    published = recipe.Sizes(3, 256, 64, 9, 64)
    assert gauges.hand_count(published) == pytest.approx(1.9e12, rel=0.02)


def test_a_table_has_ratios_and_a_document_every_window(tiny: Path, tmp_path: Path, capsys) -> None:
    wanted = ("--modes", "reference,base,fused,recompute,batch-2,all-best,fp16", "--batches", "2")
    target = tmp_path / "out"
    status = bench_training.main(
        [str(tiny), *SMALL, *wanted, "--rounds", "2", "--steady", "0.002", "-o", str(target)]
    )
    assert status == 0
    document = json.loads((target / "results.json").read_text(encoding="utf-8"))
    table = (target / "table.md").read_text(encoding="utf-8")
    assert table.strip() == capsys.readouterr().out.strip()
    assert document["complete"]
    assert document["ratio_to"] == "reference"
    assert "--rounds 2" in document["command"]
    assert document["machine"]["torch"] == torch.__version__
    rows = {row["name"]: row for row in document["rows"]}
    assert rows.pop("fp16")["status"] == "not measured: needs a CUDA GPU"
    for name, row in rows.items():
        assert [window["round"] for window in row["windows"]] == [1, 2]
        assert row["ratio_least"] <= row["ratio"] <= row["ratio_largest"]
        assert row["share_of_matrix"] > 0
        assert f"| {name} |" in table
    assert rows["reference"]["ratio"] == 1.0
    assert rows["batch-2"]["tflop_per_image"] == rows["base"]["tflop_per_image"]
    assert rows["recompute"]["tflop_per_image"] > rows["base"]["tflop_per_image"]
    assert document["steady"]["images_per_s"] > 0
    assert "Extrapolated, not measured" in table


def test_physics_is_measured_over_whole_periods(tiny: Path, tmp_path: Path) -> None:
    wanted = ("--preset", "physics", "--networks", "small", "--modes", "base,bf16")
    options = ("--samples", "8", "--seconds", "0.01", "--rounds", "1", "--whole", "4x1")
    status = bench_training.main(["--size", "32", *wanted, *options, "-o", str(tmp_path)])
    document = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert status == 0
    assert document["ratio_to"] == "base"
    assert all(window["steps"] % 16 == 0 for row in document["rows"] for window in row["windows"])
    assert document["whole"]["finished"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--modes", "base,warp"), "mode 'warp': choose among reference, base"),
        (("--batches", "2,x"), "--batches 2,x: expected whole numbers"),
        (("--whole",), "takes hours without a GPU"),
        (("--rounds", "0"), "--rounds 0: must be positive"),
        (("--size", "64"), "follow the file"),
    ],
)
def test_bad_options_are_refused_in_one_line(
    tiny: Path, words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench_training.main([str(tiny), "--device", "cpu", *words]) == 2
    found = capsys.readouterr()
    assert says in found.err
    assert found.err.count("\n") == 1
    assert not found.out


def test_ctrl_c_leaves_what_was_measured(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: Callable[..., Any] = bench_training.Session._window

    def window(self: Any, row: Any, turn: int) -> None:
        if turn == 2:
            raise KeyboardInterrupt
        measured(self, row, turn)

    monkeypatch.setattr(bench_training.Session, "_window", window)
    words = [str(tiny), *SMALL, "--modes", "base,fused", "-o", str(tmp_path)]
    assert bench_training.main(words) == 130
    document = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert not document["complete"]
    assert [len(row["windows"]) for row in document["rows"]] == [1, 1]
    assert "Not complete: interrupted" in (tmp_path / "table.md").read_text(encoding="utf-8")


def test_overlapping_kernels_count_once() -> None:
    spans = [("kernel", 0, 4), ("gpu_memcpy", 2, 4), ("cuda_runtime", 0, 99), ("kernel", 10, 1)]
    events: list[dict[str, object]] = [{"cat": c, "ts": t, "dur": d} for c, t, d in spans]
    assert gauges.covered(events) == 7.0


@pytest.mark.parametrize(
    ("gpu", "peak"),
    [
        ("NVIDIA H200", 989.0),
        ("NVIDIA H100 80GB HBM3", 989.0),
        ("NVIDIA H100 PCIe", None),
        ("NVIDIA A100-SXM4-40GB", 312.0),
        ("NVIDIA RTX A1000", None),
        (None, None),
    ],
)
def test_peaks_are_those_of_known_gpus(gpu: str | None, peak: float | None) -> None:
    assert gauges.datasheet(gpu, "bf16") == peak
