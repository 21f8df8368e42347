"""viz: pictures of computation graphs (Graphviz) and of training (Matplotlib).

It draws what offers the graph protocol (see `viz.graphs`) or a history, whichever engine that came from.
"""

from viz.curves import learning_rate_curves, loss_curves
from viz.graphs import Edge, Graph, Node, graph, trace
from viz.planes import decision_boundary
from viz.rendering import render

__all__ = [
    "Edge",
    "Graph",
    "Node",
    "decision_boundary",
    "graph",
    "learning_rate_curves",
    "loss_curves",
    "render",
    "trace",
]
