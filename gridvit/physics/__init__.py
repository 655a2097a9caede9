"""Equations, schemes and solvers made of stencils; none of it knows of neural networks."""

from gridvit.physics.apply import apply
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
from gridvit.physics.initial import random_field
from gridvit.physics.schemes import SCHEMES, LinearScheme, linear_scheme
from gridvit.physics.solve import METHODS, SPLITTINGS, TABLEAUX, Solver, Tableau
from gridvit.physics.stability import stable_step

__all__ = [
    "EQUATIONS",
    "METHODS",
    "SCHEMES",
    "SPLITTINGS",
    "TABLEAUX",
    "Advection",
    "AdvectionDiffusion",
    "AllenCahn",
    "Burgers",
    "DamBreak",
    "Diffusion",
    "Equation",
    "FitzHughNagumo",
    "GrayScott",
    "KortewegDeVries",
    "KuramotoSivashinsky",
    "LinearEquation",
    "LinearScheme",
    "Operator",
    "Semilinear",
    "ShallowWater",
    "Solver",
    "Tableau",
    "Vorticity",
    "Wave",
    "apply",
    "equation_from",
    "linear_scheme",
    "random_field",
    "stable_step",
]
