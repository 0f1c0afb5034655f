"""The training recipe that the common CycleGAN implementations share, for comparison.

Written from the published description (Zhu et al. 2017, section 4 and appendix 7) and from
what such implementations have in common: batch 1, float32 in eager mode, one Adam for both
generators and one for both discriminators, pictures that workers decode from PNG files for
every step, losses fetched every 100 steps, cuDNN left to time its algorithms. The networks
are phasegan's, layer for layer the published ones, with torch's own instance normalisation.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from phasegan.config.run import PaperConfig
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.models.blocks import InstanceNorm, initialise
from phasegan.models.domains import normalise_images, phase_image
from phasegan.models.patchgan import PatchDiscriminator
from phasegan.models.resnet import ResNetGenerator

LOG_STEPS = 100
POOL = 50
CYCLE, IDENTITY = 10.0, 0.5
EPOCH = 1000
"""Pictures after which the workers start anew, at least: as in the sets that people use."""


class Sizes(NamedTuple):
    """Of the networks and of what goes through them."""

    channels: int
    size: int
    base_channels: int
    blocks: int
    discriminator_channels: int


def sizes_of(config: PaperConfig) -> Sizes:
    """Return the sizes that a configuration of `paper` has."""
    return Sizes(config.data.channel_count, config.data.size, *_values(config))


def _values(config: PaperConfig) -> tuple[int, int, int]:
    networks = config.networks
    return networks.base_channels, networks.blocks, networks.discriminator_channels


# --- data ---------------------------------------------------------------------------


def write_pictures(file: PreparedFile, folder: Path, count: int) -> None:
    """Write phase pictures to `trainA` and images to `trainB`, 8 bit PNG."""
    for index in range(count):
        rows = slice(index, index + 1)
        pictures = {
            "trainA": phase_image(file.train.phase(rows, np.float32), file.layout.frame),
            "trainB": normalise_images(file.train.images(rows), file.layout.data_range),
        }
        for name, picture in pictures.items():
            (folder / name).mkdir(exist_ok=True)
            levels = np.rint((picture[0] + 1.0) * 127.5).clip(0, 255).astype(np.uint8)
            pixels = levels[0] if len(levels) == 1 else levels.transpose(1, 2, 0)
            Image.fromarray(pixels).save(folder / name / f"{index:05d}.png")


class Pictures(Dataset[tuple[Tensor, Tensor]]):
    """Pairs of unrelated pictures: load, enlarge by 286/256, crop at random, mirror half.

    Parameters
    ----------
    folder : pathlib.Path
        With `trainA` and `trainB`.
    channels, size : int
        Of the pictures that come out.
    """

    def __init__(self, folder: Path, channels: int, size: int) -> None:
        self.a, self.b = (sorted((folder / name).iterdir()) for name in ("trainA", "trainB"))
        self.mode, self.size = "RGB" if channels == 3 else "L", size

    def __len__(self) -> int:
        return len(self.a) * -(-EPOCH // len(self.a))

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self._load(self.a[index % len(self.a)]), self._load(random.choice(self.b))

    def _load(self, path: Path) -> Tensor:
        large = round(self.size * 286 / 256)
        with Image.open(path) as opened:
            picture = opened.convert(self.mode).resize((large, large), Image.Resampling.BICUBIC)
        left, top = random.randint(0, large - self.size), random.randint(0, large - self.size)
        picture = picture.crop((left, top, left + self.size, top + self.size))
        if random.random() < 0.5:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = np.array(picture).reshape(self.size, self.size, -1).transpose(2, 0, 1)
        return torch.from_numpy(pixels.copy()).float().div(255.0).sub(0.5).div(0.5)


def worker_count() -> int:
    """Return how many processes decode: 4, or as many as there are cores."""
    return min(4, os.cpu_count() or 1)


def endless(folder: Path, sizes: Sizes) -> Iterator[Sequence[Tensor]]:
    """Return batches of one picture of each domain, epoch after epoch."""
    pictures = Pictures(folder, sizes.channels, sizes.size)
    loader = DataLoader(pictures, batch_size=1, shuffle=True, num_workers=worker_count())
    while True:
        yield from loader


# --- networks -----------------------------------------------------------------------


def with_plain_norms(network: nn.Module) -> nn.Module:
    """Put torch's instance normalisation in place of phasegan's."""
    for name, child in network.named_children():
        if isinstance(child, InstanceNorm):
            setattr(network, name, nn.InstanceNorm2d(child.num_features))
        else:
            with_plain_norms(child)
    return network


class Pool:
    """The last so many fakes; half of the time an older one stands in for a new one."""

    def __init__(self, size: int = POOL) -> None:
        self.size, self.kept = size, list[Tensor]()

    def query(self, pictures: Tensor) -> Tensor:
        """Return as many pictures."""
        found = []
        for picture in pictures.detach().split(1):
            if len(self.kept) < self.size:
                self.kept.append(picture)
                found.append(picture)
            elif random.random() > 0.5:
                place = random.randrange(self.size)
                found.append(self.kept[place].clone())
                self.kept[place] = picture
            else:
                found.append(picture)
        return torch.cat(found)


class Recipe:
    """Two generators, two discriminators, and one step of the common recipe.

    Parameters
    ----------
    sizes : Sizes
        Of the networks.
    device : torch.device
        Where they live.
    """

    def __init__(self, sizes: Sizes, device: torch.device) -> None:
        self.device = device
        source = torch.Generator().manual_seed(0)

        def generator() -> nn.Module:
            shape = (sizes.channels, sizes.channels, sizes.base_channels, sizes.blocks)
            return ResNetGenerator(*shape).model  # the plain sequence of layers

        def judge() -> nn.Module:
            return PatchDiscriminator(sizes.channels, sizes.discriminator_channels).model

        self.networks = {
            "generator_ab": generator(),
            "generator_ba": generator(),
            "discriminator_a": judge(),
            "discriminator_b": judge(),
        }
        for network in self.networks.values():
            initialise(network, source)
            with_plain_norms(network).to(device)
        self.ab, self.ba, self.judge_a, self.judge_b = self.networks.values()
        self.adam_g = self._adam(self.ab, self.ba)
        self.adam_d = self._adam(self.judge_a, self.judge_b)
        self.pool_a, self.pool_b = Pool(), Pool()
        self.square, self.distance = nn.MSELoss(), nn.L1Loss()
        self.real, self.fake = torch.tensor(1.0, device=device), torch.tensor(0.0, device=device)

    @staticmethod
    def _adam(*networks: nn.Module) -> torch.optim.Adam:
        weights = itertools.chain(*(network.parameters() for network in networks))
        return torch.optim.Adam(weights, lr=2e-4, betas=(0.5, 0.999))

    def _against(self, scores: Tensor, label: Tensor) -> Tensor:
        return self.square(scores, label.expand_as(scores))

    def _judges_learn(self, wanted: bool) -> None:
        for judge in (self.judge_a, self.judge_b):
            for weight in judge.parameters():
                weight.requires_grad = wanted

    def step(self, real_a: Tensor, real_b: Tensor) -> dict[str, Tensor]:
        """Update the generators, then the discriminators; return losses as phasegan names them."""
        real_a, real_b = real_a.to(self.device), real_b.to(self.device)
        fake_b = self.ab(real_a)
        back_a = self.ba(fake_b)
        fake_a = self.ba(real_b)
        back_b = self.ab(fake_a)

        self._judges_learn(False)
        self.adam_g.zero_grad()
        losses = {
            "identity_b": self.distance(self.ab(real_b), real_b),
            "identity_a": self.distance(self.ba(real_a), real_a),
            "adversarial_ab": self._against(self.judge_b(fake_b), self.real),
            "adversarial_ba": self._against(self.judge_a(fake_a), self.real),
            "cycle_a": self.distance(back_a, real_a),
            "cycle_b": self.distance(back_b, real_b),
        }
        adversarial = losses["adversarial_ab"] + losses["adversarial_ba"]
        cycles = CYCLE * losses["cycle_a"] + CYCLE * losses["cycle_b"]
        same = CYCLE * IDENTITY * losses["identity_a"] + CYCLE * IDENTITY * losses["identity_b"]
        (adversarial + cycles + same).backward()
        self.adam_g.step()

        self._judges_learn(True)
        self.adam_d.zero_grad()
        losses["discriminator_a"] = self._judge(self.judge_a, real_a, self.pool_a.query(fake_a))
        losses["discriminator_b"] = self._judge(self.judge_b, real_b, self.pool_b.query(fake_b))
        self.adam_d.step()
        return losses

    def _judge(self, judge: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        good = self._against(judge(real), self.real)
        loss = 0.5 * (good + self._against(judge(fake), self.fake))
        loss.backward()
        return loss
