"""Checkpoints: what comes back, what is refused, what is kept."""

from __future__ import annotations

import json
import math
import os
import pickle
import struct
import subprocess
import sys

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from phasegan.config.physics import PhysicsConfig, SpectralConfig
from phasegan.config.run import DataConfig, NetworkConfig, PaperConfig
from phasegan.errors import DiskFullError, InputError
from phasegan.progress import Progress
from phasegan.training import checkpoint
from phasegan.training.checkpoint import (
    Checkpoints,
    checkpoint_errors,
    is_finite,
    load_checkpoint,
    save_checkpoint,
)
from phasegan.training.cyclegan import CycleGAN
from phasegan.training.data.phases import Images
from phasegan.training.physics.gan import PhysicsGAN
from tests.training.loading import take_step

CPU = torch.device("cpu")
DTYPES = (
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.complex64,
    torch.complex128,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
)


def assert_same(one, other):
    """Types, order of keys and every bit; -0.0 is not 0.0, and a NaN keeps its payload."""
    if isinstance(one, torch.Tensor):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert other.device == CPU
        assert bits(one) == bits(other)
        return
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert [(type(k), k) for k in one] == [(type(k), k) for k in other]
        one, other = list(one.values()), list(other.values())
    if isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    elif isinstance(one, float):
        assert struct.pack(">d", one) == struct.pack(">d", other)
    else:
        assert one == other


def bits(tensor):
    plain = tensor.detach().resolve_conj().resolve_neg().contiguous().flatten()
    return plain.view(torch.uint8).numpy().tobytes()


def round_trip(path, state):
    save_checkpoint(path, state)
    return load_checkpoint(path, CPU)


@st.composite
def tensors(draw):
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    source = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    count = math.prod(shape) * dtype.itemsize
    raw = torch.randint(0, 256, (count,), generator=source, dtype=torch.uint8)
    if dtype is torch.bool:
        raw = raw % 2
    tensor = raw.view(dtype).reshape(shape)
    return tensor.transpose(0, -1) if shape and draw(st.booleans()) else tensor


keys = st.one_of(
    st.integers(),
    st.text(max_size=4),
    st.sampled_from(("", "~tensor", "~", "__metadata__", "a/b", "0", "random", "format")),
)
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=True),
        st.text(max_size=8),
        tensors(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
    ),
    max_leaves=12,
)
FIXTURES = (HealthCheck.function_scoped_fixture,)


@settings(max_examples=100, deadline=None, suppress_health_check=FIXTURES)
@given(state=st.dictionaries(keys, values, max_size=5))
def test_any_state_comes_back_bit_by_bit(tmp_path, state):
    assert_same(state, round_trip(tmp_path / "c.safetensors", state))


def test_names_that_meet_are_kept_apart(tmp_path):
    one, two, three, four = (torch.full((2,), float(i)) for i in range(4))
    state = {"a": {"b": one, 0: two, "0": three}, "a/b": four, "__metadata__": one}
    assert_same(state, round_trip(tmp_path / "c", state))


def test_views_and_shared_memory_come_back(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    conj = torch.complex(base, -base).conj()
    state = {
        "base": base,
        "again": base,
        "part": base[1],
        "transposed": base.T,
        "strided": base[:, ::2],
        "expanded": base[:1].expand(5, 4),
        "parameter": torch.nn.Parameter(base),
        "conj": conj,
        "imag": conj.imag,
    }
    back = round_trip(tmp_path / "c", state)
    assert_same(state, back)
    assert not back["base"].requires_grad
    back["base"].zero_()
    assert torch.equal(back["again"], base)


def test_what_a_checkpoint_cannot_hold_is_a_programming_error(tmp_path):
    sparse = torch.eye(2).to_sparse()
    for value in ({1, 2}, b"x", object(), CPU, torch.float32, sparse, {(1, 2): 3}, {1.5: 3}):
        with pytest.raises(TypeError, match="cannot hold"):
            save_checkpoint(tmp_path / "c", {"x": [value]})
    assert not list(tmp_path.iterdir())


def test_the_same_state_makes_the_same_bytes(tmp_path):
    state = {str(i): torch.full((i,), i / 3) for i in range(20)}
    save_checkpoint(tmp_path / "a", state)
    save_checkpoint(tmp_path / "b", state)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def picture(seed, low):
    source = torch.Generator().manual_seed(seed)
    return low + (1 - low) * torch.rand(2, 1, 32, 32, generator=source)


def paper(seed, precision="32"):
    data = DataConfig(digest="0", size=32, padded=32, channels="gray", bits=8, samples=4)
    networks = NetworkConfig(base_channels=2, blocks=1, discriminator_channels=2)
    options = {"variant": "custom", "data": data, "networks": networks, "epochs": 1}
    made = PaperConfig(**options, pool_size=2, seed=seed, precision=precision)
    return CycleGAN(made, CPU)


def paper_step(gan, seed):
    return take_step(gan, picture(seed, -1), picture(50 + seed, -1))


def physics(seed, precision="32"):
    data = DataConfig(
        digest="0", size=32, padded=32, channels="gray", bits=8, samples=4, phase_noise=0.1
    )
    networks = SpectralConfig(widths=(2, 2), discriminator_channels=2)
    options = {"variant": "custom", "data": data, "networks": networks, "epochs": 1}
    made = PhysicsConfig(**options, pool_size=2, seed=seed, precision=precision)
    return PhysicsGAN(made, CPU)


def physics_step(gan, seed):
    real = picture(seed, 0)
    phases = gan.encode(real, gan.encode.draw_noise(*real.shape[:2], gan.noise))
    return take_step(gan, phases, Images(picture(50 + seed, 0)))


PRESET_TABLE = pytest.mark.parametrize(
    ("make", "step"), [(paper, paper_step), (physics, physics_step)], ids=["paper", "physics"]
)


@pytest.mark.numerical
@PRESET_TABLE
@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_a_restored_gan_continues_to_the_same_weights(tmp_path, make, step, precision):
    one, other = make(1, precision), make(2, precision)
    for i in range(3):
        step(one, i)
    state = one.state_dict()
    back = round_trip(tmp_path / "c", {"gan": state, "seconds": 0.1 + 0.2})
    assert is_finite(state)
    assert back["seconds"] == 0.1 + 0.2
    assert (
        back["gan"]["optimiser_g"]["param_groups"][0]["betas"]
        == (state["optimiser_g"]["param_groups"][0]["betas"])
    )
    other.load_state_dict(back["gan"])
    for i in range(3):
        step(one, 10 + i)
        step(other, 10 + i)
    save_checkpoint(tmp_path / "one", one.state_dict())
    save_checkpoint(tmp_path / "other", other.state_dict())
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_torchs_random_state_comes_back_and_reading_damage_leaves_it(tmp_path):
    path = tmp_path / "c"
    torch.manual_seed(5)
    save_checkpoint(path, {"x": 1})
    expected = torch.rand(4)
    torch.manual_seed(6)
    load_checkpoint(path, CPU)
    assert torch.equal(torch.rand(4), expected)
    before = torch.get_rng_state()
    damage(path, -1)
    with pytest.raises(InputError, match="damaged checkpoint"):
        load_checkpoint(path, CPU)
    assert torch.equal(torch.get_rng_state(), before)


STATE = {"gan": {"w": torch.linspace(-1, 1, 50), "lr": 2e-4, "n": {0: (1, 2)}}, "step": 123456}


def test_it_is_a_safetensors_file_without_pickle(tmp_path):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, STATE)
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    assert json.loads(data[8 : 8 + size])["__metadata__"].keys() == {"phasegan"}
    assert not data.startswith((b"PK", b"\x80"))
    for sign in (b"PK\x03\x04", b"\x80\x02}", b"ctorch", b"data.pkl"):
        assert sign not in data[: 8 + size]
    with pytest.raises((pickle.UnpicklingError, ValueError, EOFError, KeyError, IndexError)):
        pickle.loads(data)
    with safe_open(path, framework="pt") as file:
        assert set(file.keys()) == {"gan/w", "torch_random/cpu"}
        assert torch.equal(file.get_tensor("gan/w"), STATE["gan"]["w"])
        document = json.loads(file.metadata()["phasegan"])
    assert document["format"] == checkpoint.CHECKPOINT_FORMAT
    assert document["state"]["step"] == 123456


def damage(path, position, mask=1):
    data = bytearray(path.read_bytes())
    data[position] ^= mask
    path.write_bytes(bytes(data))


def refused_or_same(path, state):
    try:
        back = load_checkpoint(path, CPU)
    except InputError as error:
        return str(path) in str(error) and "\n" not in str(error)
    assert_same(state, back)
    return False


def test_a_flipped_byte_is_refused_or_harmless(tmp_path):
    path = tmp_path / "c"
    save_checkpoint(path, STATE)
    whole = path.read_bytes()
    head = 8 + int.from_bytes(whole[:8], "little")
    positions = [*range(24), *range(24, head, 3), *range(head, len(whole), 37)]
    refused = []
    for i, position in enumerate(positions):
        damage(path, position, 1 << i % 8)
        refused.append(refused_or_same(path, STATE))
        path.write_bytes(whole)
    accepted = [p for p, was in zip(positions, refused, strict=True) if not was]
    assert len(accepted) < 20
    assert all(p < head for p in accepted)


def test_every_truncation_is_refused(tmp_path):
    path = tmp_path / "c"
    save_checkpoint(path, STATE)
    whole = path.read_bytes()
    for size in [*range(0, len(whole), 41), *range(len(whole) - 9, len(whole))]:
        path.write_bytes(whole[:size])
        assert refused_or_same(path, STATE)
    path.write_bytes(whole + b"\0")
    assert refused_or_same(path, STATE)


def test_a_missing_checkpoint_is_one_line(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match="no checkpoint"):
            load_checkpoint(path, CPU)


class Bomb:
    def __reduce__(self):
        return os.system, ("touch bombed",)


def test_a_pickle_is_refused_and_not_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Bomb()))
    torch.save({"format": 1, "x": Bomb()}, tmp_path / "torch.pt")
    torch.save(
        {"format": 1, "x": Bomb()}, tmp_path / "old.pt", _use_new_zipfile_serialization=False
    )
    for name in ("plain.pt", "torch.pt", "old.pt"):
        with pytest.raises(InputError, match="remove the run folder and train again") as caught:
            load_checkpoint(tmp_path / name, CPU)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "bombed").exists()


def test_an_older_or_newer_format_is_said(tmp_path, monkeypatch):
    torch.save({"format": 1}, tmp_path / "checkpoint.pt")
    with pytest.raises(InputError, match=r"older phasegan \(format 1\); continue with"):
        load_checkpoint(tmp_path / "checkpoint.pt", CPU)
    monkeypatch.setattr(checkpoint, "CHECKPOINT_FORMAT", 3)
    save_checkpoint(tmp_path / "newer", STATE)
    monkeypatch.undo()
    with pytest.raises(InputError, match="not a checkpoint of format 2, which this phasegan"):
        load_checkpoint(tmp_path / "newer", CPU)


@pytest.mark.parametrize("metadata", [None, {"phasegan": "[]"}, {"phasegan": '{"format": 2}'}])
def test_other_safetensors_are_refused(tmp_path, metadata):
    save_file({"x": torch.zeros(2)}, tmp_path / "c", metadata=metadata)
    with pytest.raises(InputError, match="damaged checkpoint"):
        load_checkpoint(tmp_path / "c", CPU)


def test_whatever_a_damaged_checkpoint_raises_is_one_line(tmp_path):
    with (
        pytest.raises(InputError, match=r"damaged checkpoint \(KeyError\); remove") as caught,
        checkpoint_errors(tmp_path / "c"),
    ):
        raise KeyError
    assert str(tmp_path / "c") in str(caught.value)
    with pytest.raises(InputError, match=r"^mine$"), checkpoint_errors(tmp_path / "c"):
        raise InputError("mine")


def test_finite_is_asked_of_the_networks_alone():
    assert is_finite({"w": torch.ones(2), "n": torch.arange(3), "scale": math.inf})
    assert is_finite({})
    for bad in (math.nan, math.inf, -math.inf):
        for dtype in (torch.float32, torch.bfloat16, torch.complex64):
            tensor = torch.tensor([1.0, bad]).to(dtype)
            assert not is_finite({"o": {"state": {0: [(tensor,)]}}})


class Warnings(Progress):
    def __init__(self):
        self.warnings = []

    def warn(self, text):
        self.warnings.append(text)


def names(made):
    return [path.name for path in made.paths()]


def test_the_newest_are_kept(tmp_path):
    for keep in (1, 2, 3):
        made = Checkpoints(tmp_path / str(keep), keep)
        assert (made.paths(), made.newest()) == ([], None)
        for step in (5, 10, 999_999_999, 1_000_000_000):
            path = made.save(step, {"step": step})
            assert made.newest() == path
            assert load_checkpoint(path, CPU) == made.load(CPU, Progress()) == {"step": step}
        steps = [5, 10, 999_999_999, 1_000_000_000][-keep:]
        assert names(made) == [f"step-{step:09d}.safetensors" for step in steps]
    with pytest.raises(ValueError, match="keep = 0"):
        Checkpoints(tmp_path, 0)


def test_a_branch_that_was_left_goes(tmp_path):
    made = Checkpoints(tmp_path / "c", 2)
    for step in (10, 20, 30, 15):
        made.save(step, {"step": step})
    assert names(made) == ["step-000000015.safetensors"]
    made.save(15, {"step": "again"})
    assert made.load(CPU, Progress()) == {"step": "again"}
    made.save(20, {})
    assert names(made) == ["step-000000015.safetensors", "step-000000020.safetensors"]


def test_foreign_files_are_left_alone(tmp_path):
    foreign = ["step-x.safetensors", "step-12.safetensors", "step-000000001.safetensors.bak", "a"]
    for name in foreign:
        (tmp_path / name).write_text(name)
    (tmp_path / "step-000000009.safetensors").mkdir()
    made = Checkpoints(tmp_path, 1)
    for step in (1, 2):
        made.save(step, {})
    assert names(made) == ["step-000000002.safetensors"]
    assert all((tmp_path / name).read_text() == name for name in foreign)


def test_a_damaged_one_is_passed_over_with_a_warning(tmp_path):
    made, progress = Checkpoints(tmp_path, 3), Warnings()
    paths = [made.save(step, {"step": step}) for step in (1, 2, 3)]
    damage(paths[2], -1)
    paths[1].write_bytes(paths[1].read_bytes()[:100])
    assert made.load(CPU, progress) == {"step": 1}
    assert len(progress.warnings) == 2
    assert str(paths[2]) in progress.warnings[0]
    assert "(its checksum does not match); trying step-000000002" in progress.warnings[0]
    assert str(paths[1]) in progress.warnings[1]
    damage(paths[0], -1)
    with pytest.raises(InputError, match="damaged checkpoint") as caught:
        made.load(CPU, Progress())
    assert "\n" not in str(caught.value)
    made.save(2, {"step": 2})
    assert made.load(CPU, Progress()) == {"step": 2}
    assert paths[2] not in made.paths()


def test_without_any_it_is_one_line(tmp_path):
    with pytest.raises(InputError, match="no checkpoint"):
        Checkpoints(tmp_path / "none").load(CPU, Progress())


def test_another_format_is_not_passed_over(tmp_path, monkeypatch):
    made = Checkpoints(tmp_path)
    made.save(1, {})
    monkeypatch.setattr(checkpoint, "CHECKPOINT_FORMAT", 3)
    made.save(2, {})
    monkeypatch.undo()
    with pytest.raises(InputError, match="not a checkpoint of format 2"):
        made.load(CPU, Progress())


def test_killed_before_the_rename_the_old_ones_stay(tmp_path):
    made = Checkpoints(tmp_path / "c", 1)
    path = made.save(1, {"step": 1})
    before = path.read_bytes()
    code = (
        "import os, pathlib, sys\n"
        "from phasegan.training.checkpoint import Checkpoints\n"
        "os.replace = lambda *_: os._exit(9)\n"
        "Checkpoints(pathlib.Path(sys.argv[1]), 1).save(2, {'step': 2})\n"
    )
    assert subprocess.run([sys.executable, "-c", code, path.parent]).returncode == 9
    assert len(list((tmp_path / "c").iterdir())) == 2
    assert made.paths() == [path]
    assert path.read_bytes() == before
    assert made.load(CPU, Progress()) == {"step": 1}
    made.save(2, {"step": 2})
    assert [p.name for p in (tmp_path / "c").iterdir()] == ["step-000000002.safetensors"]


def test_a_full_disk_leaves_the_old_ones(tmp_path, monkeypatch):
    made = Checkpoints(tmp_path, 1)
    path = made.save(1, {"step": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("phasegan.io.atomic.os.replace", full)
    with pytest.raises(DiskFullError, match=r"step-000000002\.safetensors: the disk is full"):
        made.save(2, {})
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == [path]
    assert made.load(CPU, Progress()) == {"step": 1}
