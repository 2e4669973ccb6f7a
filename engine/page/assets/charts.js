"use strict";
// Charts: what the report calls a chart, drawn by uPlot, with error bars, marked
// intervals, a tip at the nearest point, zoom in both directions and log axes.
const Charts = (() => {
  const all = []; // every chart that is shown
  const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const palette = 7;
  const stops = { // of the ramp for many ordered series, from few to many
    light: [[68, 1, 84], [59, 82, 139], [33, 145, 140], [72, 160, 80], [170, 160, 20]],
    dark: [[190, 140, 235], [110, 150, 235], [60, 190, 185], [110, 215, 110], [250, 230, 90]],
  };
  const theme = () => document.documentElement.dataset.theme === "dark" ? "dark" : "light";

  // ramp returns a colour for a share from 0 to 1.
  function ramp(share) {
    const list = stops[theme()], at = Math.min(Math.max(share, 0), 1) * (list.length - 1);
    const i = Math.min(Math.floor(at), list.length - 2), f = at - i;
    return `rgb(${list[i].map((c, k) => Math.round(c + f * (list[i + 1][k] - c))).join(",")})`;
  }

  // text prints about three digits.
  function text(x) {
    if (x === 0) return "0";
    const a = Math.abs(x);
    if (a >= 1e6 || a < 1e-3) return x.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
    if (a >= 1000) return Math.round(x).toLocaleString("en");
    return String(+x.toPrecision(4));
  }

  // extent returns the ends of an axis over values, with some room.
  function extent(values, log) {
    let low = Infinity, high = -Infinity;
    for (const v of values) { if (v < low) low = v; if (v > high) high = v; }
    if (low > high) return log ? [1, 10] : [0, 1];
    if (log) {
      const f = Math.max(Math.pow(high / low, 0.04), 1.06);
      return [low / f, high * f];
    }
    const room = (high - low) * 0.04 || Math.abs(high) * 0.1 || 1;
    return [low - room, high + room];
  }

  // nice rounds up to 1, 2 or 5 times a power of ten.
  function nice(x) {
    const unit = Math.pow(10, Math.floor(Math.log10(x)));
    return unit * [1, 2, 5, 10].find(m => m * unit >= x * 0.999);
  }

  // ticks returns places for ticks of a log axis: decades, and 2 and 5 of each
  // where there are few.
  function ticks(low, high, most) {
    const first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high));
    const few = Math.log10(high / low) < 2.2;
    const every = few ? 1 : Math.max(1, Math.ceil((last - first) / most));
    const list = [];
    for (let e = first; e <= last; e++) {
      if (e % every) continue;
      for (const m of few ? [1, 2, 5] : [1]) {
        const x = m * Math.pow(10, e);
        if (x >= low && x <= high) list.push(+x.toPrecision(12));
      }
    }
    if (list.length > 2) return list;
    const step = nice((high - low) / 5), even = []; // less than a decade
    for (let i = Math.ceil(low / step); i * step <= high; i++) even.push(+(i * step).toPrecision(12));
    return even;
  }

  // columns lays series side by side over one ascending x, as uPlot wants it; the
  // points of one series that share an x get columns of their own.
  function columns(series) {
    const list = [];
    const taken = new Map();
    series.forEach((s, k) => s.points.forEach(p => {
      const key = `${p.x}`;
      const slots = taken.get(key) || taken.set(key, []).get(key);
      let column = slots.find(c => c.points[k] === undefined);
      if (!column) { column = { x: p.x, points: [] }; slots.push(column); list.push(column); }
      column.points[k] = p;
    }));
    list.sort((a, b) => a.x - b.x);
    return [list.map(c => c.x), ...series.map((_, k) => list.map(c => c.points[k] === undefined ? null : c.points[k].y))];
  }

  class Chart {
    constructor(host, height) {
      this.host = host;
      this.height = height;
      this.hidden = new Set();
      this.bar = document.createElement("div");
      this.bar.className = "tools";
      this.area = document.createElement("div");
      this.legend = document.createElement("ul");
      this.legend.className = "legend";
      host.append(this.bar, this.area, this.legend);
      this.buttons = {};
      for (const axis of ["x", "y"]) {
        this.buttons[axis] = this.button(`log ${axis}`, () => { this.chart[axis].log = !this.chart[axis].log; this.draw(); });
      }
      this.button("reset", () => this.reset());
      this.tip = document.createElement("div");
      this.tip.className = "tip";
      this.tip.hidden = true;
      all.push(this);
      new ResizeObserver(() => this.resize()).observe(host);
    }

    button(label, action) {
      const b = document.createElement("button");
      b.type = "button";
      b.textContent = label;
      b.addEventListener("click", action);
      this.bar.append(b);
      return b;
    }

    // show draws another chart in the place of the last.
    show(chart) {
      this.chart = chart;
      this.hidden.clear();
      this.draw();
    }

    width() {
      if (Charts.printing) return this.host.closest(".wide") ? 2 * Charts.printing + 20 : Charts.printing;
      return Math.max(240, this.host.clientWidth);
    }

    resize() {
      if (this.plot && this.width() !== this.plot.width) this.plot.setSize({ width: this.width(), height: this.size() });
    }

    size() { return this.width() < 420 ? Math.min(this.height, 250) : this.height; }

    colour(i) {
      const s = this.chart.series[i];
      if (s.share !== undefined) return ramp(s.share);
      const alike = this.chart.series.filter(t => !t.marks === !s.marks), k = alike.indexOf(s);
      if (!s.marks) return css(k === 0 ? "--soft" : "--mark"); // fits and references
      return alike.length > palette ? ramp(k / (alike.length - 1)) : css(`--c${k}`);
    }

    draw() {
      const c = this.chart;
      if (this.plot) this.plot.destroy();
      for (const axis of ["x", "y"]) this.buttons[axis].setAttribute("aria-pressed", String(!!c[axis].log));
      const fits = (v, log) => v !== null && v !== undefined && Math.abs(v) <= 1e100 && (v >= 1e-100 || !log);
      this.series = c.series.map(s => ({ ...s, points: s.points.filter(p => fits(p.x, c.x.log) && fits(p.y, c.y.log)) }));
      const xs = [], ys = [];
      for (const s of this.series) for (const p of s.points) {
        xs.push(p.x);
        ys.push(p.y);
        for (const end of [p.low, p.high]) if (fits(end, c.y.log)) ys.push(end);
      }
      for (const s of c.spans || []) if (fits(s.at, c.x.log) && xs.length) xs.push(Math.min(Math.max(s.at, Math.min(...xs)), Math.max(...xs)));
      this.extents = { x: extent(xs, c.x.log), y: extent(ys, c.y.log) };
      const ink = css("--ink"), soft = css("--soft"), grid = css("--grid");
      const axis = key => ({
        scale: key, stroke: soft, label: c[key].label, labelSize: 22, labelFont: "12px system-ui, sans-serif", font: "11px system-ui, sans-serif",
        grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1, size: 5 },
        ...(key === "y" ? { size: 58 } : { size: 34 }),
        values: (u, list) => list.map(v => v === null ? "" : text(v)),
        ...(c[key].log ? { splits: (u, i, low, high) => this.splits(key, low, high), filter: (u, list) => list } : {}),
      });
      const options = {
        width: this.width(), height: this.size(), pxAlign: 0,
        legend: { show: false },
        scales: Object.fromEntries(["x", "y"].map(k => [k, { time: false, distr: c[k].log ? 3 : 1, auto: false, range: (u, low, high) => low === null || low === undefined ? this.extents[k] : [low, high], min: this.extents[k][0], max: this.extents[k][1] }])),
        axes: [axis("x"), axis("y")],
        series: [{}, ...this.series.map((s, i) => ({
          scale: "y", label: s.label, stroke: this.colour(i), width: s.line ? (s.thin ? 1 : 1.6) : 0, dash: s.dashed ? [6, 4] : undefined, spanGaps: true,
          show: !this.hidden.has(i),
          paths: s.line ? undefined : () => null,
          points: { show: !!s.marks, size: 7, fill: this.colour(i), width: 1 },
        }))],
        cursor: {
          drag: { x: true, y: true, uni: 30 }, points: { show: false },
          bind: { dblclick: () => () => { this.reset(); return null; } },
        },
        hooks: { drawAxes: [u => this.spans(u)], draw: [u => this.bars(u)], setCursor: [u => this.point(u)] },
      };
      this.area.replaceChildren();
      this.plot = new uPlot(options, columns(this.series), this.area);
      this.plot.over.append(this.tip);
      this.plot.over.addEventListener("mouseleave", () => { this.tip.hidden = true; });
      this.reset();
      this.names(ink);
    }

    splits(key, low, high) {
      const own = this.chart[key].ticks;
      if (own) {
        const every = Math.ceil(own.length / Math.max(2, Math.floor(this.width() / 52)));
        const list = own.filter((x, i) => i % every === 0 && x >= low && x <= high);
        if (list.length > 1) return list;
      }
      return ticks(low, high, key === "x" ? Math.max(3, this.width() / 70) : 7);
    }

    reset() {
      this.plot.batch(() => {
        for (const k of ["x", "y"]) this.plot.setScale(k, { min: this.extents[k][0], max: this.extents[k][1] });
      });
    }

    names(ink) {
      this.legend.replaceChildren();
      const many = this.series.length > 24;
      this.series.forEach((s, i) => {
        if (many || !s.label) return;
        const item = document.createElement("li"), b = document.createElement("button"), swatch = document.createElement("i");
        b.type = "button";
        swatch.style.borderTopColor = this.colour(i);
        if (s.dashed) swatch.style.borderTopStyle = "dashed";
        b.append(swatch, s.label);
        b.classList.toggle("off", this.hidden.has(i));
        b.addEventListener("click", () => {
          if (!this.hidden.delete(i)) this.hidden.add(i);
          b.classList.toggle("off", this.hidden.has(i));
          this.plot.setSeries(i + 1, { show: !this.hidden.has(i) });
        });
        item.append(b);
        this.legend.append(item);
      });
      for (const s of this.chart.spans || []) {
        const item = document.createElement("li"), swatch = document.createElement("i");
        swatch.style.borderTopColor = css("--mark");
        swatch.style.borderTopStyle = "dotted";
        item.append(swatch, `${s.label}: ${text(s.at)}${s.low === undefined || s.high === undefined ? "" : ` (${text(s.low)} to ${text(s.high)})`}`);
        this.legend.append(item);
      }
    }

    // spans marks places on the x axis.
    spans(u) {
      for (const s of this.chart.spans || []) {
        const { ctx, bbox } = u, x = u.valToPos(s.at, "x", true);
        ctx.save();
        ctx.beginPath();
        ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
        ctx.clip();
        if (s.low > 0 && s.high > 0) {
          const from = u.valToPos(s.low, "x", true), to = u.valToPos(s.high, "x", true);
          ctx.fillStyle = css("--mark");
          ctx.globalAlpha = 0.13;
          ctx.fillRect(from, bbox.top, to - from, bbox.height);
          ctx.globalAlpha = 1;
        }
        ctx.strokeStyle = css("--mark");
        ctx.setLineDash([3, 3]);
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
        ctx.restore();
      }
    }

    // bars draws error bars.
    bars(u) {
      const { ctx, bbox } = u, log = this.chart.y.log;
      ctx.save();
      ctx.beginPath();
      ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
      ctx.clip();
      this.series.forEach((s, i) => {
        if (this.hidden.has(i)) return;
        ctx.strokeStyle = this.colour(i);
        ctx.lineWidth = devicePixelRatio;
        for (const p of s.points) {
          if (p.low === undefined || p.high === undefined) continue;
          const x = u.valToPos(p.x, "x", true), top = u.valToPos(p.high, "y", true);
          const bottom = log && p.low <= 0 ? bbox.top + bbox.height : u.valToPos(p.low, "y", true);
          const cap = 3 * devicePixelRatio;
          ctx.beginPath();
          ctx.moveTo(x, top);
          ctx.lineTo(x, bottom);
          ctx.moveTo(x - cap, top);
          ctx.lineTo(x + cap, top);
          ctx.moveTo(x - cap, bottom);
          ctx.lineTo(x + cap, bottom);
          ctx.stroke();
        }
      });
      ctx.restore();
    }

    // point shows the tip of the nearest point.
    point(u) {
      const { left, top } = u.cursor;
      let best = null, least = 40 * 40;
      if (left >= 0) this.series.forEach((s, i) => {
        if (this.hidden.has(i)) return;
        for (const p of s.points) {
          const dx = u.valToPos(p.x, "x") - left, dy = u.valToPos(p.y, "y") - top, d = dx * dx + dy * dy;
          if (d < least) { least = d; best = { s, p }; }
        }
      });
      this.tip.hidden = !best;
      if (!best) return;
      const { s, p } = best;
      const error = p.high === undefined ? "" : ` ± ${text((p.high - p.low) / 2)}`;
      this.tip.textContent = `${p.note || s.label}\n${this.chart.x.label}: ${text(p.x)}\n${this.chart.y.label}: ${text(p.y)}${error}`;
      const x = u.valToPos(p.x, "x"), y = u.valToPos(p.y, "y");
      this.tip.style.left = `${Math.max(0, Math.min(x + 10, u.over.clientWidth - this.tip.offsetWidth))}px`;
      this.tip.style.top = `${y > u.over.clientHeight / 2 ? y - this.tip.offsetHeight - 8 : y + 8}px`;
    }
  }

  // redraw draws all charts anew, for another theme or medium.
  const redraw = () => all.forEach(c => c.chart && c.draw());
  return { Chart, redraw, theme, text, printing: 0 };
})();
