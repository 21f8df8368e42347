"""What the structured operations mean, as the obvious loops over scalars.

Nothing here is fast and nothing needs a derivative of its own: every number is a Value, so the gradients follow from
the scalar operations. `fast.functional` offers the same functions with the same arguments, written as kernels with
gradients derived by hand, and is tested against these loops element by element.

Shapes are written (N, C): N samples, C features or classes.
"""

from micro.functional.attention import scaled_dot_product_attention
from micro.functional.convolution import adaptive_avg_pool2d, avg_pool2d, conv1d, conv2d, max_pool2d
from micro.functional.dropout import dropout
from micro.functional.embedding import embedding
from micro.functional.losses import (
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
from micro.functional.normalization import batch_norm, layer_norm, rms_norm
from micro.functional.products import linear, matmul
from micro.functional.recurrent import gru, gru_cell, lstm, lstm_cell, rnn, rnn_cell
from micro.functional.reductions import (
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
from micro.functional.shapes import (
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
from micro.functional.trainability import train_two_layers
from micro.functional.updates import adagrad_step, adam_step, clip_grad_norm_, clip_grad_value_, rmsprop_step, sgd_step
