"""What the instructions of `fast` are on a GPU: the twin of `fast/kernels/steps.py`.

    INSTRUCTIONS["linear"](gpu, n, i, o, x, weight, bias, y)
    elementwise(gpu, "tanh_grad_x", grad, x, y, grad_x)

Rules say which instructions compute an operation and its gradients (`lower`, see `Rule` in `fast/tensors.py`). The
function of an instruction takes what they give: sizes, places, and, by name, `numbers` that are no whole ones; `gpu`
says where the tensors at these places lie, and launches kernels (see `fast/cuda/gpu.py`). What only the CPU needs is
left out: how work is shared out among cores, and what multiplies matrices there.
"""

from __future__ import annotations

from collections.abc import Callable

from fast.cuda.instructions import (
    attention,
    convolution,
    dropout,
    embedding,
    losses,
    normalization,
    products,
    recurrent,
    reductions,
    shapes,
)
from fast.cuda.instructions import elementwise as single
from fast.cuda.instructions.elementwise import elementwise as elementwise

_ALL: tuple[Callable[..., None], ...] = (
    *(single.compare, single.copy, single.fill, single.floats, single.scale, single.spread),
    *(shapes.put, shapes.put_more, shapes.put_sums, shapes.select),
    *(products.linear, products.linear_grad, products.stacked),
    *(reductions.total, reductions.cumsum, reductions.cumsum_grad, reductions.prod, reductions.prod_grad),
    *(reductions.extreme, reductions.extreme_grad, reductions.extreme_of_all_grad),
    *(reductions.softmax, reductions.softmax_grad, reductions.log_softmax, reductions.log_softmax_grad),
    *(reductions.logsumexp, reductions.logsumexp_grad),
    *(losses.mse_loss, losses.l1_loss, losses.huber_loss, losses.hinge_loss),
    *(losses.binary_cross_entropy, losses.binary_cross_entropy_with_logits),
    *(losses.nll_loss, losses.cross_entropy),
    *(losses.l1_penalty, losses.l1_penalty_grad, losses.l2_penalty, losses.l2_penalty_grad),
    *(convolution.conv2d, convolution.conv2d_grad),
    *(convolution.max_pool, convolution.max_pool_grad, convolution.avg_pool, convolution.avg_pool_grad),
    *(normalization.batch_norm, normalization.batch_norm_grad),
    *(normalization.layer_norm, normalization.layer_norm_grad),
    *(recurrent.sequence, recurrent.sequence_grad),
    *(embedding.look_up, embedding.look_up_grad),
    *(attention.attend, attention.attend_grad),
    dropout.dropout,
)

#: Name of an instruction to the function that carries it out.
INSTRUCTIONS: dict[str, Callable[..., None]] = {function.__name__: function for function in _ALL}
