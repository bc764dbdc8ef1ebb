"""opnet: learn solution operators and graph dynamics, and measure how far to trust them.

The rooms, lowest first: `core`, `spaces`, `linops`, `graphs`, `solvers`, `models` and `data`, `evaluation`, `training`,
`cli`. What people use most stands here.
"""

from opnet.core.errors import AccuracyWarning, DataError, RecipeError, SolveError, TrainingError
from opnet.core.status import Status
from opnet.data.batch import ArrayDataset, Batch, Dataset, as_batch
from opnet.data.dataset import DataSplits, open_dataset
from opnet.data.describe import describe
from opnet.data.formats.neuraloperator import NeuralOperatorFiles
from opnet.data.formats.planetoid import read_planetoid
from opnet.data.formats.the_well_write import write_the_well
from opnet.data.generate import generate
from opnet.data.graph_trajectories import graph_trajectories
from opnet.data.graphs_dataset import GraphsDataset
from opnet.data.import_dataset import import_dataset
from opnet.data.labelled_graph import LabelledGraph
from opnet.data.recipe import DataRecipe
from opnet.data.store import Store
from opnet.evaluation.adjoint_study import study_adjoint
from opnet.evaluation.convergence import ConvergenceStudy, measure_convergence
from opnet.evaluation.euler_gradients import study_dto_otd
from opnet.evaluation.evaluate import Row, evaluate
from opnet.evaluation.graphon_bound import a_priori_bound
from opnet.evaluation.graphon_study import UntrainedGNDE, study_graphon
from opnet.evaluation.metrics import MSE, AbsoluteL2, Criterion, Metric, RelativeH1, RelativeL2, RelativeLp
from opnet.evaluation.residual import PDEResidual
from opnet.evaluation.rollout import Rollout, evaluate_rollout
from opnet.evaluation.spectral_metrics import AMSE, SpectralBands
from opnet.evaluation.transfer import TransferStudy, measure_transfer
from opnet.graphs import graphons
from opnet.graphs.batch import batch_graphs
from opnet.graphs.convert import (
    graph_from_networkx,
    graph_from_pyg,
    graph_from_scipy,
    graph_to_networkx,
    graph_to_pyg,
    graph_to_scipy,
)
from opnet.graphs.graph import Graph
from opnet.graphs.graphon import Graphon
from opnet.graphs.sampling import sample_graph
from opnet.linops.base import LinearOperator
from opnet.linops.convolution import Convolution
from opnet.linops.dense import Dense
from opnet.linops.diagonal import Diagonal, Identity
from opnet.linops.diffusion import Diffusion
from opnet.linops.function import FunctionOperator
from opnet.linops.jacobian import Jacobian
from opnet.linops.low_rank import LowRank
from opnet.linops.sparse import CSR
from opnet.linops.spectral import Spectral
from opnet.linops.stencil import Stencil
from opnet.models.base import Model, build_model
from opnet.models.blocks.mlp import MLP
from opnet.models.deeponet import DeepONet
from opnet.models.deeponet_from_deepxde import deeponet_from_deepxde
from opnet.models.factorised_fno import FactorisedFNO
from opnet.models.fno import FNO
from opnet.models.gcn import GCN
from opnet.models.gno import GNO
from opnet.models.graph_diffusion import GraphDiffusion
from opnet.models.graph_kuramoto import GraphKuramoto
from opnet.models.graph_nde import GraphNDE
from opnet.models.graph_ode import GraphODE
from opnet.models.graph_reaction_diffusion import GraphReactionDiffusion
from opnet.models.graphon_nde import GraphonNDE
from opnet.models.lno import LNO
from opnet.models.mgno import MgNO
from opnet.models.mionet import MIONet
from opnet.models.multi_grid_patches import MultiGridPatches
from opnet.models.multionet import MultiONet
from opnet.models.multipole_gno import MultipoleGNO
from opnet.models.neuraloperator import from_neuraloperator
from opnet.models.neuraloperator_fno import NeuralOperatorFNO
from opnet.models.node_classifier import NodeClassifier
from opnet.models.normalised import Normalised
from opnet.models.pca_net import PCANet
from opnet.models.persistence import Persistence
from opnet.models.pod_deeponet import PODDeepONet
from opnet.models.reduced_basis import ReducedBasis
from opnet.models.resnet import ResNet
from opnet.models.symmetrised import Symmetrised
from opnet.models.tfno import TFNO
from opnet.models.training_mean import TrainingMean
from opnet.models.unet import UNet
from opnet.models.uno import UNO
from opnet.solvers.linear.bicgstab import BiCGStab
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.direct import DirectSolver
from opnet.solvers.linear.equilibrated import Equilibrated
from opnet.solvers.linear.flexible_cg import FlexibleCG
from opnet.solvers.linear.gmres import GMRES
from opnet.solvers.linear.learned import Learned
from opnet.solvers.linear.minres import MINRES
from opnet.solvers.linear.relaxation import Chebyshev, Jacobi
from opnet.solvers.linear.richardson import Richardson
from opnet.solvers.linear.solution import Solution
from opnet.solvers.linear.solve import solve_linear
from opnet.solvers.linear.surrogate import Surrogate
from opnet.solvers.multigrid.algebraic import AlgebraicMultigrid, RugeStuben, SmoothedAggregation
from opnet.solvers.multigrid.multigrid import Multigrid
from opnet.solvers.multigrid.smoothers import GaussSeidel, Lines
from opnet.solvers.nonlinear.anderson import Anderson
from opnet.solvers.nonlinear.broyden import Broyden
from opnet.solvers.nonlinear.newton_krylov import EisenstatWalker, NewtonKrylov
from opnet.solvers.nonlinear.picard import Picard
from opnet.solvers.nonlinear.solution import NonlinearSolution
from opnet.solvers.nonlinear.solve import fixed_point, solve_nonlinear
from opnet.solvers.ode.adjoint import Direct
from opnet.solvers.ode.adjoints.backsolve import Backsolve
from opnet.solvers.ode.adjoints.checkpointed import Checkpointed
from opnet.solvers.ode.adjoints.interpolated import Interpolated
from opnet.solvers.ode.brownian import BrownianPath
from opnet.solvers.ode.control import PID
from opnet.solvers.ode.estimates import Estimates
from opnet.solvers.ode.events import Event, Occurrences
from opnet.solvers.ode.fields import SDE, Field, Semilinear, Separable, Split
from opnet.solvers.ode.methods.dop853 import DOP853
from opnet.solvers.ode.methods.esdirk import KenCarp4, Kvaerno3, Kvaerno5
from opnet.solvers.ode.methods.explicit import BS3, RK4, Dopri5, Euler, Heun, Midpoint, Tsit5
from opnet.solvers.ode.methods.exponential import ETDRK4
from opnet.solvers.ode.methods.imex import ARK3, ARK4
from opnet.solvers.ode.methods.rosenbrock import Rodas4, Rodas5P
from opnet.solvers.ode.methods.stochastic import SRIW1, EulerMaruyama, Milstein
from opnet.solvers.ode.methods.symplectic import KahanLi6, Leapfrog, Yoshida4
from opnet.solvers.ode.methods.torchdiffeq import TorchDiffEq
from opnet.solvers.ode.solution import ODESolution
from opnet.solvers.ode.solve import solve_ode
from opnet.solvers.pde.advection import Advection
from opnet.solvers.pde.allen_cahn import AllenCahn
from opnet.solvers.pde.antiderivative import Antiderivative
from opnet.solvers.pde.burgers import Burgers
from opnet.solvers.pde.compressible_1d import Compressible1D
from opnet.solvers.pde.compressible_2d import Compressible2D
from opnet.solvers.pde.darcy import Darcy
from opnet.solvers.pde.darcy_fno_published import DarcyFNOPublished
from opnet.solvers.pde.darcy_lognormal import DarcyLognormal
from opnet.solvers.pde.darcy_multiscale import DarcyMultiscale
from opnet.solvers.pde.diffusion_sorption import DiffusionSorption
from opnet.solvers.pde.fisher_kpp import FisherKPP
from opnet.solvers.pde.fitzhugh_nagumo import FitzHughNagumo
from opnet.solvers.pde.forced_reaction_diffusion import ForcedReactionDiffusion
from opnet.solvers.pde.gray_scott import GrayScott
from opnet.solvers.pde.heat import Heat
from opnet.solvers.pde.helmholtz import Helmholtz
from opnet.solvers.pde.kolmogorov import KolmogorovFlow
from opnet.solvers.pde.korteweg_de_vries import KortewegDeVries
from opnet.solvers.pde.kuramoto import Kuramoto
from opnet.solvers.pde.kuramoto_sivashinsky import KuramotoSivashinsky
from opnet.solvers.pde.lorenz96 import Lorenz96
from opnet.solvers.pde.lorenz96_two_scale import Lorenz96TwoScale
from opnet.solvers.pde.navier_stokes import NavierStokes
from opnet.solvers.pde.pendulum import Pendulum
from opnet.solvers.pde.poisson import Poisson
from opnet.solvers.pde.reaction_diffusion import ReactionDiffusion
from opnet.solvers.pde.riccati import Riccati
from opnet.solvers.pde.shallow_water import ShallowWater
from opnet.solvers.pde.shock_tube import ShockTube
from opnet.solvers.pde.sir import SIR
from opnet.solvers.pde.swift_hohenberg import SwiftHohenberg
from opnet.solvers.pde.wave import Wave
from opnet.spaces.fields.base import RandomField
from opnet.spaces.fields.bumps import Bumps
from opnet.spaces.fields.fourier import FourierField
from opnet.spaces.fields.gaussian import GaussianField
from opnet.spaces.fields.level_set import LevelSet
from opnet.spaces.fields.node_noise import NodeNoise
from opnet.spaces.fields.pdebench_waves import PDEBenchWaves
from opnet.spaces.fields.rbf import RBFField
from opnet.spaces.fields.sine_waves import SineWaves
from opnet.spaces.fields.unit_range import UnitRange
from opnet.spaces.grid import Grid
from opnet.spaces.pod import PODBasis, pod
from opnet.spaces.points import Points
from opnet.spaces.statistics import ChannelStatistics
from opnet.training.config import FitConfig
from opnet.training.fit import Run, fit
from opnet.training.model_file import load_model, save_model
from opnet.training.node_classification import NodeFitConfig, NodeRun, fit_nodes
from opnet.training.protocol import RolloutTraining

__version__ = "0.1.0"
