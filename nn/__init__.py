"""nn: neural networks and their training, written once for both engines.

Layers, losses and optimizers have PyTorch's names. `fit` trains, `predict` answers, `diagnose` reads a loss curve.
"""

from nn.callbacks import Callback, Progress
from nn.diagnosis import Verdict, diagnose, diagnose_sweep
from nn.engine import Engine
from nn.history import History, Run
from nn.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    hinge_loss,
    l2_penalty,
    mse_loss,
)
from nn.modules import (
    ACTIVATIONS,
    GELU,
    MLP,
    LeakyReLU,
    Linear,
    Module,
    ReLU,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from nn.optim import SGD, Adam, Optimizer
from nn.training import DivergenceWarning, fit, predict
from nn.weights import load_weights, save_weights

__all__ = [
    "ACTIVATIONS",
    "GELU",
    "MLP",
    "SGD",
    "Adam",
    "Callback",
    "DivergenceWarning",
    "Engine",
    "History",
    "LeakyReLU",
    "Linear",
    "Module",
    "Optimizer",
    "Progress",
    "ReLU",
    "Run",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "Verdict",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "diagnose",
    "diagnose_sweep",
    "fit",
    "hinge_loss",
    "l2_penalty",
    "load_weights",
    "mse_loss",
    "predict",
    "save_weights",
]
