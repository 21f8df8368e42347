"""nn: neural networks and their training, written once for both engines.

Layers, losses and optimizers have PyTorch's names. `fit` trains, `predict` answers, `diagnose` reads a loss curve.
"""

from nn.callbacks import Callback, ClipGradNorm, ClipGradValue, Progress, Schedule
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
from nn.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop, clip_grad_norm_, clip_grad_value_
from nn.schedules import (
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)
from nn.training import DivergenceWarning, fit, predict
from nn.weights import load_weights, save_weights

__all__ = [
    "ACTIVATIONS",
    "GELU",
    "MLP",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Callback",
    "ClipGradNorm",
    "ClipGradValue",
    "CosineAnnealingLR",
    "DivergenceWarning",
    "Engine",
    "ExponentialLR",
    "History",
    "LRScheduler",
    "LeakyReLU",
    "Linear",
    "LinearLR",
    "Module",
    "MultiStepLR",
    "OneCycleLR",
    "Optimizer",
    "Progress",
    "RMSprop",
    "ReLU",
    "ReduceLROnPlateau",
    "Run",
    "Schedule",
    "Sequential",
    "SequentialLR",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "StepLR",
    "Tanh",
    "Verdict",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "clip_grad_norm_",
    "clip_grad_value_",
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
