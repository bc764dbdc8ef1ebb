"""`DataRecipe`: everything that determines the samples of a store, and the digest of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from opnet.core.expect import expect, integer, integers
from opnet.data.manifest import VERSION, Manifest, digest_of, plain, software_versions
from opnet.solvers.pde.problem import Problem

# Test samples are drawn from streams no training set reaches, the same at every resolution.
TEST_OFFSET = 2**32
DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class ShardPlan:
    """The samples `start` to `stop` of a split at a resolution, made together and written to one file."""

    split: str
    resolution: int
    start: int
    stop: int
    file: str

    @property
    def indices(self) -> range:
        """The streams the samples are drawn from."""
        offset = TEST_OFFSET if self.split == "test" else 0
        return range(offset + self.start, offset + self.stop)

    def beginning_at(self, start: int) -> ShardPlan:
        """The rest of it, for a store that has the samples before."""
        return replace(self, start=start, file=shard_file(self.split, self.resolution, start))


def shard_file(split: str, resolution: int, start: int) -> str:
    """Where a store keeps the samples from `start` on."""
    return f"shards/{split}-{resolution}-{start:05d}.h5"


@dataclass(frozen=True, kw_only=True)
class DataRecipe:
    """What a store is to hold.

    Args:
        problem: the equation with its distribution of inputs.
        n_train, n_test: samples of each split. Test samples come from streams of their own.
        train_resolution: resolution of the training samples.
        test_resolutions: resolutions at which the same test samples are solved; `train_resolution` always is one.
        seed: samples are drawn from the streams of (seed, index).
        dtype: "float32" or "float64", in which the float64 solutions are stored.
        error_share: share of the samples whose discretisation error is estimated, spread evenly; NaN for the rest.
        shard_size: samples solved together and written to one file.
        name, licence: as the store states them; no part of the digest.

    Raises:
        ValueError: naming the field, what was expected and what was found.
    """

    problem: Problem
    n_train: int
    n_test: int
    train_resolution: int
    test_resolutions: tuple[int, ...] = ()
    seed: int = 0
    dtype: str = "float32"
    error_share: float = 1.0
    shard_size: int = 32
    name: str = "unnamed"
    licence: str = "MIT"

    def __post_init__(self) -> None:
        expect("DataRecipe.problem", self.problem, Problem, "a problem such as Darcy()")
        trained = integer("DataRecipe.train_resolution", self.train_resolution)
        tested = integers("DataRecipe.test_resolutions", self.test_resolutions, "integers such as (32, 64)")
        for field, least in (("n_train", 1), ("n_test", 1), ("seed", 0), ("shard_size", 1)):
            value = getattr(self, field)
            if not isinstance(value, int) or not least <= value < TEST_OFFSET:
                raise ValueError(f"DataRecipe.{field}: expected an integer from {least} to 2^32 - 1, found {value!r}")
        if self.dtype not in DTYPES:
            raise ValueError(f"DataRecipe.dtype: expected one of {', '.join(DTYPES)}, found {self.dtype!r}")
        if not 0 <= self.error_share <= 1:
            raise ValueError(f"DataRecipe.error_share: expected a share from 0 to 1, found {self.error_share}")
        resolutions = sorted({trained, *tested})
        for resolution in resolutions:
            self.problem.grid(resolution)
        _ = self.problem.trajectory_times  # checks them
        object.__setattr__(self, "train_resolution", trained)
        object.__setattr__(self, "test_resolutions", tuple(resolutions))
        object.__setattr__(self, "error_share", float(self.error_share))
        plain(self.problem, ("DataRecipe.problem",))

    @property
    def description(self) -> dict[str, Any]:
        """Everything that determines the samples, as plain data."""
        fields = ("n_train", "n_test", "train_resolution", "seed", "dtype", "error_share", "shard_size")
        return {
            "problem": plain(self.problem),
            "test_resolutions": list(self.test_resolutions),
            **{field: getattr(self, field) for field in fields},
        }

    @property
    def digest(self) -> str:
        """SHA-256 of the description and the store's format version."""
        return digest_of({"store_version": VERSION, **self.description})

    @property
    def shards(self) -> list[ShardPlan]:
        """The files of a finished store, in their order. Cut by recipe alone, never by worker."""
        plans = []
        for split, resolution, samples in self.splits:
            for start in range(0, samples, self.shard_size):
                stop = min(start + self.shard_size, samples)
                plans.append(ShardPlan(split, resolution, start, stop, shard_file(split, resolution, start)))
        return plans

    def estimates_error(self, position: int) -> bool:
        """Whether the sample at this position of its split gets an error estimate."""
        return ceil((position + 1) * self.error_share) > ceil(position * self.error_share)

    def new_manifest(self, device: str = "cpu") -> Manifest:
        """The manifest of the store before its first shard, to be made on a kind of device."""
        problem = self.problem
        return Manifest(
            name=self.name,
            licence=self.licence,
            recipe=self.description,
            recipe_digest=self.digest,
            equation=problem.equation,
            input_names=list(problem.input_names),
            target_names=list(problem.target_names),
            units=dict(problem.units),
            solver=problem.solver,
            error_method=problem.error_method,
            diagnostics=dict(problem.diagnostics),
            times=[float(time) for time in problem.trajectory_times],
            seed=self.seed,
            software=software_versions(),
            device=device,
            grids={str(n): problem.grid(n).describe() for n in self.test_resolutions},
            splits=[list(split) for split in self.splits],
            shards=[],
        )

    @property
    def splits(self) -> list[tuple[str, int, int]]:
        """Samples of every split at every resolution, as (split, resolution, samples)."""
        tests = [("test", resolution, self.n_test) for resolution in self.test_resolutions]
        return [("train", self.train_resolution, self.n_train), *tests]
