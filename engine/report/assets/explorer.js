"use strict";
// The steps of each run: any quantity against steps or samples, by colour.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const sections = new Map(data.sections.map(s => [s.name, s.runs]));
  const first = ["loss", "noise_scale", "noise_scale_ema", "grad_var_trace", "grad_norm_sq_unbiased", "lambda_max", "trace", "batch_sharpness", "accuracy", "lr"];
  const logged = new Set(["loss", "noise_scale", "noise_scale_ema", "grad_var_trace", "grad_norm_sq", "grad_norm_sq_unbiased", "fisher_trace", "lambda_max", "trace", "batch_sharpness"]);
  const option = (value, label) => new Option(label === undefined ? value : label, value);
  for (const figure of document.querySelectorAll(".explorer")) {
    const runs = sections.get(figure.dataset.section);
    const pick = name => figure.querySelector(`.${name}`);
    const names = new Set(runs.flatMap(r => Object.keys(r.series.values)));
    const sorted = [...first.filter(n => names.delete(n)), ...[...names].sort()];
    pick("quantity").append(...sorted.map(n => option(n)));
    const batches = [...new Set(runs.map(r => r.batch))].sort((a, b) => a - b);
    pick("filter").append(option("", "all runs"), option("seed", "one seed a setting"), ...batches.map(b => option(b, `batch ${b}`)), ...runs.slice(0, 100).map((r, i) => option(`run ${i}`, r.label)));
    if (runs.length > 40) pick("filter").value = "seed";
    const plot = new Charts.Chart(figure.querySelector(".plot"), 400);
    const update = () => {
      const quantity = pick("quantity").value, against = pick("against").value, filter = pick("filter").value, colour = pick("colour").value;
      const seen = new Set();
      const list = runs.filter((r, i) => {
        if (filter === "") return true;
        if (filter === "seed") {
          const key = [r.batch, r.lr, r.momentum].join();
          return !seen.has(key) && !!seen.add(key);
        }
        return filter === `run ${i}` || filter === String(r.batch);
      }).filter(r => r.series.values[quantity]);
      const of = r => Math.log(Math.max(+r[colour], 1e-300));
      const values = [...new Set(list.map(of))].sort((a, b) => a - b);
      const series = list.map(r => ({
        label: r.label, line: true, thin: list.length > 8,
        share: values.length < 2 ? 0.3 : values.indexOf(of(r)) / (values.length - 1),
        points: r.series[against].map((x, i) => ({ x: x + 1, y: r.series.values[quantity][i] })).filter(p => p.y !== null),
      }));
      plot.show({ x: { label: against === "steps" ? "step, from 1" : "samples seen, from 1", log: plot.chart ? plot.chart.x.log : true }, y: { label: quantity, log: logged.has(quantity) }, series });
    };
    for (const name of ["quantity", "against", "colour", "filter"]) pick(name).addEventListener("change", update);
    update();
  }
})();
