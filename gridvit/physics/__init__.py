"""Equations, schemes and solvers made of stencils; none of it knows of neural networks."""

from gridvit.physics.apply import apply
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
from gridvit.physics.schemes import SCHEMES, LinearScheme, linear_scheme
from gridvit.physics.solve import METHODS, SPLITTINGS, TABLEAUX, Solver, Tableau
from gridvit.physics.sphere import HarmonicStep, SphereAdvection, SphereDiffusion, Spherical
from gridvit.physics.sphere_flow import BarotropicVorticity, SphereShallowWater
from gridvit.physics.stability import damping_cells, diverges, stable_step

__all__ = [
    "EQUATIONS",
    "METHODS",
    "SCHEMES",
    "SPLITTINGS",
    "TABLEAUX",
    "Advection",
    "AdvectionDiffusion",
    "AllenCahn",
    "BarotropicVorticity",
    "Burgers",
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
    "Operator",
    "Semilinear",
    "ShallowWater",
    "Solver",
    "SphereAdvection",
    "SphereDiffusion",
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
    "linear_scheme",
    "random_field",
    "random_states",
    "stable_step",
]
