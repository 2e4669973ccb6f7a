"""Networks of sgflow's model specs as torch.nn.Sequential: made of the modules
that BackPACK, and so Cockpit, know. Works with every PyTorch since 1.9."""

import re

import torch
from torch import nn

PRESETS = {
    "mlp": "mlp:784-512-256-10",
    "cnn": "cnn:conv16k5,relu,maxpool2,conv32k5,relu,maxpool2,fc10",
    "lenet5": "cnn:conv6k5p2,relu,maxpool2,conv16k5,relu,maxpool2,fc120,relu,fc84,relu,fc10",
}
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU}


def words_of(spec):
    """The layers of a spec, one word each; those of an mlp in the words of a cnn."""
    kind, _, text = PRESETS.get(spec, spec).partition(":")
    if kind == "cnn":
        return text.split(",")
    widths, _, options = text.partition(",")
    act = options.partition("=")[2] or "relu"
    words = []
    for width in widths.split("-")[1:]:
        words += ["fc" + width, act]
    return words[:-1]


def sequential(spec, weights):
    """The network of a spec, which takes images N×1×28×28 and returns logits, and
    its parameters' names in order. weights are numpy arrays by name; the network
    is of their type."""
    layers, names, counts = [], [], {"conv": 0, "fc": 0}
    flat = False
    for word in words_of(spec):
        if word in ACTIVATIONS:
            layers.append(ACTIVATIONS[word]())
            continue
        if word == "gap":
            layers.append(nn.AdaptiveAvgPool2d(1))
            continue
        kind = re.match(r"[a-z]+", word).group()
        n = {key: int(value) for key, value in re.findall(r"([a-z]+)(\d+)", word)}
        if kind in ("maxpool", "avgpool"):
            pool = nn.MaxPool2d if kind == "maxpool" else nn.AvgPool2d
            layers.append(pool(n[kind], n.get("s", n[kind])))
            continue
        counts[kind] += 1
        name = f"{kind}{counts[kind]}"
        weight, bias = (torch.from_numpy(weights[f"{name}.{part}"].copy()) for part in ("weight", "bias"))
        if kind == "conv":
            layer = nn.Conv2d(weight.shape[1], weight.shape[0], n["k"], n.get("s", 1), n.get("p", 0))
        else:
            if not flat:
                layers.append(nn.Flatten())
            flat = True
            layer = nn.Linear(weight.shape[1], weight.shape[0])
        layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
        layers.append(layer)
        names += [f"{name}.weight", f"{name}.bias"]
    if not flat:
        layers.append(nn.Flatten())
    return nn.Sequential(*layers), names
