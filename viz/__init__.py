"""viz: pictures of computation graphs (Graphviz) and of training (Matplotlib).

It draws what offers the graph protocol (see `viz.tracing`) or a history, whichever engine that came from.
"""

from viz.concepts import concept_map, training_loop
from viz.graph_page import graph_page
from viz.graphs import Graph, graph, side_by_side
from viz.player.steps import Steps, steps
from viz.plots.boundaries import boundary_frames, boundary_gif, decision_boundary
from viz.plots.curves import (
    learning_rate_curves,
    loss_curves,
    range_test,
    schedule_curves,
    schedule_effects,
)
from viz.plots.evaluation import confusion_matrix, early_stopping_curve
from viz.plots.layers import layer_histograms, layer_quantiles, update_ratios
from viz.plots.maps import loss_map, trainability_map
from viz.plots.planes import descent_paths, loss_contour, loss_surface
from viz.plots.rooflines import roofline
from viz.plots.spreads import learning_rate_spread
from viz.plots.stability import edge_of_stability
from viz.rendering import render
from viz.tracing import Edge, Node, trace

__all__ = [
    "Edge",
    "Graph",
    "Node",
    "Steps",
    "boundary_frames",
    "boundary_gif",
    "concept_map",
    "confusion_matrix",
    "decision_boundary",
    "descent_paths",
    "early_stopping_curve",
    "edge_of_stability",
    "graph",
    "graph_page",
    "layer_histograms",
    "layer_quantiles",
    "learning_rate_curves",
    "learning_rate_spread",
    "loss_contour",
    "loss_curves",
    "loss_map",
    "loss_surface",
    "range_test",
    "render",
    "roofline",
    "schedule_curves",
    "schedule_effects",
    "side_by_side",
    "steps",
    "trace",
    "trainability_map",
    "training_loop",
    "update_ratios",
]
