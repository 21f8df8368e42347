"""Training in words: the loop as a cycle, and its concepts as a map. They need no graph, only Graphviz."""

from __future__ import annotations

from viz.graphs import COLOURS, Graph, drawing, escape

#: The steps of the loop: how they are coloured, what they are called, what they do, their code, what they hand on.
STEPS = (
    ("layer", "1  Forward", "The network predicts.", "prediction = model(x)", "prediction"),
    ("result", "2  Loss", "How wrong is the prediction?", "loss = loss_function(prediction, y)", "loss, a number"),
    (
        "result",
        "3  Backward",
        "How does it change with each weight?",
        "optimizer.zero_grad(); loss.backward()",
        "gradients",
    ),
    ("layer", "4  Update", "Each weight takes a step downhill.", "optimizer.step()", "new weights"),
)

#: The map: subject, verb, object. Each reads as a sentence, and is one.
SENTENCES = (
    ("convergence", "is a standstill of", "loss"),
    ("convergence", "ends", "training loop"),
    ("training loop", "repeats", "update"),
    ("learning rate", "scales", "update"),
    ("backpropagation", "computes", "gradient"),
    ("update", "steps against", "gradient"),
    ("update", "changes", "weights"),
    ("network structure", "arranges", "weights"),
    ("gradient", "is the slope of", "loss"),
    ("loss", "measures the error of", "predictions"),
    ("weights", "determine", "predictions"),
    ("predictions", "are computed from", "training data"),
    ("training loop", "runs epoch after", "epoch"),
    ("epoch", "is one pass over", "training data"),
    ("epoch", "uses batch after", "batch"),
    ("batch", "is a part of", "training data"),
)
#: The concepts that the others are there for.
MAIN = ("network structure", "weights", "training loop", "learning rate", "epoch")


def training_loop() -> Graph:
    """The training loop as a cycle: forward, loss, backward, update, each with its line of code, until convergence."""
    drawn = drawing((), (), "TB")
    drawn.attr(nodesep="1.1", ranksep="0.9", splines="line")
    drawn.attr("edge", color="#374151", fontcolor="#374151", fontsize="12", arrowsize="0.9", penwidth="1.6")
    names = ["forward", "loss", "backward", "update"]
    for name, (kind, title, words, code, _) in zip(names, STEPS, strict=True):
        drawn.node(name, label=_step(kind, title, words, code), group="left" if kind == "layer" else "right")
    drawn.node("start", label=_pill("random weights"))
    drawn.node("end", label=_pill("trained network"))
    for row in ("start", "forward", "loss"), ("end", "update", "backward"):
        drawn.body.append("\t{ rank=same; " + "; ".join(row) + " }\n")
    one, two, three, four = (_said(said) for *_, said in STEPS)
    drawn.edge("start", "forward")
    drawn.edge("forward", "loss", label=one)
    drawn.edge("loss", "backward", label=two)
    drawn.edge("update", "backward", label=three, dir="back")
    drawn.edge("forward", "update", label=f"{four}\\l  until converged  \\l", dir="back")
    drawn.edge("end", "update", label="converged", dir="back")
    return drawn


def concept_map() -> Graph:
    """The concepts of training and how they hang together; each arrow reads as a sentence, from tail to head."""
    drawn = drawing((), (), "TB")
    drawn.attr(nodesep="0.5", ranksep="0.65")
    drawn.attr("node", shape="box", style="rounded,filled", margin="0.18,0.08", fontsize="13", penwidth="1.2")
    drawn.attr("edge", color="#6b7280", fontcolor="#374151", fontsize="11", arrowsize="0.8")
    for concept in dict.fromkeys(word for subject, _, other in SENTENCES for word in (subject, other)):
        fill, border = COLOURS["layer" if concept in MAIN else "inner"]
        label = f"<<B>{concept}</B>>" if concept in MAIN else concept
        drawn.node(concept, label=label, fillcolor=fill, color=border)
    for subject, verb, other in SENTENCES:
        drawn.edge(subject, other, label=f" {verb} ")
    return drawn


def _step(kind: str, title: str, words: str, code: str) -> str:
    fill, border = COLOURS[kind]
    return (
        f'<<TABLE BORDER="2" CELLBORDER="0" CELLSPACING="0" CELLPADDING="6" STYLE="ROUNDED" COLOR="{border}" '
        f'BGCOLOR="{fill}"><TR><TD ALIGN="LEFT"><FONT POINT-SIZE="16"><B>{title}</B></FONT></TD></TR>'
        f'<TR><TD ALIGN="LEFT">{words}</TD></TR><TR><TD ALIGN="LEFT" BGCOLOR="#ffffff"><FONT FACE="Courier,monospace">'
        f"{escape(code)}</FONT></TD></TR></TABLE>>"
    )


def _pill(words: str) -> str:
    fill, border = COLOURS["input"]
    return (
        f'<<TABLE BORDER="1" CELLBORDER="0" CELLPADDING="8" STYLE="ROUNDED" COLOR="{border}" BGCOLOR="{fill}">'
        f"<TR><TD>{words}</TD></TR></TABLE>>"
    )


def _said(words: str) -> str:
    return f"  {words}  "
