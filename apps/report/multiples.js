"use strict";
// Small charts of one shape: held-out text, learning rate, gradient norm, speed, and a chart a balance loss.

function curveChart(title, unit, values, options = {}) {
  if (!runs.some((run) => (values(run) || []).some(isNumber))) return;
  const figure = element("figure", {}, titled(title, unit));
  byId("multiples").append(figure);
  const chart = lineChart(figure, `${title} over training`);
  onChange(() => {
    const datasets = [];
    runs.forEach((run, index) => {
      const ys = values(run);
      if (!shown(index) || !ys) return;
      const hue = runColor(index);
      datasets.push({ label: run.name, run: index, data: points(curveX(run), options.smooth ? smoothed(ys, run.curve.count, state.smooth) : ys), probe: true, borderColor: hue, backgroundColor: hue, borderDash: runDash(index), borderWidth: 1.4 });
    });
    const y = options.log ? { type: "logarithmic", ticks: { callback: (value) => (isOneTwoFive(value) ? tickText(value) : null) } } : { beginAtZero: Boolean(options.zero), ticks: { callback: (value) => tickText(value) } };
    show(chart, datasets, scaleX(true), y, { title: recordTitle, value: (item) => short(item.parsed.y) });
  }, kCurveKeys);
}

function heldOutChart() {
  if (!runs.some((run) => run.evaluations.length > 0)) return;
  const figure = element("figure", {}, titled("Held-out text", "bits per byte; ○ valid, ◆ test"));
  byId("multiples").append(figure);
  const chart = lineChart(figure, "Bits per byte of held-out text over training");
  onChange(() => {
    const datasets = runs.flatMap((run, index) => (shown(index) ? heldOutDatasets(run, index, "bits", true) : []));
    for (const dataset of datasets) { dataset.borderDash = runDash(dataset.run); dataset.borderWidth = 1.5; }
    const x = scaleX(true);
    const { min, max } = rangeY(datasets, [x.min, x.max]);
    show(chart, datasets, x, { min, max }, { title: recordTitle, value: (item) => fixed(item.parsed.y, 4) });
  }, kCurveKeys);
}

function makeMultiples() {
  heldOutChart();
  const positive = (values) => values && values.map((value) => (value > 0 ? value : null));
  curveChart("Learning rate", "as scheduled", (run) => run.curve.lr, { zero: true });
  curveChart("Gradient norm", "before clipping, log scale", (run) => positive(run.curve.grad_norm), { log: true, smooth: true });
  const names = [...new Set(runs.flatMap((run) => Object.keys(run.curve.balance)))].sort();
  for (const name of names) curveChart(`Balance: ${name}`, "unweighted, sum over layers", (run) => run.curve.balance[name], { smooth: true });
  curveChart("Speed", "tokens per second", (run) => run.curve.tokens_per_second, { zero: true, smooth: true });
  byId("multiples-section").hidden = byId("multiples").childElementCount === 0;
}
