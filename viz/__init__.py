"""viz: pictures of computation graphs (Graphviz) and of training (Matplotlib).

It draws what offers the graph protocol (see `viz.graphs`) or a history, whichever engine that came from.
"""

from viz.curves import (
    learning_rate_curves,
    loss_curves,
    range_test,
    schedule_curves,
    schedule_effects,
)
from viz.graphs import Edge, Graph, Node, graph, trace
from viz.maps import loss_map
from viz.planes import decision_boundary
from viz.rendering import render
from viz.spreads import learning_rate_spread
from viz.stability import edge_of_stability

__all__ = [
    "Edge",
    "Graph",
    "Node",
    "decision_boundary",
    "edge_of_stability",
    "graph",
    "learning_rate_curves",
    "learning_rate_spread",
    "loss_curves",
    "loss_map",
    "range_test",
    "render",
    "schedule_curves",
    "schedule_effects",
    "trace",
]
