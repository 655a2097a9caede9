"""Equations, schemes and solvers made of stencils; none of it knows of neural networks."""

from gridvit.physics.apply import apply
from gridvit.physics.equations import (
    EQUATIONS,
    Advection,
    AdvectionDiffusion,
    Burgers,
    Diffusion,
    Equation,
    LinearEquation,
    equation_from,
)
from gridvit.physics.initial import random_field
from gridvit.physics.schemes import SCHEMES, LinearScheme, linear_scheme
from gridvit.physics.solve import TABLEAUX, Solver, Tableau
from gridvit.physics.stability import stable_step

__all__ = [
    "EQUATIONS",
    "SCHEMES",
    "TABLEAUX",
    "Advection",
    "AdvectionDiffusion",
    "Burgers",
    "Diffusion",
    "Equation",
    "LinearEquation",
    "LinearScheme",
    "Solver",
    "Tableau",
    "apply",
    "equation_from",
    "linear_scheme",
    "random_field",
    "stable_step",
]
