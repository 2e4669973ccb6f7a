"""Draws the result of a comparison:  plot.py RESULT.json  →  RESULT.png"""

import json
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def main():
    path = pathlib.Path(sys.argv[1])
    result = json.loads(path.read_text())
    rows = result["rows"]
    models = sorted({r["model"] for r in rows}, reverse=True)
    figure, axes = plt.subplots(1, len(models), figsize=(6.5 * len(models), 5.5), squeeze=False)
    names = sorted({(r["system"] != "sgflow", r["system"], r["measure"]) for r in rows})
    colours = plt.get_cmap("tab10")
    for axis, model in zip(axes[0], models):
        for k, (peer, system, measure) in enumerate(names):
            least = {}
            for r in rows:
                if (r["model"], r["system"], r["measure"]) == (model, system, measure):
                    least[r["batch"]] = min(r["ms_per_step"], least.get(r["batch"], r["ms_per_step"]))
            if not least:
                continue
            batches = sorted(least)
            label = system if peer else f"{system}, measure {measure}"
            axis.plot(batches, [least[b] for b in batches], marker="o", markersize=4, color=colours(k % 10),
                      linestyle="--" if peer else "-", linewidth=1.2 if peer else 2.2, label=label)
        axis.set(xscale="log", yscale="log", title=model, xlabel="batch", ylabel="ms a step, best thread count")
        axis.set_xticks(sorted({r["batch"] for r in rows}), labels=sorted({str(r["batch"]) for r in rows}, key=int))
        axis.minorticks_off()
        axis.grid(True, which="major", alpha=0.3)
        axis.legend(fontsize=8)
    machine = result["machine"]
    figure.suptitle(f"A training step on {machine['processor']}, {machine['cores']} cores ({result['date']})")
    figure.tight_layout()
    figure.savefig(path.with_suffix(".png"), dpi=130)


if __name__ == "__main__":
    main()
