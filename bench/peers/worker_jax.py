"""JAX's worker:  worker_jax.py [scan]

One jitted function takes the whole step, gather to update, with its state
(parameters and step number) donated. Convolutional networks are tried in both
layouts and with pooling both by windows and by reshaping; the fastest is timed.
Threads are what XLA_FLAGS and the processor affinity leave it.

With scan, STRIDE steps are one call, a lax.scan over them: for a GPU, where a call
costs as much as a step. Products are of float32, not TF32.
"""

import functools
import itertools
import sys

import jax
import jax.numpy as jnp
import numpy as np

import common

STRIDE = 100 if "scan" in sys.argv[1:] else 1  # steps between two losses
jax.config.update("jax_default_matmul_precision", "highest")


def dense(p, name, x):
    return x @ p[name + ".weight"].T + p[name + ".bias"]


def mlp(p, x):
    x = jax.nn.relu(dense(p, "fc1", x))
    x = jax.nn.relu(dense(p, "fc2", x))
    return dense(p, "fc3", x)


def cnn(p, x, layout, by_window):
    """layout is NCHW or NHWC, of activations; weights are OIHW throughout."""
    across = (slice(None), None, None) if layout == "NCHW" else (slice(None),)

    def block(x, name):
        x = jax.lax.conv_general_dilated(
            x, p[name + ".weight"], (1, 1), "VALID", dimension_numbers=(layout, "OIHW", layout)
        )
        x = jax.nn.relu(x + p[name + ".bias"][across])
        if by_window:
            window = (1, 1, 2, 2) if layout == "NCHW" else (1, 2, 2, 1)
            return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID")
        n, a, b, c = x.shape
        if layout == "NCHW":
            return x.reshape(n, a, b // 2, 2, c // 2, 2).max((3, 5))
        return x.reshape(n, a // 2, 2, b // 2, 2, c).max((2, 4))

    x = x.reshape(-1, 1, 28, 28) if layout == "NCHW" else x.reshape(-1, 28, 28, 1)
    x = block(block(x, "conv1"), "conv2")
    if layout == "NHWC":
        x = x.transpose(0, 3, 1, 2)
    return dense(p, "fc1", x.reshape(x.shape[0], -1))


class Run:
    """One model in training."""

    def __init__(self, request, shared, data, model):
        rate = request["rate"]

        def step(state, images, labels, order):
            params, at = state
            index = order[at % order.shape[0]]
            x, y = images[index], labels[index]

            def loss_of(p):
                logp = jax.nn.log_softmax(model(p, x))
                return -jnp.take_along_axis(logp, y[:, None], 1).mean()

            loss, grads = jax.value_and_grad(loss_of)(params)
            params = jax.tree.map(lambda p, g: p - rate * g, params, grads)
            return (params, at + 1), loss

        def scan(state, images, labels, order):
            state, losses = jax.lax.scan(lambda s, _: step(s, images, labels, order), state, length=STRIDE)
            return state, losses[-1]

        self.jitted = jax.jit(step if STRIDE == 1 else scan, donate_argnums=0)
        self.stride = STRIDE
        self.state = ({k: jnp.array(v) for k, v in shared.weights.items()}, jnp.int32(0))
        self.data = data

    def __call__(self):
        self.state, loss = self.jitted(self.state, *self.data)
        return loss.block_until_ready()


def prepare(request):
    if STRIDE > 1 and jax.default_backend() != "gpu":
        raise RuntimeError(f"JAX finds no GPU, only its backend {jax.default_backend()}")
    shared = common.Shared(request)
    data = (
        jnp.array(shared.images),
        jnp.array(shared.labels.astype(np.int32)),
        jnp.array(shared.order.astype(np.int32)),
    )
    models = [mlp]
    if request["model"] == "cnn":
        models = [
            functools.partial(cnn, layout=layout, by_window=by_window)
            for layout, by_window in itertools.product(("NCHW", "NHWC"), (True, False))
        ]
    runs = [Run(request, shared, data, model) for model in models]
    losses = [[run() for _ in range(request["steps"])] for run in runs][0]
    step = common.fastest(runs) if len(runs) > 1 else runs[0]
    return losses, step


common.serve(prepare)
