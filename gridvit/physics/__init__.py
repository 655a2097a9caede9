"""Equations, schemes and solvers made of stencils; none of it knows of neural networks."""

from gridvit.physics.apply import apply
from gridvit.physics.autoregression import Autoregression
from gridvit.physics.coarse import Coarse
from gridvit.physics.constant import Operator
from gridvit.physics.equations import (
    EQUATIONS,
    Advection,
    AdvectionDiffusion,
    AllenCahn,
    Burgers,
    DamBreak,
    Diffusion,
    Equation,
    FitzHughNagumo,
    GrayScott,
    KortewegDeVries,
    KuramotoSivashinsky,
    LinearEquation,
    Semilinear,
    ShallowWater,
    Vorticity,
    Wave,
    equation_from,
)
from gridvit.physics.forced import Forced, ForcedBurgers
from gridvit.physics.good import Good, good_of
from gridvit.physics.harmonics import Harmonics
from gridvit.physics.initial import random_field, random_states
from gridvit.physics.planted import Climate, Link, Planted, Region
from gridvit.physics.planted_truth import PlantedTruth
from gridvit.physics.schemes import SCHEMES, LinearScheme, linear_scheme
from gridvit.physics.solve import METHODS, SPLITTINGS, TABLEAUX, Solver, Tableau
from gridvit.physics.sphere import HarmonicStep, SphereAdvection, SphereDiffusion, Spherical
from gridvit.physics.sphere_flow import BarotropicVorticity, SphereShallowWater
from gridvit.physics.sphere_noise import SphereNoise
from gridvit.physics.stability import damping_cells, diverges, largest_step, stable_step

__all__ = [
    "EQUATIONS",
    "METHODS",
    "SCHEMES",
    "SPLITTINGS",
    "TABLEAUX",
    "Advection",
    "AdvectionDiffusion",
    "AllenCahn",
    "Autoregression",
    "BarotropicVorticity",
    "Burgers",
    "Climate",
    "Coarse",
    "DamBreak",
    "Diffusion",
    "Equation",
    "FitzHughNagumo",
    "Forced",
    "ForcedBurgers",
    "Good",
    "GrayScott",
    "HarmonicStep",
    "Harmonics",
    "KortewegDeVries",
    "KuramotoSivashinsky",
    "LinearEquation",
    "LinearScheme",
    "Link",
    "Operator",
    "Planted",
    "PlantedTruth",
    "Region",
    "Semilinear",
    "ShallowWater",
    "Solver",
    "SphereAdvection",
    "SphereDiffusion",
    "SphereNoise",
    "SphereShallowWater",
    "Spherical",
    "Tableau",
    "Vorticity",
    "Wave",
    "apply",
    "damping_cells",
    "diverges",
    "equation_from",
    "good_of",
    "largest_step",
    "linear_scheme",
    "random_field",
    "random_states",
    "stable_step",
]
