"""The structured operations of `micro.functional` as kernels, with gradients derived by hand.

Each function stands above the rule that takes its gradient back. Names, arguments, defaults and errors are those of
`micro.functional`, whose loops are the definition; here only speed is added.
"""

from fast.functional.attention import scaled_dot_product_attention
from fast.functional.convolution import adaptive_avg_pool2d, avg_pool2d, conv1d, conv2d, max_pool2d
from fast.functional.dropout import dropout
from fast.functional.embedding import embedding
from fast.functional.losses import (
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
from fast.functional.normalization import batch_norm, layer_norm, rms_norm
from fast.functional.products import linear, matmul
from fast.functional.recurrent import gru, gru_cell, lstm, lstm_cell, rnn, rnn_cell
from fast.functional.reductions import (
    argmax,
    argmin,
    cumsum,
    log_softmax,
    logsumexp,
    max,
    mean,
    min,
    prod,
    softmax,
    sum,
)
from fast.functional.shapes import (
    broadcast_to,
    cat,
    flip,
    gather,
    getitem,
    pad,
    permute,
    reshape,
    setitem,
    shares_memory,
    to,
)
from fast.functional.trainability import train_two_layers
from fast.functional.updates import adagrad_step, adam_step, clip_grad_norm_, clip_grad_value_, rmsprop_step, sgd_step
