"""A trained step read as a numerical scheme: its stencil, its symbol, its attention, and what it is worth.

Nothing here knows the network. It sees Steps, arrays of attention weights, and Grids.
"""

from gridvit.analysis.attention import (
    attention_distance,
    attention_rollout,
    attention_split,
    attention_stencil,
    radial_lift,
    zonal_stencil,
)
from gridvit.analysis.attribution import Readout, WithAttention, region_weights
from gridvit.analysis.bloch import bloch, phase_average
from gridvit.analysis.compare import compare
from gridvit.analysis.defects import stencil_defects, step_defects
from gridvit.analysis.dependence import local_regression, state_share, upwind_index
from gridvit.analysis.faithfulness import (
    Masking,
    ablation_losses,
    descending,
    map_similarity,
    masking_table,
    matched,
    randomisation,
)
from gridvit.analysis.frozen import MeanStencil, RadialMean
from gridvit.analysis.hypotheses import Hypothesis, check_hypotheses, propose
from gridvit.analysis.looking import attention_by_blocks
from gridvit.analysis.map_scores import auroc, average_precision, planted_scores
from gridvit.analysis.modes import cca, eof, eof_regression, mca
from gridvit.analysis.modified import across_runs, interval, modified_equation
from gridvit.analysis.nearness import best_linear, nearest, nearest_theta_scheme
from gridvit.analysis.onestep import one_step_error
from gridvit.analysis.probe import patch_cells, probe
from gridvit.analysis.reach import attention_reach, outside_dependence
from gridvit.analysis.relevance import (
    gradient_relevance,
    gradient_rows,
    head_means,
    map_reach,
    rollout_rows,
    token_regions,
)
from gridvit.analysis.routing import frozen_probe, routing_share
from gridvit.analysis.signed import signed_stencil
from gridvit.analysis.significance import (
    effective_size,
    effective_size_ar1,
    false_discovery,
    phase_surrogates,
    surrogate_p,
)
from gridvit.analysis.symbol import energy_modes, fit_advection_diffusion, mode_energy, symbol_table
from gridvit.analysis.teleconnection import anomalies, partial_correlation, region_mean, teleconnections
from gridvit.analysis.waves import wave_errors
from gridvit.analysis.zonal import sphere_rows

__all__ = [
    "Hypothesis",
    "Masking",
    "MeanStencil",
    "RadialMean",
    "Readout",
    "WithAttention",
    "ablation_losses",
    "across_runs",
    "anomalies",
    "attention_by_blocks",
    "attention_distance",
    "attention_reach",
    "attention_rollout",
    "attention_split",
    "attention_stencil",
    "auroc",
    "average_precision",
    "best_linear",
    "bloch",
    "cca",
    "check_hypotheses",
    "compare",
    "descending",
    "effective_size",
    "effective_size_ar1",
    "energy_modes",
    "eof",
    "eof_regression",
    "false_discovery",
    "fit_advection_diffusion",
    "frozen_probe",
    "gradient_relevance",
    "gradient_rows",
    "head_means",
    "interval",
    "local_regression",
    "map_reach",
    "map_similarity",
    "masking_table",
    "matched",
    "mca",
    "mode_energy",
    "modified_equation",
    "nearest",
    "nearest_theta_scheme",
    "one_step_error",
    "outside_dependence",
    "partial_correlation",
    "patch_cells",
    "phase_average",
    "phase_surrogates",
    "planted_scores",
    "probe",
    "propose",
    "radial_lift",
    "randomisation",
    "region_mean",
    "region_weights",
    "rollout_rows",
    "routing_share",
    "signed_stencil",
    "sphere_rows",
    "state_share",
    "stencil_defects",
    "step_defects",
    "surrogate_p",
    "symbol_table",
    "teleconnections",
    "token_regions",
    "upwind_index",
    "wave_errors",
    "zonal_stencil",
]
