"""opnet: learn solution operators and graph dynamics, and measure how far to trust them.

The rooms, lowest first: `core`, `spaces`, `linops`, `graphs`, `solvers`, `models` and `data`, `evaluation`, `training`,
`cli`. What people use most stands here.
"""

from opnet.core.errors import DataError, RecipeError, SolveError, TrainingError
from opnet.core.status import Status
from opnet.data.batch import ArrayDataset, Batch, Dataset
from opnet.data.dataset import DataSplits, open_dataset
from opnet.data.generate import generate
from opnet.data.recipe import DataRecipe
from opnet.data.store import Store
from opnet.evaluation.evaluate import evaluate
from opnet.evaluation.metrics import MSE, AbsoluteL2, RelativeH1, RelativeL2
from opnet.graphs.graph import Graph
from opnet.linops.base import LinearOperator
from opnet.linops.dense import Dense
from opnet.linops.sparse import CSR
from opnet.linops.stencil import Diffusion
from opnet.models.base import build_model
from opnet.models.fno import FNO
from opnet.models.normalised import Normalised
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.solve import solve_linear
from opnet.solvers.multigrid.multigrid import Multigrid
from opnet.solvers.pde.darcy import Darcy
from opnet.spaces.grid import Grid
from opnet.training.config import FitConfig
from opnet.training.fit import fit
from opnet.training.model_file import load_model, save_model

__version__ = "0.1.0"
