"""The structured operations of `micro.functional` as kernels, with gradients derived by hand.

Each function stands above the rule that takes its gradient back. Names, arguments, defaults and errors are those of
`micro.functional`, whose loops are the definition; here only speed is added.
"""

from fast.functional.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    hinge_loss,
    l2_penalty,
    mse_loss,
)
from fast.functional.products import linear, matmul
from fast.functional.reductions import log_softmax, mean, softmax, sum
from fast.functional.shapes import getitem, reshape, to, transpose
from fast.functional.updates import adam_step, sgd_step
