"""Worker of the comparison of estimators:  worker_estimators.py THREADS

Trains with PyTorch and measures at every step with the library that a request's
"measure" names. Several measures can be prepared at once.

none                        the plain step: torch.nn.Sequential and torch.optim.SGD
cockpit:SET                 Cockpit's configuration economy, business or full, or one
                            of its quantities by class name, as its examples use it
cockpit:SET/shared          without GradHist1d, GradHist2d and TICDiag
cockpit:HessMaxEV/eigsh     by scipy's Lanczos instead of power iteration
backpack:EXTENSION          one of BackPACK's extensions, by class name
pyhessian:eigenvalue/T      top eigenvalue by power iteration, until it changes by a
                            share of less than T
pyhessian:trace/K           Hutchinson's estimate with K probes
curvlinops:eigenvalue       top eigenvalue by scipy's Lanczos, to 1 %
curvlinops:trace/K          Hutchinson's estimate with K probes
"""

import sys

import torch

import common
from nets import sequential

threads = int(sys.argv[1])
torch.set_num_threads(threads)
torch.set_num_interop_threads(1)

TOLERANCE = 1e-2  # of eigenvalues by Lanczos
MOST_ITERATIONS = 100  # of power iteration: Cockpit's and PyHessian's own limit


class Plain:
    """Training without measuring, and what all others share."""

    def __init__(self, request, option):
        shared = common.Shared(request)
        self.rate = request["rate"]
        self.images = torch.from_numpy(shared.images).reshape(-1, 1, 28, 28)
        self.labels = torch.from_numpy(shared.labels)
        self.order = [torch.from_numpy(t.astype("int64")) for t in shared.order]
        self.net, _ = sequential(request["model"], shared.weights)
        self.loss_of = torch.nn.CrossEntropyLoss()
        self.at = 0
        self.measured = {}
        self.set_up(option)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=self.rate)

    def set_up(self, option):
        """Prepares the network for what is measured."""

    def step(self):
        index = self.order[self.at % len(self.order)]
        x, y = self.images.index_select(0, index), self.labels.index_select(0, index)
        self.optimizer.zero_grad()
        loss = self.backward(x, y)
        self.optimizer.step()
        self.at += 1
        return loss

    def backward(self, x, y):
        """Leaves the gradient in the parameters and returns the loss."""
        loss = self.loss_of(self.net(x), y)
        loss.backward()
        return loss.detach()

    def values(self):
        """What the last step measured, by name."""
        return self.measured


class Cockpit(Plain):
    """As Cockpit's examples use it, tracking at every step."""

    WITHOUT = ("GradHist1d", "GradHist2d", "TICDiag")

    def set_up(self, option):
        import backpack
        import cockpit
        from cockpit import quantities
        from cockpit.utils import schedules
        from cockpit.utils.configuration import quantities_cls_for_configuration

        schedule = schedules.linear(interval=1)
        name, _, variant = option.partition("/")
        if name in ("economy", "business", "full"):
            chosen = quantities_cls_for_configuration(name)
            if variant == "shared":
                chosen = [q for q in chosen if q.__name__ not in self.WITHOUT]
            chosen = [q(track_schedule=schedule) for q in chosen]
        elif variant == "eigsh":
            chosen = [quantities.HessMaxEV(track_schedule=schedule, use_power=False)]
        else:
            chosen = [getattr(quantities, name)(track_schedule=schedule)]
        self.net = backpack.extend(self.net)
        self.loss_of = backpack.extend(self.loss_of)
        self.losses_of = backpack.extend(torch.nn.CrossEntropyLoss(reduction="none"))
        self.cockpit = cockpit.Cockpit(self.net.parameters(), quantities=chosen)

    def backward(self, x, y):
        logits = self.net(x)
        loss = self.loss_of(logits, y)
        info = {"batch_size": len(y), "individual_losses": self.losses_of(logits, y).detach(),
                "loss": loss, "optimizer": self.optimizer}
        with self.cockpit(self.at, info=info):
            loss.backward(create_graph=self.cockpit.create_graph(self.at))
        return loss.detach()

    def values(self):
        found = {}
        for quantity in self.cockpit.quantities:
            output = quantity.get_output()
            if output:
                value = output[max(output)]
                if isinstance(value, list):
                    value = sum(value) if type(quantity).__name__ == "HessTrace" else sum(v * v for v in value) ** 0.5
                if not isinstance(value, dict):
                    found[type(quantity).__name__] = float(value)
        return found


class BackPACK(Plain):
    """One extension in the backward pass; what it finds stays in the parameters."""

    def set_up(self, option):
        import backpack
        from backpack import extensions

        self.context, self.extension = backpack.backpack, getattr(extensions, option)
        self.net, self.loss_of = backpack.extend(self.net), backpack.extend(self.loss_of)

    def backward(self, x, y):
        loss = self.loss_of(self.net(x), y)
        with self.context(self.extension()):
            loss.backward()
        return loss.detach()

    def values(self):
        field = self.extension().savefield
        return {field: sum(getattr(p, field).sum().item() for p in self.net.parameters())}


class PyHessian(Plain):
    """The plain step, then PyHessian on the same batch."""

    def set_up(self, option):
        from pyhessian import hessian

        self.hessian = hessian
        self.what, _, self.how = option.partition("/")

    def backward(self, x, y):
        h = self.hessian(self.net, self.loss_of, data=(x, y), cuda=False)
        if self.what == "eigenvalue":
            self.measured["lambda_max"] = h.eigenvalues(maxIter=MOST_ITERATIONS, tol=float(self.how))[0][0]
        else:
            probes = h.trace(maxIter=int(self.how), tol=0.0)
            self.measured["trace"] = sum(probes) / len(probes)
        self.optimizer.zero_grad()
        return super().backward(x, y)


class Curvlinops(Plain):
    """The plain step, then curvlinops on the same batch."""

    def set_up(self, option):
        import curvlinops

        self.library = curvlinops
        self.what, _, probes = option.partition("/")
        self.probes = int(probes or 0)

    def backward(self, x, y):
        from scipy.sparse.linalg import eigsh

        params = [p for p in self.net.parameters() if p.requires_grad]
        h = self.library.HessianLinearOperator(self.net, self.loss_of, params, [(x, y)], check_deterministic=False)
        if self.what == "eigenvalue":
            found = eigsh(h.to_scipy(), k=1, which="LA", tol=TOLERANCE, return_eigenvectors=False)
            self.measured["lambda_max"] = float(found[0])
        else:
            self.measured["trace"] = float(self.library.hutchinson_trace(h, num_matvecs=self.probes))
        return super().backward(x, y)


LIBRARIES = {"none": Plain, "cockpit": Cockpit, "backpack": BackPACK, "pyhessian": PyHessian, "curvlinops": Curvlinops}


def prepare(request):
    library, _, option = request["measure"].partition(":")
    training = LIBRARIES[library](request, option)
    losses = [training.step() for _ in range(request["steps"])]
    return losses, training.step, training.values()


if __name__ == "__main__":
    common.serve(prepare)
