"""The quantities of `sgflow probe`, computed with PyTorch's autograd in float64
from their definitions. Knows nothing of sgflow but the text of its model specs,
its parameter names and its data files."""

import gzip
import pathlib
import re
import struct

import numpy as np
import scipy.sparse.linalg
import torch
import torch.nn.functional as F

PRESETS = {
    "mlp": "mlp:784-512-256-10",
    "cnn": "cnn:conv16k5,relu,maxpool2,conv32k5,relu,maxpool2,fc10",
    "lenet5": "cnn:conv6k5p2,relu,maxpool2,conv16k5,relu,maxpool2,fc120,relu,fc84,relu,fc10",
}
ACTIVATIONS = {"relu": F.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "gelu": F.gelu}


def mnist(folder, split):
    """Returns images (N×1×28×28, float64 in [0,1]) and labels of a split."""
    prefix = {"train": "train", "test": "t10k"}[split]

    def read(name, header):
        body = gzip.decompress((pathlib.Path(folder) / f"{prefix}-{name}-ubyte.gz").read_bytes())
        shape = struct.unpack(f">{header}i", body[4 : 4 + 4 * header])
        return np.frombuffer(body, np.uint8, offset=4 + 4 * header).reshape(shape)

    images = torch.from_numpy(read("images-idx3", 3) / 255.0).unsqueeze(1)
    return images, torch.from_numpy(read("labels-idx1", 1).astype(np.int64))


# One thread: the same result on every machine, and no waiting for a busy one.
torch.set_num_threads(1)


class Net(torch.nn.Module):
    """The network of a spec, with parameters named conv1, fc1, …"""

    def __init__(self, spec):
        super().__init__()
        kind, _, text = PRESETS.get(spec, spec).partition(":")
        self.steps = []
        if kind == "mlp":
            widths, _, options = text.partition(",")
            act = ACTIVATIONS[options.partition("=")[2] or "relu"]
            sizes = [int(w) for w in widths.split("-")]
            for k, size in enumerate(sizes[1:]):
                self._dense(f"fc{k + 1}", size)
                if k < len(sizes) - 2:
                    self.steps.append(act)
        else:
            counts = {"conv": 0, "fc": 0}
            for word in text.split(","):
                self._layer(word, counts)
        self.double()
        with torch.no_grad():
            self(torch.zeros(1, 1, 28, 28, dtype=torch.float64))  # gives the lazy layers their sizes

    def _dense(self, name, out):
        layer = torch.nn.LazyLinear(out, dtype=torch.float64)
        self.add_module(name, layer)
        self.steps.append(lambda x: layer(x.flatten(1)))

    def _layer(self, word, counts):
        if word in ACTIVATIONS:
            self.steps.append(ACTIVATIONS[word])
            return
        if word == "gap":
            self.steps.append(lambda x: x.mean((2, 3), keepdim=True))
            return
        name = re.match(r"[a-z]+", word).group()
        n = {key: int(value) for key, value in re.findall(r"([a-z]+)(\d+)", word)}
        if name == "fc":
            counts["fc"] += 1
            self._dense(f"fc{counts['fc']}", n["fc"])
        elif name == "conv":
            counts["conv"] += 1
            layer = torch.nn.LazyConv2d(n["conv"], n["k"], n.get("s", 1), n.get("p", 0), dtype=torch.float64)
            self.add_module(f"conv{counts['conv']}", layer)
            self.steps.append(layer)
        else:
            pool = {"maxpool": F.max_pool2d, "avgpool": F.avg_pool2d}[name]
            size, stride = n[name], n.get("s", n[name])
            self.steps.append(lambda x: pool(x, size, stride))

    def forward(self, x):
        for step in self.steps:
            x = step(x)
        return x.flatten(1)


class Reference:
    """Loss surface of one network, loss and set of samples at given weights
    (numpy arrays by name)."""

    def __init__(self, spec, loss, weights, x, y):
        self.net = Net(spec)
        state = {name: torch.from_numpy(np.asarray(w, np.float64)) for name, w in weights.items()}
        self.net.load_state_dict(state, strict=True)
        self.params = list(self.net.parameters())
        self.names = [name for name, _ in self.net.named_parameters()]
        self.kind, self.x, self.y = loss, x, y
        self.size = sum(p.numel() for p in self.params)

    def losses(self, x, y):
        z = self.net(x)
        if self.kind == "mse":
            return z, 0.5 * (z - F.one_hot(y, z.shape[1])).square().sum(1)
        return z, F.cross_entropy(z, y, reduction="none")

    def noise(self):
        """Loss, accuracy and what follows from the gradients of single samples."""
        n = len(self.y)
        total = correct = 0.0
        sums = [torch.zeros_like(p) for p in self.params]
        squares = torch.zeros(len(self.params), dtype=torch.float64)
        for i in range(n):
            z, loss = self.losses(self.x[i : i + 1], self.y[i : i + 1])
            total += loss.item()
            correct += float(z.argmax(1) == self.y[i])
            for k, g in enumerate(torch.autograd.grad(loss.sum(), self.params)):
                sums[k] += g
                squares[k] += g.square().sum()
        norm = np.array([(s / n).square().sum().item() for s in sums])
        fisher = squares.numpy() / n
        variance = n / (n - 1) * (fisher - norm)
        self.gradient = torch.cat([(s / n).flatten() for s in sums])
        unbiased = norm.sum() - variance.sum() / n
        result = {
            "loss": total / n, "accuracy": correct / n,
            "grad_norm_sq": norm.sum(), "grad_var_trace": variance.sum(), "grad_norm_sq_unbiased": unbiased,
            "fisher_trace": fisher.sum(), "noise_scale": variance.sum() / unbiased if unbiased > 0 else None,
        }
        layers = {name: {"grad_norm_sq": norm[k], "grad_var_trace": variance[k]} for k, name in enumerate(self.names)}
        return result, layers

    def product(self, v):
        """H·v by differentiating ⟨∇L, v⟩."""
        if not hasattr(self, "graph"):
            loss = self.losses(self.x, self.y)[1].mean()
            grads = torch.autograd.grad(loss, self.params, create_graph=True)
            self.graph = torch.cat([g.flatten() for g in grads])
        v = torch.as_tensor(np.array(v, np.float64).reshape(-1))
        hv = torch.autograd.grad(self.graph @ v, self.params, retain_graph=True)
        return torch.cat([h.flatten() for h in hv]).numpy()

    def batch_sharpness(self):
        g = self.gradient.numpy()
        return float(g @ self.product(g) / (g @ g))

    def spectrum(self, top):
        """The largest eigenvalues, descending, and the smallest; with the exact
        trace where the Hessian is small enough to be written down."""
        if self.size <= 4000:
            h = np.stack([self.product(row) for row in np.eye(self.size)])
            values = np.linalg.eigvalsh((h + h.T) / 2)
            return values[::-1][:top], values[0], float(np.trace(h))
        h = scipy.sparse.linalg.LinearOperator((self.size, self.size), self.product, dtype=np.float64)
        largest = scipy.sparse.linalg.eigsh(h, k=top, which="LA", tol=1e-9, return_eigenvectors=False)
        smallest = scipy.sparse.linalg.eigsh(h, k=1, which="SA", tol=1e-9, return_eigenvectors=False)
        return np.sort(largest)[::-1], smallest[0], None

    def trace(self, probes):
        """Hutchinson's estimate with random signs, and its standard error."""
        random = np.random.default_rng(12345)
        values = []
        for _ in range(probes):
            z = random.choice([-1.0, 1.0], self.size)
            values.append(z @ self.product(z))
        return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(probes))
