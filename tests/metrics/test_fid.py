"""FID and KID: what they are in features that can be calculated by hand, and what is refused."""

from __future__ import annotations

import importlib.util
import os
import sys

import numpy as np
import pytest
import torch
from torch import nn

from phasegan.errors import InputError
from phasegan.metrics import fid as module
from phasegan.metrics.fid import feature_distances

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("torchmetrics")
helper, numpy_helper = onnx.helper, onnx.numpy_helper
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


FLOAT, UINT8 = onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8


def integers(name, *values):
    return numpy_helper.from_array(np.array(values, np.int64), name)


def model_of(nodes, constants=(), taken=FLOAT, output=(None, None), **more):
    """Return a model from pictures `x` to `y`."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", taken, [None, 3, None, None])],
        [helper.make_tensor_value_info("y", FLOAT, list(output))],
        list(constants),
    )
    opset = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8, **more)


def means():
    """Mean of each channel, and of the upper half of the first."""
    return model_of(
        [
            helper.make_node("ReduceMean", ["x", "space"], ["of all"], keepdims=0),
            helper.make_node("Shape", ["x"], ["rows"], start=2, end=3),
            helper.make_node("Div", ["rows", "two"], ["half"]),
            helper.make_node("Slice", ["x", "none", "half", "row axis"], ["upper"]),
            helper.make_node("Slice", ["upper", "none", "one", "channel axis"], ["first"]),
            helper.make_node("ReduceMean", ["first", "space"], ["of half"], keepdims=0),
            helper.make_node("Concat", ["of all", "of half"], ["y"], axis=1),
        ],
        [
            integers("space", 2, 3), integers("two", 2), integers("none", 0), integers("one", 1),
            integers("row axis", 2), integers("channel axis", 1),
        ],
    )  # fmt: skip


def of_bytes():
    """Mean of each channel of uint8 pictures, as shares of 255."""
    return model_of(
        [
            helper.make_node("Cast", ["x"], ["values"], to=FLOAT),
            helper.make_node("ReduceMean", ["values", "space"], ["mean"], keepdims=0),
            helper.make_node("Div", ["mean", "white"], ["y"]),
        ],
        [integers("space", 2, 3), numpy_helper.from_array(np.array(255, np.float32), "white")],
        UINT8,
    )


def maps():
    return model_of([helper.make_node("Relu", ["x"], ["y"])], output=[None] * 4)


def narrow():
    weights = numpy_helper.from_array(np.ones((5, 5), np.float32), "w")
    return model_of(
        [
            helper.make_node("MatMul", ["x", "w"], ["z"]),
            helper.make_node("ReduceMean", ["z", "space"], ["y"], keepdims=0),
        ],
        [weights, integers("space", 2, 3)],
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")

    def save(make):
        path = folder / f"{make.__name__}.onnx"
        path.write_bytes(make().SerializeToString())
        return path

    return save


@pytest.fixture
def sets(rng):
    a = rng.uniform(0.2, 0.6, (60, 3, 8, 8)) * rng.uniform(0.5, 1, (60, 3, 1, 1))
    b = rng.uniform(0.3, 0.7, (40, 3, 8, 8)) * rng.uniform(0.6, 1, (40, 3, 1, 1))
    return a.astype(np.float32), b.astype(np.float32)


def of_means(images):
    upper = images[:, :1, : images.shape[2] // 2].mean(axis=(2, 3))
    return np.concatenate([images.mean(axis=(2, 3)), upper], axis=1).astype(np.float64)


def test_fid_is_the_distance_of_two_gaussians(saved, sets):
    from scipy.linalg import sqrtm

    x, y = of_means(sets[0]), of_means(sets[1])
    one, other = np.cov(x.T), np.cov(y.T)
    expected = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(
        one + other - 2 * sqrtm(one @ other).real
    )
    found = feature_distances(*sets, features=saved(means))
    assert found.fid == pytest.approx(expected, rel=1e-5)
    assert (found.features, found.counts, found.network) == (4, (60, 40), "means.onnx")
    assert found.remark == ""


def test_kid_is_the_unbiased_discrepancy_of_the_cubic_kernel(saved, sets):
    def kernel(x, y):
        return (x @ y.T / x.shape[1] + 1) ** 3

    x, y = of_means(sets[0]), of_means(sets[1])
    within = [
        (kernel(z, z).sum() - np.trace(kernel(z, z))) / (len(z) * (len(z) - 1)) for z in (x, y)
    ]
    expected = 1000 * (sum(within) - 2 * kernel(x, y).mean())
    found = feature_distances(*sets, features=saved(means))
    assert found.kid == pytest.approx(expected, abs=5 * found.kid_spread / np.sqrt(100))
    assert found.kid_spread > 0


def test_equal_sets_are_at_fid_zero_and_other_sets_are_not(saved, sets):
    network = saved(means)
    same = feature_distances(sets[0], sets[0], features=network)
    assert same.fid == pytest.approx(0, abs=1e-6)
    apart = feature_distances(*sets, features=network)
    assert apart.fid > 0.01
    back = feature_distances(*sets[::-1], features=network)
    assert back.fid == pytest.approx(apart.fid, rel=1e-5)


def test_a_shift_of_all_features_is_its_square(saved, sets):
    brighter = sets[0] + np.float32(0.25)
    found = feature_distances(sets[0], brighter, features=saved(means))
    assert found.fid == pytest.approx(4 * 0.25**2, rel=1e-4)


def test_seeds_decide_subsets_and_disturb_nothing(saved, sets):
    network, state = saved(means), torch.random.get_rng_state()
    one, again, other = (feature_distances(*sets, features=network, seed=s) for s in (1, 1, 2))
    assert one == again
    assert one.kid != other.kid
    assert one.fid == other.fid
    torch.testing.assert_close(torch.random.get_rng_state(), state)


def test_networks_that_ask_for_bytes_get_them(saved, sets):
    found = feature_distances(*sets, features=saved(of_bytes))
    assert found.features == 3
    assert found.fid == pytest.approx(feature_distances(*sets, features=saved(means)).fid, rel=0.5)


def test_grey_pictures_and_other_sizes_are_taken(saved, sets):
    grey = sets[1][:, :1]
    larger = np.repeat(sets[1], 2, axis=3)
    assert np.isfinite(feature_distances(sets[0], grey, features=saved(means)).fid)
    same = feature_distances(sets[1], larger, features=saved(means))
    assert same.fid == pytest.approx(0, abs=1e-6)


def test_few_pictures_are_remarked_upon(saved, sets):
    found = feature_distances(sets[0][:4], sets[1], features=saved(means))
    assert "too few" in found.remark
    assert found.as_json()["counts"] == [4, 40]


@pytest.mark.parametrize(
    ("network", "message"),
    [(maps, r"gives \(32, 3, 8, 8\) for 32 pictures"), (narrow, "does not take pictures")],
)
def test_networks_that_do_not_fit_are_named(saved, sets, network, message):
    path = saved(network)
    with pytest.raises(InputError, match=message) as caught:
        feature_distances(*sets, features=path)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_networks_are_refused(sets, tmp_path):
    with pytest.raises(InputError, match="No such file"):
        feature_distances(*sets, features=tmp_path / "none.pt")
    (tmp_path / "text.onnx").write_text("not a network")
    torch.save({"a": torch.zeros(3)}, tmp_path / "weights.pt")
    for name in ("text.onnx", "weights.pt"):
        with pytest.raises(InputError, match="not an ONNX network"):
            feature_distances(*sets, features=tmp_path / name)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.onnx")
        with pytest.raises(InputError, match="not a regular file"):
            feature_distances(*sets, features=tmp_path / "pipe.onnx")


class Writing(nn.Module):
    """A TorchScript program that writes two files, one of them as it reads."""

    def __init__(self, folder):
        super().__init__()
        self.saved, self.shared = str(folder / "saved"), str(folder / "shared")

    def forward(self, x):
        torch.save(x, self.saved)
        made = torch.from_file(self.shared, shared=True, size=10)
        return x.mean(dim=[2, 3]) + made.sum()


def test_torchscript_is_not_run(sets, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    network = torch.jit.script(Writing(folder))
    network.save(str(tmp_path / "n.pt"))
    network(torch.zeros(1, 3, 4, 4))  # which does write
    assert sorted(p.name for p in folder.iterdir()) == ["saved", "shared"]
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"n\.pt: a TorchScript program.*torch\.onnx\.export"):
        feature_distances(*sets, features=tmp_path / "n.pt")
    assert list(folder.iterdir()) == []


def outside(tensor, folder):
    """Let a tensor's values be in a file."""
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../secret.bin"


def external_constant(folder):
    model = narrow()
    outside(model.graph.initializer[0], folder)
    return model


def external_inside(folder):
    """Values in another file, of a constant in a branch."""
    value = numpy_helper.from_array(np.ones((5, 5), np.float32), "w")
    outside(value, folder)
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=value)],
        "then",
        [],
        [helper.make_tensor_value_info("c", FLOAT, [5, 5])],
    )
    node = helper.make_node("If", ["yes"], ["z"], then_branch=inner, else_branch=inner)
    yes = numpy_helper.from_array(np.array(True), "yes")
    return model_of([node, *narrow().graph.node], [yes, *narrow().graph.initializer])


def of_an_extension(folder):
    node = helper.make_node(
        "EPContext", ["x"], ["y"], domain="com.microsoft", embed_mode=0,
        ep_cache_context=str(folder / "cache"),
    )  # fmt: skip
    return model_of([node])


def endless(folder):
    def value(name, kind, shape):
        return helper.make_tensor_value_info(name, kind, shape)

    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Relu", ["in"], ["out"])],
        "body",
        [
            value("i", onnx.TensorProto.INT64, []),
            value("go", onnx.TensorProto.BOOL, []),
            value("in", FLOAT, None),
        ],
        [value("on", onnx.TensorProto.BOOL, []), value("out", FLOAT, None)],
    )
    yes = numpy_helper.from_array(np.array(True), "yes")
    return model_of([helper.make_node("Loop", ["", "yes", "x"], ["y"], body=body)], [yes])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (external_constant, r"keeps values in another file \(\.\./secret\.bin\)"),
        (external_inside, r"keeps values in another file \(\.\./secret\.bin\)"),
        (of_an_extension, r"has the operator com\.microsoft\.EPContext"),
        (endless, r"has a loop \(Loop\)"),
    ],
)
def test_networks_that_do_more_than_compute_are_refused(sets, tmp_path, make, message):
    (tmp_path / "models").mkdir()
    (tmp_path / "secret.bin").write_bytes(np.ones((5, 5), np.float32).tobytes())
    path = tmp_path / "models" / "n.onnx"
    path.write_bytes(make(tmp_path).SerializeToString())
    with pytest.raises(InputError, match=message) as caught:
        feature_distances(*sets, features=path)
    assert "\n" not in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["models", "secret.bin"]


def test_pictures_that_do_not_fit_are_refused(saved, sets):
    network = saved(means)
    with pytest.raises(InputError, match="a holds 3 pictures"):
        feature_distances(sets[0][:3], sets[1], features=network)
    with pytest.raises(InputError, match="b has 2 channels"):
        feature_distances(sets[0], sets[1][:, :2], features=network)


def test_what_is_not_installed_is_named(saved, sets, monkeypatch):
    real = importlib.util.find_spec

    def without(missing):
        return lambda name, *rest: None if name == missing else real(name, *rest)

    monkeypatch.setattr(module.importlib.util, "find_spec", without("torch_fidelity"))
    with pytest.raises(InputError, match="--features FILE"):
        feature_distances(*sets)
    monkeypatch.setattr(module.importlib.util, "find_spec", without("torchmetrics"))
    with pytest.raises(InputError, match=r"phasegan\[fid\]"):
        feature_distances(*sets, features=saved(means))


def test_importing_the_module_needs_no_torchmetrics():
    import subprocess

    code = (
        "import sys; sys.modules['torchmetrics'] = None; import phasegan.metrics.fid; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
