"""A picture in bands is the picture at once."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from phasegan.models.inference import use_picture_statistics
from phasegan.models.residual_unet import UNetTranslator
from phasegan.models.resnet import ResNetGenerator
from phasegan.translation.tiling import bands, feature_maps
from phasegan.translation.tiling.bands import plan_schedule, translate_bands
from phasegan.translation.tiling.graph import UnknownLayerError, build_graph
from phasegan.translation.tiling.schedule import Schedule
from tests.translation.conftest import enlivened

CPU = torch.device("cpu")
SMALL = 2**14
PLENTY = 2**40


def by_picture(network: nn.Module) -> nn.Module:
    use_picture_statistics(network)
    return network


NETWORKS = {
    "published": lambda: ResNetGenerator(3, 3, 8, 2),
    "zero, affine, resize": lambda: ResNetGenerator(
        3, 3, 8, 2, padding="zero", norm="affine-instance", upsampling="resize"
    ),
    "replicate, batch, dropout": lambda: ResNetGenerator(
        3, 3, 8, 2, padding="replicate", norm="batch", dropout=True
    ),
    "batch of each picture": lambda: by_picture(ResNetGenerator(3, 3, 8, 2, norm="batch")),
    "grey to colour": lambda: ResNetGenerator(1, 3, 16, 1),
    "unet": lambda: UNetTranslator(3, 3, (16, 24, 32)),
    "unet that resizes": lambda: UNetTranslator(3, 3, (8, 12), "resize"),
    "unet of other channels": lambda: UNetTranslator(2, 1, (8, 16)),
}


def picture(channels: int, rows: int, columns: int) -> Tensor:
    """Return a picture whose halves differ, as no tile of it can know."""
    x = torch.rand(1, channels, rows, columns, generator=torch.Generator().manual_seed(1))
    x = 2 * x - 1
    x[:, :, : rows // 2] *= 0.1
    return x


def in_bands(
    network: nn.Module, x: Tensor, schedule: Schedule, budget: int, folder: Path, **more
) -> Tensor:
    rows: list[Tensor] = []

    def sink(first: int, y: Tensor) -> None:
        assert first == sum(part.shape[2] for part in rows)
        rows.append(y)

    translate_bands(
        schedule,
        lambda band: x[:, :, band[0] : band[1]].clone(),
        sink,
        device=CPU,
        budget=budget,
        folder=folder,
        **more,
    )
    return torch.cat(rows, 2)


@pytest.mark.numerical
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("rows", "columns"), [(63, 41), (40, 66)])
@pytest.mark.parametrize(("min_kept_cost", "budget"), [(0, PLENTY), (1000, PLENTY), (1000, 0)])
def test_bands_put_together_are_the_whole(name, rows, columns, min_kept_cost, budget, tmp_path):
    network = enlivened(NETWORKS[name]())
    graph = build_graph(network)
    x = picture(graph.channels, rows, columns)
    with torch.inference_mode():
        expected = network(x)
    assert expected.std() > 0.05
    schedule = Schedule(graph, rows, columns, SMALL, min_kept_cost)
    assert max(len(schedule.bands(s.number, s.height)) for s in schedule.sweeps) > 3
    found = in_bands(network, x, schedule, budget, tmp_path)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)
    assert not list(tmp_path.iterdir())


def test_tiles_by_themselves_are_not_the_whole(tmp_path):
    """What the statistics of the whole picture are for."""
    network = enlivened(NETWORKS["published"]())
    x = picture(3, 64, 64)
    with torch.inference_mode():
        expected = network(x)
        top = network(x[:, :, :32])
    assert (expected[:, :, :16] - top[:, :, :16]).abs().mean() > 0.05


def test_half_precision_between_layers_costs_little(tmp_path):
    network = enlivened(NETWORKS["published"]())
    x = picture(3, 64, 64)
    with torch.inference_mode():
        expected = network(x)
    schedule = Schedule(build_graph(network), 64, 64, SMALL, dtype=torch.float16)
    found = in_bands(network, x, schedule, PLENTY, tmp_path)
    assert 0 < (found - expected).abs().mean() / 2 < 1 / 255 / 8


def test_values_too_large_for_half_precision_are_not_lost(tmp_path):
    network = enlivened(ResNetGenerator(3, 3, 16, 1, norm="batch"))
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_var.fill_(1e-12)
    schedule = Schedule(build_graph(network), 32, 32, SMALL, dtype=torch.float16)
    with pytest.raises(OverflowError):
        in_bands(network, picture(3, 32, 32), schedule, PLENTY, tmp_path)


def test_bf16_stays_near(tmp_path):
    network = enlivened(ResNetGenerator(3, 3, 32, 1))
    x = picture(3, 48, 48)
    with torch.inference_mode():
        expected = network(x)
    schedule = plan_schedule(build_graph(network, torch.bfloat16), 48, 48, PLENTY)
    found = in_bands(network, x, schedule, PLENTY, tmp_path)
    assert (found - expected).abs().mean() / 2 < 2 / 255


def test_memory_stays_within_the_budget(tmp_path, monkeypatch):
    held: list[int] = []
    open_maps: set[int] = set()

    class Counted(feature_maps.FeatureMap):
        def __init__(self, *arguments, **more):
            super().__init__(*arguments, **more)
            if self._values is not None:
                open_maps.add(id(self))
                sizes[id(self)] = self.nbytes
                held.append(sum(sizes[i] for i in open_maps))

        def close(self):
            open_maps.discard(id(self))
            super().close()

    sizes: dict[int, int] = {}
    monkeypatch.setattr(bands, "FeatureMap", Counted)
    network = enlivened(ResNetGenerator(3, 3, 16, 3))
    graph = build_graph(network)
    x = picture(3, 256, 256)
    expected = None
    for budget in (PLENTY, 20 * 2**20, 17 * 2**20):
        schedule = plan_schedule(graph, 256, 256, budget)
        found = in_bands(network, x, schedule, budget, tmp_path)
        limit = budget - 16 * 2**20
        assert all(size <= limit for size in held)
        assert not open_maps
        held.clear()
        expected = found if expected is None else expected
        assert (found - expected).abs().mean() / 2 < 1 / 255 / 8


def test_planned_peak_is_what_is_held(tmp_path):
    graph = build_graph(enlivened(ResNetGenerator(3, 3, 16, 3)))
    kept = Schedule(graph, 128, 128, 2**20, min_kept_cost=0)
    again = Schedule(graph, 128, 128, 2**20)
    trunk = 64 * 32 * 32 * 4
    assert again.peak == 2 * trunk < kept.peak


def test_choice_of_moments_is_used(tmp_path):
    network = enlivened(NETWORKS["published"]())
    x = picture(3, 32, 32)
    schedule = Schedule(build_graph(network), 32, 32, SMALL)
    seen = []

    def moment_filter(number, moments):
        seen.append(number)
        return moments.interpolate(moments._replace(variance=4 * moments.variance), 1.0)

    plain = in_bands(network, x, schedule, PLENTY, tmp_path)
    changed = in_bands(network, x, schedule, PLENTY, tmp_path, moment_filter=moment_filter)
    assert sorted(seen) == sorted(schedule.moment_users)
    assert (plain - changed).abs().mean() > 0.01


def test_unknown_layers_are_named():
    with pytest.raises(UnknownLayerError, match="MaxPool2d"):
        build_graph(nn.Sequential(nn.Conv2d(1, 1, 3), nn.MaxPool2d(2)))


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    from phasegan.errors import RunError

    def full(self, view):
        raise OSError(28, "No space left on device")

    class File:
        def seek(self, number):
            pass

        write = full

        def close(self):
            pass

    monkeypatch.setattr(feature_maps.tempfile, "TemporaryFile", lambda **_: File())
    graph = build_graph(enlivened(NETWORKS["published"]()))
    with pytest.raises(RunError, match=r"no room for .* GB of intermediate results"):
        in_bands(None, picture(3, 32, 32), Schedule(graph, 32, 32, SMALL), 0, tmp_path)


def test_costs_are_those_of_the_layers():
    graph = build_graph(ResNetGenerator(3, 3, 64, 9))
    shapes = graph.shapes(256, 256)
    total = sum(graph.cost(n, shapes) for n in range(len(shapes)))
    assert math.isclose(total, 49.6e9, rel_tol=0.01)
