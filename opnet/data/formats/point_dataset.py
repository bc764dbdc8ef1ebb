"""`PointDataset`: functions known at sensors, and what an operator makes of each at one place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from opnet.data.batch import Batch, Dataset, positions
from opnet.spaces.grid import Grid


class PointDataset(Dataset):
    """Samples (u, y, G(u)(y)), the unaligned data of DeepONets.

    A batch has inputs (batch, 1, sensor), targets (batch, 1, 1) and the coordinates of y as parameters `y0`, `y1`, ...
    Aligned data, in which every function has the same places, are unrolled: place j of function i is sample i p + j.

    Args:
        functions: values at the sensors; (function, sensor).
        places: where G(u) is known, one a function, (function, coordinate), or the same for all, (place, coordinate).
        values: G(u) there; (function, 1) or (function, place).
        sensors: the grid of the sensors.

    Raises:
        ValueError: for other shapes.

    >>> data = PointDataset(torch.ones(2, 3), torch.zeros(4, 1), torch.arange(8.0).reshape(2, 4), Grid((3,)))
    >>> batch = data.batch([5])
    >>> batch.inputs.shape, float(batch.targets), float(batch.parameters["y0"])
    (torch.Size([1, 1, 3]), 5.0, 0.0)
    """

    def __init__(self, functions: Tensor, places: Tensor, values: Tensor, sensors: Grid) -> None:
        count = len(functions)
        aligned = values.ndim == 2 and values.shape[1] != 1
        expected = (count, len(places)) if aligned else (len(places), 1)
        fits = functions.ndim == places.ndim == values.ndim == 2 and tuple(values.shape) == expected
        if not fits or tuple(functions.shape) != (count, *sensors.shape) or len(values) != count:
            raise ValueError(
                f"PointDataset: expected functions (n, {sensors.shape[0]}), places (p, d) and values (n, p), or places "
                f"(n, d) and values (n, 1), found shapes {tuple(functions.shape)}, {tuple(places.shape)} and "
                f"{tuple(values.shape)}"
            )
        self.functions, self.places, self.values, self.domain = functions, places, values, sensors
        self.aligned = aligned

    def __len__(self) -> int:
        return self.values.numel()

    def batch(self, indices: Sequence[int] | Tensor | np.ndarray) -> Batch:
        index = torch.from_numpy(positions(indices, len(self)))
        function, column = index // self.values.shape[1], index % self.values.shape[1]
        place = self.places[column if self.aligned else function]
        return Batch(
            self.functions[function].unsqueeze(1),
            self.values[function, column].reshape(-1, 1, 1),
            self.domain,
            index=index,
            parameters={f"y{i}": place[:, i] for i in range(place.shape[1])},
        )
