"""What to say where somebody asks for a name of PyTorch that is called something else here, or is not needed."""

from __future__ import annotations

from typing import Any

_NO_WRAPPER = "a tensor with requires_grad=True, set as an attribute, is a parameter"

#: Names that `torch.nn` and `torch.optim` have.
NN: dict[str, str] = {
    **dict.fromkeys(
        ("functional", "F"), "use the tensors' methods, as in x.relu(), the losses of nn, or engine.functional"
    ),
    "CrossEntropyLoss": "use the function nn.cross_entropy",
    "NLLLoss": "use the function nn.nll_loss",
    "MSELoss": "use the function nn.mse_loss",
    "L1Loss": "use the function nn.l1_loss",
    "HuberLoss": "use the function nn.huber_loss",
    "SmoothL1Loss": "use the function nn.huber_loss, which is the same for beta=1",
    "BCELoss": "use the function nn.binary_cross_entropy",
    "BCEWithLogitsLoss": "use the function nn.binary_cross_entropy_with_logits",
    "HingeEmbeddingLoss": "use the function nn.hinge_loss",
    **{name: f"use x.{name}()" for name in ("relu", "tanh", "sigmoid", "softmax", "log_softmax", "gelu", "silu")},
    **dict.fromkeys(("Parameter", "ParameterList", "parameter"), _NO_WRAPPER),
    "lr_scheduler": "schedules are here: nn.StepLR, nn.CosineAnnealingLR",
    "utils": "use nn.clip_grad_norm_ or nn.clip_grad_value_",
    "ModuleDict": "use nn.ModuleList, or attributes",
    "LogSoftmax": "use x.log_softmax(), or nn.cross_entropy, which contains it",
    "Dropout2d": "use nn.Dropout",
    "DataParallel": "threads are shared out by the engine itself",
}

#: Names that PyTorch's modules have.
MODULE: dict[str, str] = {
    **dict.fromkeys(("float", "double", "half"), "give dtype= to the layers when they are made"),
    "device": "ask a parameter: model.parameters()[0].device",
    "children": "use named_children()",
    "apply": "go through modules() or parameters()",
    "fit": "use nn.fit(model, data, loss, optimizer, epochs)",
    "predict": "use nn.predict(model, x)",
    "compile": "the fast engine is compiled already",
}

#: Names that PyTorch's optimizers have.
OPTIMIZER: dict[str, str] = {
    "param_groups": "there is one group: use .lr, .settings and .parameters",
    "defaults": "use .settings",
    "add_param_group": "make another optimizer",
}

#: Names that PyTorch's schedules have.
SCHEDULE: dict[str, str] = {
    "get_last_lr": "use .last_lr",
    "get_lr": "use .last_lr, or .lr_at(t)",
    "last_epoch": "use .steps",
}


def missing(owner: Any, name: str, hints: dict[str, str]) -> AttributeError:
    """The error for an attribute that `owner`, an object, does not have."""
    kind = type(owner).__name__
    if name in hints:
        return AttributeError(f"{kind} has no attribute {name!r}; {hints[name]}")
    return AttributeError(f"{kind!r} object has no attribute {name!r}", name=name, obj=owner)
