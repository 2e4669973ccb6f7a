"""A training run in float64 that Cockpit watches: what it says of each step, by
the keys of sgflow's log."""

import collections
import warnings

import backpack
import numpy as np
import torch
from cockpit import Cockpit, quantities
from cockpit.utils import schedules

from nets import sequential

# Cockpit's quantity, sgflow's key, how far the step that it is filed under lies
# from sgflow's, and what makes the one the other (value, samples).
#
# Cockpit files what it knows of a step's end under the step's start: sgflow's
# alpha at t is of the step that led there, Cockpit's of the one that leaves t.
# CABS takes the biased variance, sgflow the unbiased. Cockpit lists distances
# and norms by parameter, of which root makes one.
def root(values, n):
    return sum(v * v for v in values) ** 0.5


KEYS = [
    ("Loss", "loss", 0, lambda v, n: v),
    ("GradNorm", "grad_norm_sq", 0, lambda v, n: root(v, n) ** 2),
    ("NormTest", "norm_test", 0, lambda v, n: v),
    ("InnerTest", "inner_product_test", 0, lambda v, n: v),
    ("OrthoTest", "orthogonality_test", 0, lambda v, n: v),
    ("MeanGSNR", "gsnr_mean", 0, lambda v, n: v),
    ("CABS", "cabs", 0, lambda v, n: v * n / (n - 1)),
    ("Distance", "distance", 0, root),
    ("UpdateSize", "update_size", 0, root),
    ("Alpha", "alpha", -1, lambda v, n: v),
]
PLAIN_ONLY = ("CABS",)  # refuse an optimizer with momentum

# What Cockpit lacks and follows from the gradients that it watches.
DERIVED = ("grad_cosine", "noise_scale_ema", "temperature")
DECAY = 0.99  # of noise_scale_ema


def run(model, weights, batches, rate, momentum):
    """Trains from weights (numpy arrays by name) on batches of (x, y) by SGD with
    the mean cross-entropy. Returns, for each step, what Cockpit found by sgflow's
    key, and the weights at the end by name."""
    net, names = sequential(model, weights)
    net = backpack.extend(net)
    loss_of = backpack.extend(torch.nn.CrossEntropyLoss())
    losses_of = backpack.extend(torch.nn.CrossEntropyLoss(reduction="none"))
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=momentum)
    watched = [k for k in KEYS if not (momentum and k[0] in PLAIN_ONLY)]
    every = schedules.linear(interval=1)
    cockpit = Cockpit(net.parameters(), [getattr(quantities, k[0])(track_schedule=every) for k in watched])
    gradients = []
    for t, (x, y) in enumerate(batches):
        optimizer.zero_grad()
        logits = net(x)
        loss = loss_of(logits, y)
        info = {"batch_size": len(y), "individual_losses": losses_of(logits, y).detach(), "loss": loss,
                "optimizer": optimizer}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has no rule for momentum and keeps the gradients
            with cockpit(t, info=info):
                loss.backward(create_graph=cockpit.create_graph(t))
        gradients.append(torch.cat([p.grad.flatten() for p in net.parameters()]).detach().numpy())
        optimizer.step()
    found = collections.defaultdict(dict)
    for (_, key, shift, restate), quantity in zip(watched, cockpit.quantities):
        for t, value in quantity.get_output().items():
            if not isinstance(value, (list, int, float)):
                value = float(value)
            found[t - shift][key] = float(restate(value, len(batches[0][1])))
    derive(found, gradients, rate, momentum, len(batches[0][1]))
    final = {name: p.detach().numpy() for name, p in zip(names, net.parameters())}
    return [found[t] for t in range(len(batches))], final


def derive(found, gradients, rate, momentum, n):
    """Adds what DERIVED names. The averages begin at 0, which their ratio forgets."""
    trace = square = 0.0
    for t, g in enumerate(gradients):
        step = found[t]
        spread = step["norm_test"] ** 2 * n * step["grad_norm_sq"]
        trace = DECAY * trace + (1 - DECAY) * spread
        square = DECAY * square + (1 - DECAY) * (step["grad_norm_sq"] - spread / n)
        step["noise_scale_ema"] = trace / square if square > 0 else None
        step["temperature"] = rate / (n * (1 - momentum))
        if t > 0:
            last = gradients[t - 1]
            step["grad_cosine"] = g @ last / np.sqrt((g @ g) * (last @ last))
