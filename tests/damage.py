"""Files damaged at random places, and what their readers let pass."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import small_training
import torch
from analytic_problem import SineHeat, SinePoisson
from fault_injection import flip_bit

from opnet.core.errors import DataError
from opnet.data.dataset import open_dataset
from opnet.data.generate import generate
from opnet.data.recipe import DataRecipe
from opnet.training.checkpoint import read_checkpoint
from opnet.training.fit import fit

Silent = dict[str, list[str]]  # kind of damage -> for each trial "", or what passed in silence


RECIPE = DataRecipe(problem=SinePoisson(), n_train=8, n_test=4, train_resolution=16, shard_size=4, name="damaged")


def damaged_store(folder: Path, chance: random.Random, *, flips: int, cuts: int, recipe: DataRecipe = RECIPE) -> Silent:
    """Damage one file of a small store at a time, the manifest as often as all shards together."""
    generate(recipe, folder)
    shards = sorted(folder.glob("shards/*.h5"))

    def choose() -> Path:
        return chance.choice([folder / "manifest.json", chance.choice(shards)])

    return damage(choose, lambda: _samples_read(folder), chance, flips, cuts)


def damaged_trajectories(folder: Path, chance: random.Random, *, flips: int, cuts: int) -> Silent:
    """The same of a store of trajectories."""
    return damaged_store(folder, chance, flips=flips, cuts=cuts, recipe=replace(RECIPE, problem=SineHeat()))


def damaged_single_file(folder: Path, chance: random.Random, *, flips: int, cuts: int) -> Silent:
    """Damage a store in one file."""
    path = folder / "damaged.h5"
    generate(RECIPE, path)
    return damage(lambda: path, lambda: _samples_read(path), chance, flips, cuts)


def damaged_checkpoint(folder: Path, chance: random.Random, *, flips: int, cuts: int) -> Silent:
    """Damage one of the files of a checkpoint at a time."""
    fit(small_training.model(), small_training.data(), config=small_training.CONFIG, folder=folder)
    checkpoint = max(folder.glob("step-*"))
    files = sorted(checkpoint.iterdir())

    def passed() -> str:
        return f"step {read_checkpoint(checkpoint).standing.step} read"

    return damage(lambda: chance.choice(files), passed, chance, flips, cuts)


def _samples_read(path: Path) -> str:
    splits = open_dataset(path)
    return f"{len(splits.train.all().inputs) + len(splits.test.all().inputs)} samples read"


def damaged_tensor_files(folder: Path, chance: random.Random, *, flips: int, cuts: int) -> Silent:
    """Damage one of the files of a small folder in neuraloperator's form at a time."""
    write_darcy_files(folder)
    files = sorted(folder.glob("*.pt"))
    reference = _values(folder)

    def passed() -> str:
        values = _values(folder)
        same = all(torch.equal(a, b) for a, b in zip(values, reference, strict=True))
        return "" if same else "other values read"

    return damage(lambda: chance.choice(files), passed, chance, flips, cuts)


def damage(
    choose: Callable[[], Path], passed: Callable[[], str], chance: random.Random, flips: int, cuts: int
) -> Silent:
    """Try each kind of damage; `passed` reads everything and says what was wrong with being able to."""
    silent: Silent = {"flips": [], "truncations": []}
    for kind, number in (("flips", flips), ("truncations", cuts)):
        for _ in range(number):
            path = choose()
            sound = path.read_bytes()
            place = chance.randrange(len(sound) * 8 if kind == "flips" else len(sound))
            if kind == "flips":
                flip_bit(path, place)
            else:
                path.write_bytes(sound[:place])
            try:
                found = passed()
                silent[kind].append(found and f"{path.name} at {place}: {found}")
            except DataError as error:
                # Naming the file is part of the promise.
                silent[kind].append("" if path.name in str(error) else f"{path.name} at {place}: blamed {error}")
            finally:
                path.write_bytes(sound)
    return silent


def write_darcy_files(folder: Path, *, samples: int = 6) -> None:
    """Small files of neuraloperator's form: 4 x 4 to train on, tests at 4 x 4 and the same at 8 x 8."""
    chance = torch.Generator().manual_seed(0)
    for split, n, step in (("train", 4, 1), ("test", 8, 2)):
        x = torch.rand(samples, n, n, generator=chance) > 0.5
        y = torch.rand(samples, n, n, generator=chance)
        torch.save({"x": x, "y": y}, folder / f"darcy_{split}_{n}.pt")
        if step > 1:
            coarse = {"x": x[:, ::step, ::step].clone(), "y": y[:, ::step, ::step].clone()}
            torch.save(coarse, folder / f"darcy_{split}_{n // step}.pt")


def _values(folder: Path) -> list[torch.Tensor]:
    splits = open_dataset(folder, format="neuraloperator", train_resolution=4)
    parts = [splits.train, *(splits.at(n) for n in splits.resolutions)]
    return [values for part in parts for values in (part.all().inputs, part.all().targets)]
