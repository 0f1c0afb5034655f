"""Weights of others: layouts put together here from what is documented about them."""

from __future__ import annotations

import itertools

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from phasegan.errors import InputError
from phasegan.models.blocks import initialise
from phasegan.models.interchange import find_networks, save_foreign
from phasegan.models.patchgan import PatchDiscriminator, PixelDiscriminator
from phasegan.models.residual_unet import UNetTranslator
from phasegan.models.resnet import ResNetGenerator
from phasegan.models.spectral import SpectralGenerator
from phasegan.models.weights import load_discriminator, load_generator, save_weights

NORMS = {
    "instance": nn.InstanceNorm2d,
    "affine-instance": lambda c: nn.InstanceNorm2d(c, affine=True),
    "batch": nn.BatchNorm2d,
    "tracked": lambda c: nn.InstanceNorm2d(c, track_running_stats=True),
}
PADS = {"reflect": nn.ReflectionPad2d, "replicate": nn.ReplicationPad2d}


class Skip(nn.Module):
    def __init__(self, channels, padding, norm, dropout, name="conv_block"):
        super().__init__()
        layers, bias, self.name = [], norm != "batch", name
        for last in (False, True):
            layers += [PADS[padding](1)] if padding in PADS else []
            pad = int(padding == "zero")
            layers += [nn.Conv2d(channels, channels, 3, padding=pad, bias=bias)]
            layers += [NORMS[norm](channels)]
            layers += [] if last else [nn.ReLU()]
            layers += [nn.Dropout(0.5)] if dropout and not last else []
        setattr(self, name, nn.Sequential(*layers))

    def forward(self, x):
        return x + getattr(self, self.name)(x)


class Documented(nn.Module):
    """A generator by the published layout: c7s1, d, d, R × blocks, u, u, c7s1, tanh."""

    def __init__(
        self, inputs=3, outputs=3, c=4, blocks=6, padding="reflect", norm="instance", dropout=False
    ):
        super().__init__()
        bias, n = norm != "batch", NORMS[norm]
        layers = [nn.ReflectionPad2d(3), nn.Conv2d(inputs, c, 7, bias=bias), n(c), nn.ReLU()]
        for w in (c, 2 * c):
            layers += [nn.Conv2d(w, 2 * w, 3, 2, 1, bias=bias), n(2 * w), nn.ReLU()]
        layers += [Skip(4 * c, padding, norm, dropout) for _ in range(blocks)]
        for w in (4 * c, 2 * c):
            up = nn.ConvTranspose2d(w, w // 2, 3, 2, 1, output_padding=1, bias=bias)
            layers += [up, n(w // 2), nn.ReLU()]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(c, outputs, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        return self.model(x)


class Judge(nn.Module):
    """A PatchGAN by the published layout."""

    def __init__(self, inputs=3, c=4, layers=3, norm="instance"):
        super().__init__()
        bias, n, w = norm != "batch", NORMS[norm], c
        stack = [nn.Conv2d(inputs, c, 4, 2, 1), nn.LeakyReLU(0.2)]
        for depth in range(1, layers + 1):
            v = c * min(2**depth, 8)
            stride = 1 if depth == layers else 2
            stack += [nn.Conv2d(w, v, 4, stride, 1, bias=bias), n(v), nn.LeakyReLU(0.2)]
            w = v
        self.model = nn.Sequential(*stack, nn.Conv2d(w, 1, 4, 1, 1))

    def forward(self, x):
        return self.model(x)


class Pixels(nn.Module):
    def __init__(self, inputs=3, c=4, norm="instance"):
        super().__init__()
        bias, n = norm != "batch", NORMS[norm]
        self.net = nn.Sequential(
            nn.Conv2d(inputs, c, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(c, 2 * c, 1, bias=bias),
            n(2 * c),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * c, 1, 1, bias=bias),
        )

    def forward(self, x):
        return self.net(x)


def trained(network, seed=0):
    """Move weights and statistics away from where they start."""
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.is_floating_point():
                value.add_(0.2 * torch.rand(value.shape, generator=source))
    return network.eval()


def picture(channels=3, rows=32, columns=36):
    return (
        2 * torch.rand(2, channels, rows, columns, generator=torch.Generator().manual_seed(1)) - 1
    )


def same(one, other, x):
    """Compare in float64: instances of few pixels amplify the rounding of float32."""
    with torch.no_grad():
        results = [network.double()(x.double()) for network in (one, other)]
    torch.testing.assert_close(*results, rtol=0, atol=1e-9)
    one.float(), other.float()


@pytest.fixture
def saved(tmp_path):
    def save(state, name="latest_net_G.pth"):
        torch.save(state.state_dict() if isinstance(state, nn.Module) else state, tmp_path / name)
        return tmp_path / name

    return save


@pytest.mark.parametrize(
    ("padding", "norm", "dropout"),
    [
        *itertools.product(
            ["reflect", "replicate", "zero"],
            ["instance", "affine-instance", "batch"],
            [False, True],
        )
    ],
)
def test_every_documented_layout_gives_the_same_pictures(saved, padding, norm, dropout):
    origin = trained(Documented(3, 2, 4, 2, padding, norm, dropout))
    found = load_generator(saved(origin), "replicate" if padding == "replicate" else None)
    same(found, origin, picture())
    assert found.design == {
        "kind": "resnet",
        "in_channels": 3,
        "out_channels": 2,
        "base_channels": 4,
        "blocks": 2,
        "padding": padding,
        "norm": norm,
        "dropout": dropout,
        "upsampling": "transposed",
    }
    assert not found.training


@pytest.mark.parametrize("blocks", [6, 9])
@pytest.mark.parametrize("width", [2, 6])
def test_depth_and_width_are_found(saved, blocks, width):
    origin = trained(Documented(1, 3, width, blocks))
    same(load_generator(saved(origin)), origin, picture(1))


@pytest.mark.parametrize(
    "prefix",
    ["module.", "_orig_mod.", "module._orig_mod.", "module.module.", "netG.", "model.", "0."],
)
def test_wrappers_leave_no_trace(saved, prefix):
    origin = trained(Documented(blocks=1))
    state = {prefix + key: value for key, value in origin.state_dict().items()}
    if prefix == "module.":
        state["n_averaged"] = torch.tensor(7)
    same(load_generator(saved(state)), origin, picture())


@pytest.mark.parametrize("name", ["state_dict", "model", "netG", "params_ema", "G_A2B"])
def test_state_dicts_inside_checkpoints_are_found(saved, name):
    origin = trained(Documented(blocks=1))
    around = {"epoch": 3, name: origin.state_dict(), "optimizer": {"state": {0: {"step": 1}}}}
    same(load_generator(saved(around, "a.ckpt")), origin, picture())


def test_of_several_networks_the_wanted_kind_is_taken_by_its_name(saved):
    origin, judge = trained(Documented(blocks=1)), trained(Judge())
    path = saved({"netD": judge.state_dict(), "netG": origin.state_dict()})
    same(load_generator(path), origin, picture())
    same(load_discriminator(path), judge, picture())
    named = {"generator": origin, "discriminator": judge}
    flat = {f"{n}.{k}": v for n, net in named.items() for k, v in net.state_dict().items()}
    same(load_generator(saved({"state_dict": flat})), origin, picture())
    with pytest.raises(InputError, match=r"several networks \(one, two\); save the generator"):
        load_generator(saved({"one": origin.state_dict(), "two": origin.state_dict()}))


def test_statistics_that_old_instance_norms_kept_are_dropped(saved):
    origin = trained(Documented(blocks=1))
    stale = trained(Documented(blocks=1, norm="tracked"), seed=5).state_dict()
    state = {**stale, **origin.state_dict()}
    assert any("running_mean" in key for key in state)
    same(load_generator(saved(state)), origin, picture())
    judge = trained(Judge())
    state = {**Judge(norm="tracked").state_dict(), **judge.state_dict()}
    same(load_discriminator(saved(state)), judge, picture())


def test_weights_and_statistics_and_biases_need_a_word(saved):
    instance = trained(Documented(blocks=1, norm="affine-instance"))
    batch = trained(Documented(blocks=1, norm="batch"))
    biases = {k: v for k, v in instance.state_dict().items() if k not in batch.state_dict()}
    path = saved({**batch.state_dict(), **biases})
    with pytest.raises(InputError, match='norm="affine-instance" or norm="batch"'):
        load_generator(path)
    both = {**batch.state_dict(), **instance.state_dict()}
    same(load_generator(saved(both), norm="affine-instance"), instance, picture())
    for name, layer in batch.named_modules():  # what the bias adds, the mean takes away
        if isinstance(layer, nn.BatchNorm2d):
            stem, _, index = name.rpartition(".")
            layer.running_mean.add_(biases[f"{stem}.{int(index) - 1}.bias"])
    shifted = saved({**batch.state_dict(), **biases})
    for name, layer in batch.named_modules():
        if isinstance(layer, nn.BatchNorm2d):
            stem, _, index = name.rpartition(".")
            layer.running_mean.sub_(biases[f"{stem}.{int(index) - 1}.bias"])
    same(load_generator(shifted, norm="batch"), batch, picture())


def test_batch_norms_of_torch_before_0_4_1_counted_no_batches(saved):
    origin = trained(Documented(blocks=1, norm="batch"))
    state = {k: v for k, v in origin.state_dict().items() if "num_batches" not in k}
    same(load_generator(saved(state)), origin, picture())


@pytest.mark.parametrize("norm", ["instance", "affine-instance", "batch"])
@pytest.mark.parametrize("layers", [1, 3, 5])
def test_discriminators_give_the_same_scores(saved, norm, layers):
    origin = trained(Judge(2, 4, layers, norm))
    found = load_discriminator(saved(origin))
    assert found.design["layers"] == layers
    same(found, origin, picture(2, found.min_size, found.min_size + 8))
    pixels = trained(Pixels(2, 4, norm))
    same(load_discriminator(saved(pixels)), pixels, picture(2))


def test_spectral_normalisation_of_either_writing_is_read(saved):
    origin = Judge()
    for layer in origin.model:
        if isinstance(layer, nn.Conv2d):
            nn.utils.spectral_norm(layer)
    origin(picture())
    origin.eval()
    found = load_discriminator(saved(origin))
    assert found.design["spectral_norm"]
    same(found, origin, picture())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(saved, tmp_path, dtype):
    origin = trained(Documented(blocks=1)).to(dtype)
    state = origin.state_dict()
    save_file(state, tmp_path / "foreign.safetensors")
    for path in (saved(state), tmp_path / "foreign.safetensors"):
        found = load_generator(path)
        assert {p.dtype for p in found.parameters()} == {torch.float32}
        same(found, origin.float(), picture())
        origin.to(dtype)


def test_padding_is_agreed_upon(saved):
    reflect, zero = (
        saved(Documented(blocks=1)),
        saved(Documented(blocks=1, padding="zero"), "z.pth"),
    )
    assert load_generator(reflect).design["padding"] == "reflect"
    assert load_generator(zero, "zero").design["padding"] == "zero"
    with pytest.raises(InputError, match="padded by padding layers, not zeros, not by zero"):
        load_generator(reflect, "zero")
    with pytest.raises(InputError, match="padded by zeros, not by replicate"):
        load_generator(zero, "replicate")


def unet_256():
    """Return keys as of pix2pix's nested blocks, eight deep."""
    keys, stem = [], "model.model."
    keys += [stem + "0.weight", stem + "3.weight"]
    for depth in range(7):
        stem += ("1" if depth == 0 else "3") + ".model."
        keys += [stem + "1.weight", stem + ("3" if depth == 6 else "5") + ".weight"]
    return {key: torch.zeros(2, 2, 4, 4) for key in keys}


def anti_aliased():
    state = Documented(blocks=1).state_dict()
    return {**state, "model.7.filt": torch.ones(8, 1, 3, 3)}


def upsampled():
    state = Documented(blocks=1).state_dict()
    for old, new in (("11", "12"), ("14", "16"), ("18", "20")):
        for last in ("weight", "bias"):
            state[f"model.{new}.{last}"] = state.pop(f"model.{old}.{last}")
    return state


def other_blocks():
    state = Documented(blocks=1).state_dict()
    return {key.replace("conv_block", "block"): value for key, value in state.items()}


def with_nan():
    state = Documented(blocks=1).state_dict()
    state["model.4.weight"][0, 0, 0, 0] = torch.nan
    return state


def without_a_layer():
    state = Documented(blocks=2).state_dict()
    del state["model.11.conv_block.5.bias"]
    return state


def physics():
    return SpectralGenerator(
        size=8,
        padded=8,
        channels=1,
        widths=(4,),
        unrolled=1,
        projection="sign",
        encodings=("mean",),
    ).state_dict()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (unet_256, r"U-Net of pix2pix for 256×256 pictures \(unet_256\).*holds model"),
        (anti_aliased, r"anti-aliased layout.*--no_antialias.*holds model\.7\.filt \(8, 1, 3, 3\)"),
        (upsampled, r"expected at model\.11, model\.14 and model\.18.*holds model\.12\.weight"),
        (other_blocks, "eriklindernoren"),
        (with_nan, r"model\.4\.weight holds values that are not finite"),
        (without_a_layer, r"model\.11\.conv_block\.5\.bias \(16,\) is missing"),
        (physics, "use phasegan reconstruct"),
        (Judge, "a discriminator's weights, where a generator's"),
        (Pixels, "a discriminator's weights, where a generator's"),
        (lambda: nn.Conv2d(3, 3, 3), r"holds weight \(3, 3, 3, 3\)"),
        (lambda: {"epoch": 3}, "no convolutional network"),
        (lambda: {"model.1.weight": torch.ones(1, 1, 7, 7).bool()}, "torch.bool"),
    ],
)
def test_what_cannot_be_read_is_said(saved, make, message):
    with pytest.raises(InputError, match=message) as found:
        load_generator(saved(make()))
    assert "\n" not in str(found.value)


def test_a_generator_is_no_discriminator(saved, tmp_path):
    with pytest.raises(InputError, match="a generator's weights, where a discriminator's"):
        load_discriminator(saved(Documented(blocks=1)))
    for name, network in (("g", ResNetGenerator(1, 1, 2, 1)), ("u", UNetTranslator(1, 1, (4,)))):
        save_weights(network, tmp_path / f"{name}.safetensors")
        with pytest.raises(InputError, match="a generator's weights, where a discriminator's"):
            load_discriminator(tmp_path / f"{name}.safetensors")
    save_weights(PatchDiscriminator(1, 2), tmp_path / "d.safetensors")
    with pytest.raises(InputError, match="a discriminator's weights, where a generator's"):
        load_generator(tmp_path / "d.safetensors")


def test_files_with_code_are_not_run(saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = saved({"model": Trap(), "state_dict": Documented(blocks=1).state_dict()})
    with pytest.raises(InputError, match=r"more than tensors .*state_dict\(\) alone") as found:
        load_generator(path)
    assert "\n" not in str(found.value)
    assert not (tmp_path / "trapped").exists()


class Trap:
    def __reduce__(self):
        return open, ("trapped", "w")


@pytest.mark.parametrize("damage", ["empty", "text", "short", "changed", "gone"])
def test_damaged_files_are_one_line(saved, tmp_path, damage):
    path = saved(Documented(blocks=1))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    content = {"empty": b"", "text": b"hello", "short": data[:-300], "changed": data}
    path.write_bytes(content.get(damage, b""))
    if damage == "gone":
        path.unlink()
    with pytest.raises(InputError, match=r"damaged weights file|no such weights") as found:
        load_generator(path)
    assert "\n" not in str(found.value)


NAMES = ("generator_ab", "generator_ba", "discriminator_a", "discriminator_b")
FOLDERS = [
    [f"{name}.safetensors" for name in NAMES],
    ["latest_net_G_A.pth", "latest_net_G_B.pth", "latest_net_D_B.pth", "latest_net_D_A.pth"],
    ["netG_A2B.pth", "netG_B2A.pth", "netD_A.pth", "netD_B.pth"],
    ["net_gen_ab.pth", "net_gen_ba.pth", "net_disc_a.pth", "net_disc_b.pth"],
    ["0090_net_gen_ab.pth", "0090_net_gen_ba.pth", "0090_net_disc_a.pth", "0090_net_disc_b.pth"],
    ["latest_net_G.pth"],
]


@pytest.mark.parametrize("files", FOLDERS)
def test_networks_are_found_by_their_names(tmp_path, files):
    for name in (*files, "optimizer.pth", "loss_log.txt", "latest_net_F.pth"):
        (tmp_path / name).touch()
    assert find_networks(tmp_path) == {
        name: tmp_path / file for name, file in zip(NAMES, files, strict=False)
    }


def test_the_latest_wins(tmp_path):
    for epoch in ("5", "100", "20"):
        (tmp_path / f"{epoch}_net_G_A.pth").touch()
    assert find_networks(tmp_path)["generator_ab"].name == "100_net_G_A.pth"
    (tmp_path / "latest_net_G_B.pth").touch()
    assert find_networks(tmp_path) == {"generator_ba": tmp_path / "latest_net_G_B.pth"}
    with pytest.raises(InputError, match="no weights of a generator; known names are"):
        find_networks(tmp_path.parent)
    with pytest.raises(InputError, match="no such folder"):
        find_networks(tmp_path / "none")


@pytest.mark.parametrize("norm", ["instance", "affine-instance", "batch"])
def test_what_is_written_for_others_is_theirs_and_comes_back(tmp_path, norm):
    networks = {
        "generator_ab": ResNetGenerator(1, 3, 4, 2, norm=norm, dropout=True),
        "generator_ba": ResNetGenerator(3, 1, 4, 2, norm=norm, padding="zero"),
        "discriminator_a": PatchDiscriminator(1, 4, norm=norm),
        "discriminator_b": PixelDiscriminator(3, 4, norm=norm),
    }
    for seed, network in enumerate(networks.values()):
        initialise(network, torch.Generator().manual_seed(seed))
        network.eval()
    save_foreign(networks, tmp_path / "new", "7")
    files = find_networks(tmp_path / "new")
    assert {path.name for path in files.values()} == {
        f"7_net_{name}.pth" for name in ("G_A", "G_B", "D_A", "D_B")
    }
    theirs = {
        "G_A": Documented(1, 3, 4, 2, "reflect", norm, True),
        "G_B": Documented(3, 1, 4, 2, "zero", norm),
        "D_B": Judge(1, 4, 3, norm),
        "D_A": Pixels(3, 4, norm),
    }
    for (name, network), their in zip(networks.items(), theirs.items(), strict=True):
        state = torch.load(tmp_path / "new" / f"7_net_{their[0]}.pth", weights_only=True)
        their[1].load_state_dict(state)
        x = picture(network.design["in_channels"])
        same(network, their[1].eval(), x)
        load = load_generator if name.startswith("generator") else load_discriminator
        loaded = load(files[name])
        assert loaded.design == network.design
        same(network, loaded, x)


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (ResNetGenerator(1, 1, 2, 1, upsampling="resize"), "resize-convolutions"),
        (UNetTranslator(1, 1, (4,)), "kind unet"),
        (nn.Conv2d(1, 1, 1), "without a design"),
    ],
)
def test_what_others_have_no_layout_for_is_not_written(tmp_path, network, reason):
    networks = {"generator_ba": ResNetGenerator(1, 1, 2, 1), "generator_ab": network}
    with pytest.raises(InputError, match=rf"generator_ab: .*{reason}.*has no layout for it"):
        save_foreign(networks, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    with pytest.raises(InputError, match="spectral"):
        save_foreign({"discriminator_a": PatchDiscriminator(1, 2, spectral_norm=True)}, tmp_path)
    with pytest.raises(InputError, match="known: generator_ab"):
        save_foreign({"generator": ResNetGenerator(1, 1, 2, 1)}, tmp_path)
