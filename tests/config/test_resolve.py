"""Options and facts of the data become a complete configuration."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from phasegan.config.options.schema import options_of
from phasegan.config.options.train import TrainCommand
from phasegan.config.resolve.facts import DomainFacts, PreparedFacts
from phasegan.config.resolve.phases import resolve_phases
from phasegan.config.resolve.translation import resolve_translation, scan_options
from phasegan.errors import InputError

CPU = torch.device("cpu")
FILE = PreparedFacts(Path("x.h5"), True, 6, "0" * 64, 32, 32, "gray", 8)
DOMAINS = tuple(DomainFacts(f"x/train{n}", 5, n * 64, 3, "uint8", 0.0, 255.0) for n in "AB")


def resolve(preset, device=CPU, **options):
    if preset in ("physics", "paper"):
        return resolve_phases(FILE, device, preset=preset, **options)
    return resolve_translation(DOMAINS, device, preset=preset, **options)


def values_of(config):
    """Return the value of each option in a configuration."""
    parts = [config, *(getattr(config, name) for name in type(config).model_fields)]
    values = {}
    for name, option in options_of(TrainCommand).items():
        for source in option.sources:
            for part in parts:
                if isinstance(part, source.model):
                    values[name] = getattr(part, source.field)
    return values


@pytest.mark.parametrize("variant", ["small", "full"])
@pytest.mark.parametrize("preset", ["physics", "paper", "translation", "one-way"])
def test_a_configuration_is_that_of_all_its_values(preset, variant):
    config = resolve(preset, variant=variant)
    assert config.variant == variant
    values = values_of(config) | config.networks.model_dump()
    left_out = ["validation", "validate_every", "patience"]
    if values.get("generator") == "unet":  # which refuses options of ResNets
        left_out += ["blocks", "padding", "norm", "dropout"]
    values = {name: value for name, value in values.items() if name not in left_out}
    assert len(values) > 8
    assert resolve(preset, variant=variant, **values) == config


@pytest.mark.parametrize("preset", ["physics", "paper", "translation"])
def test_the_device_decides_variant_and_precision(preset):
    assert resolve(preset).variant == "small"
    assert resolve(preset, torch.device("mps")).variant == "full"
    assert resolve(preset, torch.device("mps")).precision == "32"
    assert resolve(preset, torch.device("mps"), precision="fp16").precision == "fp16"


def test_the_discriminators_of_resnets_are_as_wide_as_the_generators():
    assert resolve("paper", base_channels=5).networks.discriminator_channels == 5
    resnet = {"generator": "resnet", "base_channels": 5}
    assert resolve("translation", **resnet).networks.discriminator_channels == 5
    assert resolve("translation", base_channels=5).networks.discriminator_channels == 32


def test_phases_of_other_kinds_have_other_encodings():
    def encodings(**facts):
        return resolve_phases(FILE._replace(**facts), CPU, adversarial=0.0).networks.encodings

    assert encodings() == ("cascade", "mean")
    assert encodings(padded=64) == encodings(phase_noise=0.1) == ("cascade", "posterior", "mean")
    assert encodings(size=7, padded=7) == ("posterior", "mean")


def test_images_of_another_file_count_and_phases_are_the_first():
    images = FILE._replace(samples=9, digest="1" * 64)
    data = resolve_phases(FILE._replace(has_images=False), CPU, images).data
    assert (data.samples, data.phase_samples, data.images_digest) == (9, 6, images.digest)
    with pytest.raises(InputError, match=r"N = 40, the phases of x.h5 have N = 32"):
        resolve_phases(FILE, CPU, images._replace(size=40))


def test_prepared_images_keep_their_fit():
    domains = tuple(domain._replace(fit="none") for domain in DOMAINS)
    assert resolve_translation(domains, CPU).data.fit == "none"
    assert resolve_translation(domains, CPU, fit="stretch").data.fit == "stretch"
    assert resolve("translation").data.fit == "stretch"


def test_scanning_takes_alpha_and_limits():
    assert scan_options({}) == {"alpha": False, "limits": (None, None)}
    chosen = {"alpha": "keep", "range_b": (0.0, 2.0), "range_a": None, "size": 64}
    assert scan_options(chosen) == {"alpha": True, "limits": (None, (0.0, 2.0))}


@pytest.mark.parametrize("samples", [0, -1])
@pytest.mark.parametrize("preset", ["physics", "translation"])
def test_no_samples_are_refused(preset, samples):
    with pytest.raises(InputError, match=rf"--samples {samples}: x.* has 1 to [56] training"):
        resolve(preset, samples=samples)


def test_unknown_keywords_are_type_errors():
    for preset in ("physics", "translation"):
        with pytest.raises(TypeError, match="unexpected keyword argument 'epoch'"):
            resolve(preset, epoch=1)


def test_resolving_imports_nothing_heavy():
    code = (
        "import sys, phasegan.config.resolve.phases, phasegan.config.resolve.translation;"
        "print(*{'torch', 'h5py', 'scipy', 'matplotlib', 'numpy'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
