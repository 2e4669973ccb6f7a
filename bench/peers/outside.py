"""What the libraries of others say of one point of a loss surface, in float64:
BackPACK of gradients and diagonals, curvlinops of products with matrices. Knows
of sgflow only the text of its model specs and the names of its parameters."""

import copy
from functools import cached_property

import backpack
import curvlinops
import numpy as np
import scipy.sparse.linalg
import torch
from backpack import extensions

from nets import sequential

torch.set_num_threads(1)  # the same result on every machine
torch.set_default_dtype(torch.float64)  # of what BackPACK makes for its own use

DENSE = 4000  # parameters up to which the Hessian is written down
COLUMNS = 32  # of it at a time
EIGENVALUE_TOLERANCE = 1e-10
DRAWS = 12  # of labels
BATCH = 64  # samples in each of the batches over which probe averages sharpness
BATCHES = 150
PERTURBATIONS = 40


class Point:
    """A network with given weights (numpy arrays by name), a loss, "cross-entropy"
    or "mse", and the samples whose mean loss L it is: x (n×1×28×28) and y (n).
    top is how many of the Hessian's largest eigenvalues are asked for.

    BackPACK's sums are of gradients of ℓᵢ/n, and PyTorch's mean squared error is
    2/classes of sgflow's; what is read here is restated for ℓᵢ itself."""

    def __init__(self, model, loss, weights, x, y, top=1):
        weights = {name: np.asarray(w, np.float64) for name, w in weights.items()}
        self.net, self.names = sequential(model, weights)
        self.plain = copy.deepcopy(self.net)  # without BackPACK's hooks, for curvlinops
        self.net = backpack.extend(self.net)
        self.x, self.y, self.n, self.top = x, y, len(y), top
        self.params = list(self.net.parameters())
        self.size = sum(p.numel() for p in self.params)
        if loss == "mse":
            classes = self.net(x[:1]).shape[1]
            self.target = torch.nn.functional.one_hot(y, classes).double()
            self.loss_of, self.factor = backpack.extend(torch.nn.MSELoss()), classes / 2
        else:
            self.target = y
            self.loss_of, self.factor = backpack.extend(torch.nn.CrossEntropyLoss()), 1.0
        self.plain_loss = torch.nn.MSELoss() if loss == "mse" else torch.nn.CrossEntropyLoss()

    def backward(self, extension):
        """Runs an extension in a backward pass and returns what it leaves in each
        parameter."""
        self.net.zero_grad()
        with backpack.backpack(extension):
            self.loss_of(self.net(self.x), self.target).backward()
        found = [getattr(p, extension.savefield).detach() for p in self.params]
        for p in self.params:
            delattr(p, extension.savefield)
        return found

    def loss_at(self, params=None):
        """L, at other parameters where given (a flat vector)."""
        with torch.no_grad():
            if params is None:
                return self.factor * self.loss_of(self.net(self.x), self.target).item()
            kept = [p.detach().clone() for p in self.params]
            torch.nn.utils.vector_to_parameters(torch.as_tensor(params), self.params)
            loss = self.loss_at()
            for p, old in zip(self.params, kept):
                p.copy_(old)
            return loss

    @cached_property
    def logits(self):
        with torch.no_grad():
            return self.net(self.x)

    @cached_property
    def theta(self):
        """θ, flat."""
        return torch.cat([p.detach().flatten() for p in self.params]).numpy()

    @cached_property
    def sample_gradients(self):
        """gᵢ of each sample, n×P."""
        parts = self.backward(extensions.BatchGrad())
        return torch.cat([g.flatten(1) for g in parts], 1).numpy() * (self.n * self.factor)

    @cached_property
    def gradient(self):
        """ḡ, flat."""
        self.net.zero_grad()
        self.loss_of(self.net(self.x), self.target).backward()
        return torch.cat([p.grad.flatten() for p in self.params]).numpy() * self.factor

    @cached_property
    def sample_norms_sq(self):
        """‖gᵢ‖² of each sample and parameter, parameters×n."""
        parts = self.backward(extensions.BatchL2Grad())
        return torch.stack(parts).numpy() * (self.n * self.factor) ** 2

    @cached_property
    def second_moment(self):
        """(1/n) Σᵢ gᵢ∘gᵢ, flat."""
        parts = self.backward(extensions.SumGradSquared())
        return torch.cat([s.flatten() for s in parts]).numpy() * (self.n * self.factor**2)

    @cached_property
    def variances(self):
        """Unbiased variance of each parameter's gradient, by parameter tensor."""
        correction = self.n**2 * self.factor**2 * self.n / (self.n - 1)
        return [v.numpy() * correction for v in self.backward(extensions.Variance())]

    @cached_property
    def ggn_diagonal(self):
        """The diagonal of the Gauss-Newton matrix, flat."""
        parts = self.backward(extensions.DiagGGNExact())
        return torch.cat([d.flatten() for d in parts]).numpy() * self.factor

    @cached_property
    def hessian_diagonal(self):
        """The diagonal of H, flat."""
        parts = self.backward(extensions.DiagHessian())
        return torch.cat([d.flatten() for d in parts]).numpy() * self.factor

    @cached_property
    def drawn_gradients(self):
        """Gradients of single samples, n×P, for labels drawn from the network's
        own distribution, DRAWS times: softmax, or for mse a Gaussian of unit
        variance about the logits."""
        torch.manual_seed(1)
        own, found = self.target, []
        for _ in range(DRAWS):
            if isinstance(self.plain_loss, torch.nn.MSELoss):
                self.target = self.logits + torch.randn_like(self.logits)
            else:
                self.target = torch.multinomial(self.logits.softmax(1), 1)[:, 0]
            parts = self.backward(extensions.BatchGrad())
            found.append(torch.cat([g.flatten(1) for g in parts], 1).numpy() * (self.n * self.factor))
        self.target = own
        return found

    @cached_property
    def batch_curvatures(self):
        """gᵀH_B g, ‖g‖² and gᵀHg for the gradients g of batches of BATCH samples,
        each drawn without replacement."""
        random = np.random.default_rng(1)
        rows = []
        for _ in range(BATCHES):
            batch = torch.from_numpy(random.choice(self.n, BATCH, replace=False))
            loss = self.factor * self.plain_loss(self.plain(self.x[batch]), self.target[batch])
            params = list(self.plain.parameters())
            grads = torch.autograd.grad(loss, params, create_graph=True)
            g = torch.cat([p.flatten() for p in grads])
            fixed = g.detach()
            product = torch.cat([p.flatten() for p in torch.autograd.grad(g @ fixed, params)])
            whole = self.hessian @ fixed.numpy()
            rows.append([(fixed @ product).item(), (fixed @ fixed).item(), fixed.numpy() @ whole])
        return np.array(rows).T

    def perturbed_losses(self, alpha):
        """L(θ + αd) for random directions d, each filter of d of the norm of θ's
        and biases 0."""
        torch.manual_seed(1)
        found = []
        for _ in range(PERTURBATIONS):
            parts = []
            for p in self.params:
                d = torch.randn_like(p) if p.dim() > 1 else torch.zeros_like(p)
                if p.dim() > 1:
                    d *= (p.flatten(1).norm(dim=1) / d.flatten(1).norm(dim=1)).reshape(-1, *[1] * (p.dim() - 1))
                parts.append(d.detach().flatten())
            found.append(self.loss_at(self.theta + alpha * torch.cat(parts).numpy()))
        return np.array(found)

    def loss_and_gradient(self, theta):
        """L and its gradient at other parameters, flat."""
        params = [p.reshape(q.shape) for p, q in zip(torch.from_numpy(theta).split([q.numel() for q in self.params]), self.params)]
        params = [p.clone().requires_grad_() for p in params]
        names = [name for name, _ in self.plain.named_parameters()]
        z = torch.func.functional_call(self.plain, dict(zip(names, params)), (self.x,))
        loss = self.factor * self.plain_loss(z, self.target)
        grads = torch.autograd.grad(loss, params)
        return loss.item(), torch.cat([g.flatten() for g in grads]).numpy()

    def operator(self, kind):
        """A matrix of curvlinops as an operator of scipy."""
        matrix = kind(self.plain, self.plain_loss, list(self.plain.parameters()), [(self.x, self.target)],
                      check_deterministic=False)
        return self.factor * matrix.to_scipy()

    @cached_property
    def hessian(self):
        return self.operator(curvlinops.HessianLinearOperator)

    @cached_property
    def gauss_newton(self):
        return self.operator(curvlinops.GGNLinearOperator)

    @cached_property
    def dense_hessian(self):
        """H, P×P, where that is small; None where not."""
        if self.size > DENSE:
            return None
        columns = np.eye(self.size)
        h = np.hstack([self.hessian @ columns[:, k : k + COLUMNS] for k in range(0, self.size, COLUMNS)])
        return (h + h.T) / 2

    @cached_property
    def spectrum(self):
        """The largest eigenvalues of H, descending, and the smallest."""
        if self.dense_hessian is None:
            return self.eigenvalues(self.hessian, self.top), self.eigenvalues(self.hessian, 1, "SA")[0]
        values = np.linalg.eigvalsh(self.dense_hessian)
        return values[::-1][: self.top], values[0]

    @cached_property
    def noise_by_curvature(self):
        """(gᵢ − ḡ)ᵀH(gⱼ − ḡ)/(n − 1), n×n; its trace is Tr(HΣ̂)."""
        centred = self.sample_gradients - self.gradient
        products = np.stack([self.hessian @ row for row in centred])
        return centred @ products.T / (self.n - 1)

    def eigenvalues(self, operator, count, which="LA"):
        """The largest (LA) or smallest (SA) eigenvalues, the outermost first."""
        found = scipy.sparse.linalg.eigsh(operator, k=count, which=which, tol=EIGENVALUE_TOLERANCE,
                                          return_eigenvectors=False)
        return np.sort(found)[:: -1 if which == "LA" else 1]
