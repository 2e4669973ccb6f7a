"""Compares `sgflow probe` with PyTorch:  agreement.py SGFLOW [--quick]

For each network below, sgflow trains for a few steps, which writes weights in
safetensors; PyTorch loads them as a state dict. Both then measure the same MNIST
samples: sgflow in float64 and in float32, PyTorch (reference.py) in float64. The
table shows the largest relative difference of each group of quantities and what
is allowed. Exits with 1 if anything is beyond that.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import common
import reference

DATA = pathlib.Path(__file__).resolve().parents[2] / "data" / "mnist"
TOP = 3
PROBES = 48

# model, loss, split, first and last sample, training steps
CASES = [
    ("mlp:784-3-10,act=tanh", "mse", "train", 0, 96, 60),
    ("cnn:conv4k5s2p2,gelu,avgpool3s2,conv6k3p1,gelu,avgpool2,fc10", "cross-entropy", "train", 10, 90, 60),
    ("cnn:conv3k4s3p1,sigmoid,maxpool3s2,conv5k2,tanh,gap,fc10", "cross-entropy", "test", 500, 570, 60),
    ("mlp", "cross-entropy", "train", 0, 128, 100),
    ("cnn", "cross-entropy", "train", 0, 64, 100),
]
QUICK = CASES[:3]

# What is allowed, relative: groups of quantities by the run's type.
TOLERANCE = {
    "loss, norms, variances": {"float64": 1e-8, "float32": 1e-3},
    "per parameter": {"float64": 1e-8, "float32": 1e-3},
    "noise scale": {"float64": 1e-8, "float32": 1e-3},
    "batch sharpness": {"float64": 1e-8, "float32": 5e-3},
    "eigenvalues": {"float64": 1e-6, "float32": 5e-3},
    "exact trace": {"float64": 1e-8, "float32": 5e-3},
    "trace, in standard errors": {"float64": 4, "float32": 4},
}


def sgflow(binary, *arguments):
    done = subprocess.run([binary, *map(str, arguments), "--json"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"sgflow {' '.join(map(str, arguments))}: exit {done.returncode}: {done.stderr[-500:]}")
    return json.loads(done.stdout)


def relative(got, want, scale=None):
    """|got − want| as a share of |want|, or of the scale that rounding acts on."""
    if got is None or want is None:
        return 0.0 if got is want else float("inf")
    return abs(got - want) / (abs(want) if scale is None else scale)


def differences(probe, ours, layers, spectrum, trace, sharpness, exact):
    """The largest difference of each group."""
    noise, flatness = probe["noise"], probe["flatness"]
    plain = [relative(probe["loss"], ours["loss"]), abs(probe["accuracy"] - ours["accuracy"])]
    plain += [relative(noise[k], ours[k]) for k in ("grad_norm_sq", "grad_var_trace", "fisher_trace")]
    # ‖ḡ‖² − trΣ/n is a difference: rounding acts on its larger term.
    unbiased = relative(noise["grad_norm_sq_unbiased"], ours["grad_norm_sq_unbiased"], ours["grad_norm_sq"])
    condition = ours["grad_norm_sq"] / abs(ours["grad_norm_sq_unbiased"])
    scale = relative(noise.get("noise_scale"), ours["noise_scale"]) / max(condition, 1)
    if set(probe["layers"]) != set(layers):
        sys.exit(f"sgflow's parameters are {sorted(probe['layers'])}, PyTorch's {sorted(layers)}")
    by_layer = [relative(probe["layers"][k][q], layers[k][q]) for k in layers for q in layers[k]]
    top, low, exact_trace = spectrum
    eigenvalues = [relative(a, b) for a, b in zip(flatness["top_eigenvalues"], top, strict=True)]
    eigenvalues += [relative(flatness["lambda_max"], top[0]), relative(flatness["lambda_min"], low)]
    result = {
        "loss, norms, variances": max(plain),
        "per parameter": max(by_layer),
        "noise scale": max(unbiased, scale),
        "batch sharpness": relative(flatness["batch_sharpness"], sharpness),
        "eigenvalues": max(eigenvalues),
    }
    if exact_trace is None:
        value, error = trace
    else:
        value, error = exact_trace, 0.0
        result["exact trace"] = relative(exact, exact_trace)
    spread = (flatness["trace_stderr"] ** 2 + error**2) ** 0.5
    result["trace, in standard errors"] = abs(flatness["trace"] - value) / spread
    return result


def compare(binary, case, folder):
    """Rows (type, group, difference) of one case."""
    model, loss, split, first, last, steps = case
    out = folder / "run"
    sgflow(binary, "train", "--model", model, "--loss", loss, "--steps", steps, "--measure", "none",
           "--seed", 3, "--dtype", "float64", "--out", out, "--force")
    weights = out / "checkpoints" / "weights.safetensors"
    images, labels = reference.mnist(DATA, split)
    r = reference.Reference(model, loss, common.read_safetensors(weights), images[first:last], labels[first:last])
    ours, layers = r.noise()
    sharpness, spectrum = r.batch_sharpness(), r.spectrum(TOP)
    trace = None if spectrum[2] is not None else r.trace(PROBES)
    for dtype in ("float64", "float32"):
        common_flags = ["--model", model, "--loss", loss, "--weights", weights, "--split", split,
                        "--indices", f"{first}:{last}", "--dtype", dtype]
        probe = sgflow(binary, "probe", *common_flags, "--top", TOP, "--probes", PROBES)
        if probe["samples"] != last - first or probe["params"] != r.size:
            sys.exit(f"{model}: {probe['samples']} samples, {probe['params']} parameters; want {last - first}, {r.size}")
        exact = None
        if spectrum[2] is not None:
            exact = sgflow(binary, "probe", *common_flags, "--exact-trace")["flatness"]["trace"]
        for group, value in differences(probe, ours, layers, spectrum, trace, sharpness, exact).items():
            yield dtype, group, value


def main():
    binary = sys.argv[1]
    failed = 0
    print(f"{'quantities':<28}{'type':>8}{'difference':>12}{'allowed':>10}")
    for case in QUICK if "--quick" in sys.argv[2:] else CASES:
        model, loss, split, first, last, _ = case
        print(f"\n{model}, {loss}, {split} samples {first}:{last}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            for dtype, group, value in compare(binary, case, pathlib.Path(folder)):
                allowed = TOLERANCE[group][dtype]
                good = value <= allowed
                failed += not good
                print(f"{group:<28}{dtype:>8}{value:>12.1e}{allowed:>10.0e}{'' if good else '   DISAGREES'}", flush=True)
    print(f"\n{failed} disagreements" if failed else "\nall agree")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
