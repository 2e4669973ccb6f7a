"""Compares every quantity of sgflow with other libraries, in float64:

    agreement_estimators.py SGFLOW PRODUCT OUT [--quick]

A point: for each network below, PyTorch writes initial weights in safetensors,
sgflow trains from them and writes its own, PyTorch reads those, and sgflow's
probe is compared with BackPACK and curvlinops (formulas.py) at both.

A run: sgflow trains from weights of PyTorch's; Cockpit watches the same steps in
PyTorch (cockpit_run.py); line by line the logs are compared, and at the end the
weights.

Prints the largest difference of each quantity and writes it to OUT.json and
OUT.md. Names the quantities that have no reference. Exits with 1 if a value is
out of tolerance, absent, or there where it should not be.
"""

import datetime
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import torch

warnings.simplefilter("ignore")  # of the libraries about each other

import common
import cockpit_run
import environment
import formulas
import outside
import reference
from agreement import DATA, sgflow

# Relative. The last is of two searches for a maximum, neither of which claims it.
TOLERANCE = {formulas.VALUE: 1e-8, formulas.EIGENVALUE: 1e-6, formulas.ASCENT: 1e-3}
ERRORS = 4.0  # standard errors that an estimate may lie off
TOP = 3
PROBES = 48

# model, loss, split, first and last sample, training steps
POINTS = [
    ("mlp:784-3-10,act=tanh", "mse", "train", 0, 96, 60),
    ("cnn:conv3k4s3p1,sigmoid,maxpool3s2,conv5k2,tanh,avgpool2,fc10", "cross-entropy", "test", 500, 570, 60),
    ("cnn:conv4k5s2p2,relu,avgpool3s2,conv6k3p1,relu,fc10", "mse", "train", 10, 90, 60),
    ("mlp", "cross-entropy", "train", 0, 128, 100),
    ("cnn", "cross-entropy", "train", 0, 64, 100),
]
# model, batch, rate, momentum, steps
RUNS = [
    ("mlp:784-12-10,act=tanh", 32, 0.5, 0.0, 12),
    ("mlp:784-12-10,act=sigmoid", 32, 0.1, 0.9, 12),
    ("cnn:conv3k4s3p1,relu,maxpool3s2,fc10", 16, 0.1, 0.0, 12),
    ("mlp", 64, 0.1, 0.0, 8),
    ("cnn", 64, 0.1, 0.0, 8),
]
QUICK = 3  # cases of each


class Table:
    """The largest difference of each quantity, and what is wrong."""

    def __init__(self):
        self.rows, self.failures = {}, []

    def add(self, key, library, where, got, want, kind=formulas.VALUE, scale=None, error=None):
        """Compares a number with what it should be; None is absent."""
        unit = "standard errors" if error is not None else "relative"
        allowed = ERRORS if error is not None else TOLERANCE[kind]
        if (got is None) != (want is None):
            difference = math.inf
        elif got is None:
            difference = 0.0
        elif error is not None:
            difference = abs(got - want) / error if error > 0 else float(got != want) * math.inf
        else:
            difference = abs(got - want) / (abs(want) if scale is None else scale) if got != want else 0.0
        row = self.rows.setdefault((key, library), {
            "quantity": key, "library": library, "unit": unit, "allowed": allowed, "largest": 0.0, "where": where,
            "compared": 0})
        row["compared"] += 1
        if difference > row["largest"]:
            row["largest"], row["where"] = difference, where
        if not difference <= allowed:
            self.failures.append({"quantity": key, "where": where, "sgflow": got, "reference": want, "difference": difference})

    def text(self):
        lines = [f"{'quantity':<30}{'compared with':<56}{'times':>6}{'largest difference':>20}{'allowed':>10}"]
        for row in self.rows.values():
            good = row["largest"] <= row["allowed"]
            unit = " σ" if row["unit"] == "standard errors" else "  "
            lines.append(f"{row['quantity']:<30}{row['library']:<56}{row['compared']:>6}{row['largest']:>18.1e}{unit}"
                         f"{row['allowed']:>8.0e}{unit}{'' if good else '  DISAGREES: ' + row['where']}")
        return "\n".join(lines)

    def markdown(self):
        lines = ["| quantity | compared with | times | largest difference | allowed |", "|---|---|---|---|---|"]
        for row in self.rows.values():
            unit = " standard errors" if row["unit"] == "standard errors" else ""
            good = "" if row["largest"] <= row["allowed"] else " **disagrees**"
            lines.append(f"| `{row['quantity']}` | {row['library']} | {row['compared']} | {row['largest']:.1e}{unit}{good} | "
                         f"{row['allowed']:.0e}{unit} |")
        return "\n".join(lines)


def quantities(binary):
    """The registry, as sgflow prints it."""
    done = subprocess.run([binary, "measures", "--json"], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def initial_weights(model, seed):
    """Weights of PyTorch's own random initialisation, by name."""
    torch.manual_seed(seed)
    net = reference.Net(model)
    return {name: p.detach().numpy() for name, p in net.named_parameters()}


def compare_point(table, where, printed, point, keys):
    """All that a probe was asked for and all that it printed, against the
    references. Returns the keys that have none."""
    for key in ("loss", "accuracy"):
        table.add(key, formulas.REFERENCES[key][0], where, printed[key], formulas.REFERENCES[key][1](point, {}))
    ours = {**printed["noise"], **printed["flatness"], "probes": PROBES}
    unknown = set()
    for key in dict.fromkeys([*keys, *printed["noise"], *printed["flatness"]]):
        if key in formulas.NO_REFERENCE or key in ("hv", "top_eigenvalues", "top_residuals"):
            continue
        if key not in formulas.REFERENCES:
            unknown.add(key)
            continue
        library, function = formulas.REFERENCES[key]
        want = function(point, ours)
        if want is formulas.UNKNOWN:
            continue
        if not isinstance(want, formulas.Reference):
            want = formulas.Reference(want)
        table.add(key, library, where, ours.get(key), want.value, want.kind, want.scale, want.error)
    for got, want in zip(ours["top_eigenvalues"], point.spectrum[0], strict=True):
        table.add("top_eigenvalues", "curvlinops Hessian, scipy", where, got, want, formulas.EIGENVALUE)
    sizes = [p.numel() for p in point.params]
    gradients = np.split(point.gradient, np.cumsum(sizes)[:-1])
    for name, g, v in zip(point.names, gradients, point.variances, strict=True):
        table.add("layers: grad_norm_sq", "PyTorch", where, printed["layers"][name]["grad_norm_sq"], g @ g)
        table.add("layers: grad_var_trace", "BackPACK Variance", where, printed["layers"][name]["grad_var_trace"], v.sum())
    return unknown


def probe_points(binary, case, asked, folder, table):
    """Compares probes at PyTorch's weights and at those that sgflow trained from
    them. Returns the keys without a reference."""
    model, loss, split, first, last, steps = case
    start, out = folder / "start.safetensors", folder / "run"
    common.write_safetensors(start, initial_weights(model, seed=7))
    sgflow(binary, "train", "--model", model, "--loss", loss, "--steps", steps, "--measure", "none", "--seed", 3,
           "--dtype", "float64", "--weights", start, "--out", out, "--force")
    images, labels = reference.mnist(DATA, split)
    keys, unknown = [key for q in asked for key in q["keys"]], set()
    for what, weights in (("PyTorch's weights", start), ("sgflow's weights", out / "checkpoints" / "weights.safetensors")):
        flags = ["--model", model, "--loss", loss, "--weights", weights, "--split", split, "--indices", f"{first}:{last}",
                 "--dtype", "float64", "--measure", ",".join(q["name"] for q in asked), "--top", TOP, "--probes", PROBES]
        point = outside.Point(model, loss, common.read_safetensors(weights), images[first:last], labels[first:last], TOP)
        unknown |= compare_point(table, f"{model}, {loss}, {what}", sgflow(binary, "probe", *flags), point, keys)
        if point.size <= outside.DENSE:
            exact = sgflow(binary, "probe", *flags[:-2], "--exact-trace")["flatness"]["trace"]
            table.add("trace, exact", "BackPACK DiagHessian", f"{model}, {loss}, {what}", exact, point.hessian_diagonal.sum(),
                      scale=np.abs(point.hessian_diagonal).sum())
    return unknown


def watch_run(binary, product, case, names, folder, table):
    """Compares a run's log with Cockpit's."""
    model, batch, rate, momentum, steps = case
    where = f"{model}, batch {batch}" + (f", momentum {momentum}" if momentum else "")
    start, out = folder / "start.safetensors", folder / "run"
    weights = initial_weights(model, seed=11)
    common.write_safetensors(start, weights)
    sgflow(binary, "train", "--model", model, "--batch", batch, "--steps", steps, "--lr", rate, "--momentum", momentum,
           "--seed", 1, "--dtype", "float64", "--measure", ",".join(names), "--weights", start, "--out", out, "--force")
    log = [json.loads(line) for line in (out / "steps.jsonl").read_text().splitlines()]
    subprocess.run([product, "export", folder, str(steps), str(batch)], check=True)
    order = np.fromfile(folder / f"order-{batch}.i32", "<i4").reshape(-1, batch).astype(np.int64)
    images, labels = reference.mnist(DATA, "train")
    said, final = cockpit_run.run(model, weights, [(images[i], labels[i]) for i in order], rate, momentum)
    library = {key: "Cockpit " + name for name, key, _, _ in cockpit_run.KEYS}
    library |= dict.fromkeys(cockpit_run.DERIVED, "PyTorch, Cockpit NormTest")
    for t, (line, theirs) in enumerate(zip(log, said, strict=True)):
        ours = {"loss": line["loss"], **line["noise"]}
        for key, want in theirs.items():
            table.add(key, library[key], f"{where}, step {t}", ours.get(key), want)
    for key in ("alpha", "update_size"):
        if not any(key in theirs for theirs in said):
            sys.exit(f"Cockpit said nothing of {key}: the comparison is broken")
    written = common.read_safetensors(out / "checkpoints" / "weights.safetensors")
    if set(written) != set(final):
        sys.exit(f"{model}: sgflow's parameters are {sorted(written)}, PyTorch's {sorted(final)}")
    for name, want in final.items():
        worst = np.abs(written[name] - want).max()
        table.add("weights after training", "PyTorch", f"{where}, {name}", worst, 0.0, scale=np.abs(want).max())


def main():
    binary, product, out = sys.argv[1:4]
    quick = QUICK if "--quick" in sys.argv[4:] else None
    registry = quantities(binary)
    at_points = [q for q in registry if "training" not in q["needs"]]
    in_noise = [q["name"] for q in registry if q["group"] == "noise"]
    table, unknown = Table(), set()
    for case in POINTS[:quick]:
        print("point:", *case, file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            unknown |= probe_points(binary, case, at_points, pathlib.Path(folder), table)
    for case in RUNS[:quick]:
        print("run:", *case, file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            watch_run(binary, product, case, in_noise, pathlib.Path(folder), table)
    compared = {key for key, _ in table.rows} | set(formulas.NO_REFERENCE)
    missing = sorted(unknown | {key for q in registry for key in q["keys"] if key not in compared})
    print(table.text())
    for key in missing:
        print(f"{key:<30}no reference")
    for failure in table.failures:
        print("DISAGREES:", json.dumps(failure, ensure_ascii=False))
    save(pathlib.Path(out), table, missing, quick)
    print(f"\n{len(table.failures)} disagreements" if table.failures else "\nall agree")
    sys.exit(1 if table.failures else 0)


def save(out, table, missing, quick):
    """Writes what was found to OUT.json and OUT.md."""
    versions = {"sgflow": environment.version(), **environment.PEERS.versions()}
    result = {"date": datetime.date.today().isoformat(), "versions": versions, "quick": bool(quick),
              "points": POINTS[:quick], "runs": RUNS[:quick], "rows": list(table.rows.values()), "no_reference": missing,
              "disagreements": table.failures}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_name(out.name + ".json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    text = (f"# Agreement with other libraries in float64 ({result['date']})\n\n"
            "Largest difference of each quantity over all points and runs; relative where no unit is given.\n"
            "Made by `bench/peers/agreement`.\n\n" + table.markdown() + "\n")
    if missing:
        text += "\nNot compared: " + ", ".join(f"`{key}`" for key in missing) + ".\n"
    out.with_name(out.name + ".md").write_text(text)


if __name__ == "__main__":
    main()
