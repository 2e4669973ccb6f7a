"use strict";
// The page: its charts, tables that sort, theme and print.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null; // a theme that was asked for
  const setTheme = name => {
    root.dataset.theme = name;
    Charts.redraw();
  };
  root.dataset.theme = dark.matches ? "dark" : "light";
  dark.addEventListener("change", () => { if (!chosen) setTheme(dark.matches ? "dark" : "light"); });
  document.getElementById("theme").addEventListener("click", () => {
    chosen = Charts.theme() === "dark" ? "light" : "dark";
    setTheme(chosen);
  });

  const charts = new Map(data.charts.map(c => [c.name, c.chart]));
  for (const figure of document.querySelectorAll("[data-chart]")) {
    new Charts.Chart(figure.querySelector(".plot"), 290).show(charts.get(figure.dataset.chart));
  }

  // Tables that sort by the number behind a cell, missing ones last.
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.querySelectorAll("thead th")];
    heads.forEach((head, k) => head.querySelector("button").addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach(h => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const body = table.tBodies[0];
      const value = row => {
        const cell = row.cells[k];
        if (head.dataset.text) return cell.textContent;
        return cell.dataset.v === undefined ? null : +cell.dataset.v;
      };
      const rows = [...body.rows].sort((a, b) => {
        const x = value(a), y = value(b);
        if (x === null || y === null) return (x === null) - (y === null);
        return sign * (x < y ? -1 : x > y ? 1 : 0);
      });
      body.append(...rows);
    }));
  }

  // On paper: light, two charts beside each other, all explanations open.
  let opened = [];
  addEventListener("beforeprint", () => {
    if (Charts.printing) return;
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach(d => { d.open = true; });
    root.dataset.theme = "light";
    Charts.printing = 316;
    Charts.redraw();
  });
  addEventListener("afterprint", () => {
    opened.forEach(d => { d.open = false; });
    Charts.printing = 0;
    setTheme(chosen || (dark.matches ? "dark" : "light"));
  });
})();
