"""Weights on disk."""

import pytest
import torch

from phasegan.errors import InputError
from phasegan.models.resnet import ResNetGenerator
from phasegan.models.weights import load_weights, save_weights, weights_intact


@pytest.fixture
def saved(tmp_path):
    network = ResNetGenerator(1, 1, 2, 1)
    save_weights(network, tmp_path / "w.safetensors", {"label": "x"})
    return network, tmp_path / "w.safetensors"


def test_round_trip_is_bit_exact(saved):
    network, path = saved
    other = ResNetGenerator(1, 1, 2, 1)
    load_weights(other, path)
    for key, value in network.state_dict().items():
        assert torch.equal(value, other.state_dict()[key])


def test_a_network_of_another_size_is_named(saved):
    _, path = saved
    with pytest.raises(InputError, match=r"model\.1\.bias has shape \(2,\), the network needs"):
        load_weights(ResNetGenerator(1, 1, 4, 1), path)
    with pytest.raises(InputError, match=r"holds model\.11\.bias, which the network has not"):
        load_weights(ResNetGenerator(1, 1, 2, 2), path)


def test_a_changed_value_is_found(saved):
    _, path = saved
    assert weights_intact(path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    assert not weights_intact(path)
    with pytest.raises(InputError, match="do not match its checksum"):
        load_weights(ResNetGenerator(1, 1, 2, 1), path)


def test_values_that_are_not_finite_are_refused(saved):
    network, path = saved
    with torch.no_grad():
        network.model[1].weight[0, 0, 0, 0] = torch.nan
    save_weights(network, path)
    with pytest.raises(InputError, match="not finite"):
        load_weights(ResNetGenerator(1, 1, 2, 1), path)


def test_others_may_read_weights(saved):
    assert saved[1].stat().st_mode & 0o777 == 0o644


def test_damage_is_one_line(saved, tmp_path):
    _, path = saved
    with pytest.raises(InputError, match="no such weights"):
        load_weights(ResNetGenerator(1, 1, 2, 1), tmp_path / "none")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="damaged weights"):
        load_weights(ResNetGenerator(1, 1, 2, 1), path)
