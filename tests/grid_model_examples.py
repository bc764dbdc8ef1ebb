"""Small architectures of every operator model on grids, for the laws that all obey."""

from opnet.spaces.grid import Grid

FNO = {"class": "FNO", "in_channels": 1, "out_channels": 2, "modes": [4, 4], "width": 6, "layers": 2}
KERNEL = {"in_channels": 1, "out_channels": 2, "width": 3, "layers": 1, "hidden": [4]}
SENSORS = {"in_channels": 1, "out_channels": 2, "sensors": [5, 4]}
DEEPONET = {"class": "DeepONet", **SENSORS, "branch": [6, 4], "trunk": [6, 4]}
MGNO = {"class": "MgNO", "in_channels": 1, "out_channels": 2, "width": 6, "layers": 2, "levels": 3}
NARROW = {**FNO, "width": 4}
NEURALOPERATOR = {**{k: v for k, v in FNO.items() if k != "modes"}, "class": "NeuralOperatorFNO", "n_modes": [6, 6]}
STATISTICS = {"inputs": {"shift": [1.0], "scale": [2.0]}, "targets": {"shift": [0.5, 0.0], "scale": [3.0, 1.0]}}
MEAN = {"class": "TrainingMean", "in_channels": 1, "out_channels": 2, "grid": Grid((4, 5)).describe()}
PCA = {"class": "PCANet", "in_channels": 1, "out_channels": 2, "input_rank": 3, "output_rank": 2, "hidden": [4]}
# From one input channel to two outputs (or the one they have) on squares; several where options matter, of which the
# default tests run the first.
EXAMPLES = {
    "DeepONet": [
        DEEPONET,
        {**DEEPONET, "outputs": "split_branch", "stacked": True, "sensor_nodes": ["vertex", "cell"]},
        {**DEEPONET, "outputs": "split_trunk", "fourier_features": 2, "activation": "tanh"},
        {**DEEPONET, "outputs": "independent", "zero_boundary": True},
    ],
    "MIONet": [{**DEEPONET, "class": "MIONet", "functions": [1]}],
    "MultiONet": [{"class": "MultiONet", **SENSORS, "widths": [6, 8, 4]}],
    "PODDeepONet": [{"class": "PODDeepONet", **SENSORS, "rank": 3, "branch": [6], "grid": Grid((4, 5)).describe()}],
    "FNO": [
        FNO,
        {**FNO, "padding": 0.5},
        {**FNO, "basis": "cosine"},
        {**FNO, "basis": "sine"},
        {**FNO, "basis": "cosine", "symmetric": True, "zero_boundary": True},
    ],
    "GNO": [{"class": "GNO", **KERNEL, "radius": 0.04, "terms": 2}],
    "LNO": [
        {"class": "LNO", **KERNEL, "rank": 2, "layers": 2},
        {"class": "LNO", **KERNEL, "rank": 2, "sees_input": True},
    ],
    "MultipoleGNO": [
        {"class": "MultipoleGNO", **KERNEL, "radius": 0.03, "levels": 3, "kernel": "diagonal", "sees_input": True}
    ],
    "FactorisedFNO": [
        {**NARROW, "class": "FactorisedFNO", "padding": 0.5},
        {**NARROW, "class": "FactorisedFNO", "basis": "cosine", "shared": True},
    ],
    "MgNO": [
        MGNO,
        {**MGNO, "iterations": [[1, 1], [1, 1], [2, 0]], "padding": "reflect", "skip_finest": 0.5},
        {**MGNO, "form": "published"},
    ],
    "MultiGridPatches": [
        {"class": "MultiGridPatches", "model": {**NARROW, "modes": [3, 3], "in_channels": 6}, "patches": [2, 1]},
        {
            "class": "MultiGridPatches",
            "model": {**NARROW, "modes": [3, 3], "in_channels": 3},
            "levels": 2,
            "positions": False,
        },
    ],
    "NeuralOperatorFNO": [
        {**NEURALOPERATOR, "padding": 0.25, "factorisation": "tucker", "rank": 0.3},
        {**NEURALOPERATOR, "n_modes": [7, 7], "skip": "identity", "mlp_width": 0, "positions": False},
    ],
    "Normalised": [{"class": "Normalised", "model": FNO, **STATISTICS}],
    "TFNO": [
        {**NARROW, "class": "TFNO", "factorisation": "tucker", "rank": 0.3, "joint": True},
        {**NARROW, "class": "TFNO", "factorisation": "cp", "rank": 3, "basis": "cosine"},
        {**NARROW, "class": "TFNO", "factorisation": "tt", "rank": [2, 3, 2]},
    ],
    "UNO": [
        {**{k: v for k, v in NARROW.items() if k != "layers"}, "class": "UNO", "levels": 1, "padding": 0.5},
        {**{k: v for k, v in NARROW.items() if k != "layers"}, "class": "UNO", "levels": 2, "basis": "cosine"},
    ],
    "Symmetrised": [{"class": "Symmetrised", "model": {**FNO, "padding": 1.0}}],
    "PCANet": [{**PCA, "grid": Grid((5, 4), nodes="cell").describe()}],
    "TrainingMean": [MEAN],
    "Persistence": [{"class": "Persistence", "in_channels": 1, "out_channels": 2}],
    "ReducedBasis": [
        {"class": "ReducedBasis", "rank": 3, "log_scale": 0.5, "grid": Grid((6, 5), nodes=nodes).describe()}
        for nodes in ("cell", "left")
    ],
    "UNet": [{"class": "UNet", "in_channels": 1, "out_channels": 2, "width": 4, "levels": 2}],
    "ResNet": [
        {"class": "ResNet", "in_channels": 1, "out_channels": 2, "width": 4, "blocks": 2, "dilations": [1]},
        {"class": "ResNet", "in_channels": 1, "out_channels": 2, "width": 4, "blocks": 1, "dilations": [1, 4]},
    ],
}

# Arguments that tell one example of a class from another.
SHOWN = {
    "basis",
    "padding",
    "symmetric",
    "dilations",
    "kernel",
    "sees_input",
    "factorisation",
    "levels",
    "outputs",
    "form",
}
