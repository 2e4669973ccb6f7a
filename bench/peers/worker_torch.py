"""PyTorch's worker:  worker_torch.py THREADS eager|compile|graph

eager     autograd over plain functions, the update in one call for all
          parameters; convolutions in the faster memory format of the two.
compile   the whole step, gather to update, under torch.compile.
graph     on a GPU: the whole step, gather to update, captured in a CUDA graph and
          replayed STRIDE times before it is waited for; eager code and what
          torch.compile makes of it, in both memory formats; the fastest is timed.
          Data, order of samples and parameters are on the device. TF32 is off.
"""

import sys

import torch
import torch.nn.functional as F

import common

threads, mode = int(sys.argv[1]), sys.argv[2]
STRIDE = 100  # of graph: steps between two losses
torch.set_num_threads(threads)
torch.set_num_interop_threads(1)


def mlp(p, x):
    x = F.relu(F.linear(x, p["fc1.weight"], p["fc1.bias"]))
    x = F.relu(F.linear(x, p["fc2.weight"], p["fc2.bias"]))
    return F.linear(x, p["fc3.weight"], p["fc3.bias"])


def cnn(p, x):
    x = F.max_pool2d(F.relu(F.conv2d(x, p["conv1.weight"], p["conv1.bias"])), 2)
    x = F.max_pool2d(F.relu(F.conv2d(x, p["conv2.weight"], p["conv2.bias"])), 2)
    return F.linear(x.flatten(1), p["fc1.weight"], p["fc1.bias"])


class Run:
    """One model in training, in one memory format."""

    def __init__(self, request, shared, memory_format):
        self.rate = request["rate"]
        self.model = {"mlp": mlp, "cnn": cnn}[request["model"]]
        self.names = list(shared.weights)
        images = torch.from_numpy(shared.images)
        if request["model"] == "cnn":
            images = images.reshape(-1, 1, 28, 28).contiguous(memory_format=memory_format)
        self.images = images
        self.labels = torch.from_numpy(shared.labels)
        self.order = [torch.from_numpy(t.astype("int64")) for t in shared.order]
        self.params = []
        for value in shared.weights.values():
            value = torch.from_numpy(value.copy())
            if value.dim() == 4:
                value = value.contiguous(memory_format=memory_format)
            self.params.append(value)
        self.at = 0
        if mode == "compile":
            torch._dynamo.reset()
            self.compiled = torch.compile(self.functional, dynamic=False)
        else:
            for p in self.params:
                p.requires_grad_(True)

    def loss(self, params, index):
        x = self.images.index_select(0, index)
        y = self.labels.index_select(0, index)
        return F.cross_entropy(self.model(dict(zip(self.names, params)), x), y)

    def functional(self, params, index):
        grads, loss = torch.func.grad_and_value(self.loss)(params, index)
        for p, g in zip(params, grads):
            p.sub_(g, alpha=self.rate)
        return loss

    def step(self):
        index = self.order[self.at % len(self.order)]
        self.at += 1
        if mode == "compile":
            with torch.no_grad():
                return self.compiled(self.params, index)
        loss = self.loss(self.params, index)
        grads = torch.autograd.grad(loss, self.params)
        with torch.no_grad():
            torch._foreach_add_(self.params, grads, alpha=-self.rate)
        return loss


class Graph:
    """One model in training on a device, STRIDE replays of a captured step at once.
    What the graph is captured of can be run without one (captured=False)."""

    stride = STRIDE

    def __init__(self, request, shared, memory_format, compiled, device="cuda", captured=True):
        self.rate = request["rate"]
        self.model = {"mlp": mlp, "cnn": cnn}[request["model"]]
        self.names = list(shared.weights)
        images = torch.from_numpy(shared.images)
        if request["model"] == "cnn":
            images = images.reshape(-1, 1, 28, 28).contiguous(memory_format=memory_format)
        self.images, self.labels = images.to(device), torch.from_numpy(shared.labels).to(device)
        self.order = torch.from_numpy(shared.order.astype("int64")).to(device)
        self.at = torch.zeros(1, dtype=torch.int64, device=device)
        self.last = torch.zeros((), device=device)
        self.params = []
        for value in shared.weights.values():
            value = torch.from_numpy(value.copy()).to(device)
            if value.dim() == 4:
                value = value.contiguous(memory_format=memory_format)
            self.params.append(value.requires_grad_(True))
        start = [p.detach().clone() for p in self.params]
        self.loss_of = torch.compile(self.loss, dynamic=False) if compiled else self.loss
        self.advance = self.one
        if not captured:
            return
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(5):  # libraries choose and allocate
                self.one()
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.one()
        self.advance = self.graph.replay
        with torch.no_grad():
            self.at.zero_()
            for p, value in zip(self.params, start):
                p.copy_(value)

    def loss(self, params, x, y):
        return F.cross_entropy(self.model(dict(zip(self.names, params)), x), y)

    def one(self):
        """Takes a step; nothing in it depends on the host."""
        index = self.order.index_select(0, self.at % len(self.order)).view(-1)
        loss = self.loss_of(self.params, self.images.index_select(0, index), self.labels.index_select(0, index))
        grads = torch.autograd.grad(loss, self.params)
        with torch.no_grad():
            torch._foreach_add_(self.params, grads, alpha=-self.rate)
            self.at += 1
            self.last.copy_(loss)

    def __call__(self):
        for _ in range(STRIDE):
            self.advance()
        return self.last.item()  # waits


def graphs(request, shared):
    """What can be timed on a GPU; torch.compile is left out where it fails."""
    formats = [torch.contiguous_format]
    if request["model"] == "cnn":
        formats.append(torch.channels_last)
    made, failed = [], None
    for memory_format in formats:
        for compiled in (False, True):
            try:
                torch._dynamo.reset()
                made.append(Graph(request, shared, memory_format, compiled))
            except Exception as error:
                failed = error
    if not made:
        raise failed
    return made


def prepare(request):
    shared = common.Shared(request)
    if mode == "graph":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
        made = graphs(request, shared)
        losses = [[step() for _ in range(request["steps"])] for step in made][0]
        return losses, common.fastest(made)
    formats = [torch.contiguous_format]
    if request["model"] == "cnn" and mode == "eager":
        formats.append(torch.channels_last)
    runs = [Run(request, shared, f) for f in formats]
    losses = [[run.step().detach() for _ in range(request["steps"])] for run in runs][0]
    step = common.fastest([run.step for run in runs]) if len(runs) > 1 else runs[0].step
    return losses, step


common.serve(prepare)
