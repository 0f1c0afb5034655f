"""Opening the source that a recipe names."""

from __future__ import annotations

from phasegan.data.builtin_source import DEFAULT_CROPS, PhotographCrops
from phasegan.data.folder_source import ImageFolder
from phasegan.data.recipes import Recipe
from phasegan.data.sources import Source
from phasegan.errors import InputError


def open_source(recipe: Recipe) -> Source:
    """Open the source that a recipe names.

    Parameters
    ----------
    recipe : Recipe
        With a source of kind folder or scikit-image.

    Returns
    -------
    Source
        Its images.

    Raises
    ------
    InputError
        If the folder or a photograph is missing, or images are given as an array.
    """
    if recipe.source.kind == "folder":
        return ImageFolder(recipe.source.path)
    if recipe.source.kind == "array":
        raise InputError(f"recipe {recipe.name}: arrays are given to phasegan.prepare, not named")
    split = recipe.split
    counts = {
        "train": DEFAULT_CROPS["train"] if split.samples is None else split.samples,
        "test": DEFAULT_CROPS["test"] if split.test is None else split.test,
    }
    return PhotographCrops(recipe.source, counts, recipe.preprocessing.size, split.seed)
