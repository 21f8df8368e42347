"""nn: neural networks and their training, written once for both engines.

Layers, losses and optimizers have PyTorch's names. `fit` trains, `predict` answers, `evaluate` measures. `lr_find`
looks for a learning rate, `diagnose` reads a loss curve, `sharpness` says how curved the loss is. `save` and `load`
keep models in files, `nn.data` prepares what they learn from, `nn.init` says where they begin, and `nn.sklearn` has
estimators for scikit-learn.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from nn import data, init
from nn.attention import MultiheadAttention
from nn.callbacks import Callback, ClipGradNorm, ClipGradValue, EarlyStopping, Progress, Schedule
from nn.checkpoints import Checkpoint
from nn.convolution import AdaptiveAvgPool2d, AvgPool2d, Conv1d, Conv2d, Flatten, MaxPool2d, Residual
from nn.curvature import RecordSharpness, sharpness
from nn.diagnosis import Verdict, diagnose, diagnose_sweep, final_loss
from nn.drift import Drift, monitor
from nn.dropout import Dropout
from nn.embedding import Embedding
from nn.engine import Engine
from nn.evaluation import evaluate, predict_classes
from nn.hints import NN
from nn.history import History, Run
from nn.landscape import bowl, descend, loss_plane, path_directions, random_directions, rosenbrock
from nn.loading import LoadReport
from nn.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    hinge_loss,
    huber_loss,
    l1_loss,
    l1_penalty,
    l2_penalty,
    mse_loss,
    nll_loss,
)
from nn.lr_finder import RangeTest, lr_find
from nn.modules import (
    ACTIVATIONS,
    GELU,
    MLP,
    Identity,
    LeakyReLU,
    Linear,
    Module,
    ModuleList,
    ReLU,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from nn.normalization import BatchNorm1d, BatchNorm2d, LayerNorm, RMSNorm
from nn.onnx import export_onnx
from nn.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop, clip_grad_norm_, clip_grad_value_
from nn.recording import RecordActivations, Snapshots, UpdateRatios, predictors, record_activations
from nn.recurrent import GRU, LSTM, RNN, GRUCell, LastStep, LSTMCell, RNNCell
from nn.saving import Saved, Scaler, load, save
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
from nn.sweeps import Sweep, sweep
from nn.trainability import BoxCount, TrainabilityMap, box_count, trainability_map
from nn.training import DivergenceWarning, fit, predict
from nn.weights import load_weights, save_weights

__all__ = [
    "ACTIVATIONS",
    "GELU",
    "GRU",
    "LSTM",
    "MLP",
    "RNN",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "BoxCount",
    "Callback",
    "Checkpoint",
    "ClipGradNorm",
    "ClipGradValue",
    "Conv1d",
    "Conv2d",
    "CosineAnnealingLR",
    "DivergenceWarning",
    "Drift",
    "Dropout",
    "EarlyStopping",
    "Embedding",
    "Engine",
    "ExponentialLR",
    "Flatten",
    "GRUCell",
    "History",
    "Identity",
    "LRScheduler",
    "LSTMCell",
    "LastStep",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LinearLR",
    "LoadReport",
    "MaxPool2d",
    "Module",
    "ModuleList",
    "MultiStepLR",
    "MultiheadAttention",
    "OneCycleLR",
    "Optimizer",
    "Progress",
    "RMSNorm",
    "RMSprop",
    "RNNCell",
    "RangeTest",
    "ReLU",
    "RecordActivations",
    "RecordSharpness",
    "ReduceLROnPlateau",
    "Residual",
    "Run",
    "Saved",
    "Scaler",
    "Schedule",
    "Sequential",
    "SequentialLR",
    "SiLU",
    "Sigmoid",
    "Snapshots",
    "Softmax",
    "Softplus",
    "StepLR",
    "Sweep",
    "Tanh",
    "TrainabilityMap",
    "UpdateRatios",
    "Verdict",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "bowl",
    "box_count",
    "clip_grad_norm_",
    "clip_grad_value_",
    "cross_entropy",
    "data",
    "descend",
    "diagnose",
    "diagnose_sweep",
    "evaluate",
    "export_onnx",
    "final_loss",
    "fit",
    "hinge_loss",
    "huber_loss",
    "init",
    "l1_loss",
    "l1_penalty",
    "l2_penalty",
    "load",
    "load_weights",
    "loss_plane",
    "lr_find",
    "monitor",
    "mse_loss",
    "nll_loss",
    "path_directions",
    "predict",
    "predict_classes",
    "predictors",
    "random_directions",
    "record_activations",
    "rosenbrock",
    "save",
    "save_weights",
    "sharpness",
    "sweep",
    "trainability_map",
]

if not TYPE_CHECKING:  # which is to find names that do not exist

    def __getattr__(name: str) -> Any:
        if name == "sklearn":  # not before somebody asks: scikit-learn takes a second to import
            return import_module("nn.sklearn")
        if name in NN:
            raise AttributeError(f"nn has no {name!r}; {NN[name]}")
        raise AttributeError(f"module 'nn' has no attribute {name!r}", name=name, obj=sys.modules[__name__])
