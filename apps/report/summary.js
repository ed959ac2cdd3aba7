"use strict";
// Tables of what each run reached and cost, and the chart of quality against cost.

// Within this share of the first run's number, two runs count as equal.
const kEqual = 0.02;

function against(value, first, index) {
  if (index === 0 || !isNumber(value) || !isNumber(first) || first === 0) return null;
  const ratio = value / first;
  return element("small", {}, Math.abs(ratio - 1) <= kEqual ? "=" : `${ratio.toFixed(2)}×`);
}

function splitNames() { return [...new Set(runs.flatMap((run) => Object.keys(run.summary.splits)))].sort((a, b) => (a === "test") - (b === "test") || a.localeCompare(b)); }

function selectorShare(run) {
  const { selector_flops: selector, forward_flops: forward } = run.summary;
  return selector > 0 && forward > 0 ? selector / forward : null;
}

function summaryColumns() {
  const plain = (title, unit, key, text, relative) => ({ title, unit, value: (run) => run.summary[key], text, relative });
  const columns = [
    { title: "method", unit: "", value: (run) => run.summary.method || null, text: (value) => value ?? kNothing, words: true },
    plain("parameters", "all", "parameters", short, true),
    plain("active", "parameters", "active_parameters", short, true),
    plain("FLOPs", "per token, forward", "forward_flops", short, true),
    { title: "selector", unit: "share of FLOPs", value: selectorShare, text: (value) => (isNumber(value) ? `${(100 * value).toFixed(1)} %` : kNothing) },
    plain("tokens", "read", "tokens", short),
    plain("time", "of training", "seconds", duration, true),
    plain("speed", "tokens / s", "tokens_per_second", short),
    { ...plain("training loss", "nats / token", "train_loss", (value) => fixed(value, 4)), best: Math.min },
  ];
  for (const split of splitNames()) {
    columns.push({ title: split, unit: "bits / byte", value: (run) => run.summary.splits[split]?.bits, text: (value) => fixed(value, 4), best: Math.min, split });
  }
  columns.push({ title: "experts", unit: "as good as used", value: (run) => run.summary.usage, text: (value) => (isNumber(value) ? `${trimmed(100 * value)} %` : kNothing) },
    plain("dead", "experts, of all layers", "dead_experts", short), plain("MaxVio", "of the worst layer", "max_vio", (value) => fixed(value, 2)));
  return columns.filter((column) => runs.some((run) => column.value(run) !== null && column.value(run) !== undefined));
}

function runHead(index) {
  return element("th", { scope: "row" }, swatch(index), runs[index].name);
}

function summaryCell(column, run, index) {
  const value = column.value(run);
  const cell = element("td", { class: column.words ? "words" : null }, column.text(value));
  const values = runs.map(column.value).filter(isNumber);
  if (column.best && values.length > 1 && value === column.best(...values)) cell.classList.add("best");
  if (column.relative) cell.append(against(value, column.value(runs[0]), index) ?? "");
  const split = column.split && run.summary.splits[column.split];
  if (split && isNumber(split.best_bits) && split.best_bits < split.bits - 5e-4) cell.append(element("small", {}, `best ${fixed(split.best_bits, 4)} at ${short(split.best_step)}`));
  return cell;
}

function makeSummary() {
  const columns = summaryColumns();
  let sorted = null;
  const draw = () => {
    const order = runs.map((run, index) => index);
    if (sorted) {
      const key = (index) => sorted.column.value(runs[index]);
      const compare = (a, b) => (isNumber(a) && isNumber(b) ? a - b : isNumber(a) ? -1 : isNumber(b) ? 1 : String(a).localeCompare(String(b)));
      order.sort((a, b) => sorted.sign * compare(key(a), key(b)) || a - b);
    }
    const head = columns.map((column) => {
      const here = sorted && sorted.column === column;
      const turn = () => { sorted = !here ? { column, sign: 1 } : sorted.sign === 1 ? { column, sign: -1 } : null; draw(); };
      const name = runs.length > 2 ? element("button", { type: "button", onclick: turn }, column.title) : column.title;
      return element("th", { scope: "col", class: column.words ? "words" : null, "aria-sort": here ? (sorted.sign === 1 ? "ascending" : "descending") : null }, name, element("span", { class: "unit" }, column.unit || "\u00a0"));
    });
    const rows = order.map((index) => element("tr", {}, runHead(index), ...columns.map((column) => summaryCell(column, runs[index], index))));
    const focused = [...byId("summary").querySelectorAll("button")].indexOf(document.activeElement);
    byId("summary").replaceChildren(table([element("th", { scope: "col" }, "run", element("span", { class: "unit" }, "\u00a0")), ...head], rows));
    if (focused >= 0) byId("summary").querySelectorAll("button")[focused].focus();
  };
  draw();
  const records = Math.max(...runs.map((run) => run.summary.loss_records));
  const hints = [`Training loss is the mean of the last ${records > 1 ? `${records} records` : "record"}. FLOPs: 2 per multiply-add.`];
  if (runs.length > 1) hints.unshift(`Beside a number: its ratio to the first run's; = is within ${kEqual * 100} %. Bold is best.`);
  byId("summary-hint").textContent = hints.join(" ");
}

function budgetName(budget) {
  if (budget.axis === "seconds") return `after ${duration(budget.amount)} of training`;
  return `after ${short(budget.amount)} ${budget.axis === "tokens" ? "tokens" : "training FLOPs"}`;
}

function makeBudgets() {
  const useful = report.budgets.filter((budget) => budget.bits.some(isNumber) || budget.train_loss.some(isNumber));
  if (useful.length === 0) return;
  byId("budgets-section").hidden = false;
  // A group of columns a budget: evaluation and training loss, where known.
  const columns = useful.flatMap((budget) => [["bits", report.followed_split, "bits / byte"], ["train_loss", "training loss", "nats / token"]]
    .filter(([key]) => budget[key].some(isNumber)).map(([key, title, unit]) => ({ budget, values: budget[key], title, unit })));
  const cell = (values, index) => {
    const known = values.filter(isNumber);
    return element("td", { class: known.length > 1 && values[index] === Math.min(...known) ? "best" : null }, fixed(values[index], 4));
  };
  const groups = useful.map((budget) => element("th", { scope: "colgroup", class: "group", colspan: columns.filter((column) => column.budget === budget).length }, budgetName(budget)));
  const heads = columns.map((column) => element("th", { scope: "col" }, column.title, element("span", { class: "unit" }, column.unit)));
  const rows = runs.map((run, index) => element("tr", {}, runHead(index), ...columns.map((column) => cell(column.values, index))));
  const made = table([element("th", { scope: "col" }, "run", element("span", { class: "unit" }, "\u00a0")), ...heads], rows);
  made.tHead.prepend(element("tr", {}, element("td", { class: "group" }), ...groups));
  byId("budgets").append(made);
  byId("budgets-hint").textContent = "The budget is what the thriftiest run spent in all; between two evaluations a straight line is drawn. " +
    `Training FLOPs are ${report.training_passes} × forward FLOPs per token × tokens; recomputation and the optimizer are not counted.`;
}

const kCosts = {
  parameters: "parameters", active_parameters: "active parameters", forward_flops: "FLOPs per token", training_flops: "training FLOPs", seconds: "time",
};

function makeCost() {
  const bits = (run) => run.summary.splits[report.split]?.bits;
  const known = Object.keys(kCosts).filter((cost) => runs.filter((run) => isNumber(run.summary[cost]) && isNumber(bits(run))).length > 2);
  if (known.length === 0) return;
  byId("cost-section").hidden = false;
  if (!known.includes(state.cost)) state.cost = known[0];
  choice(byId("choose-cost"), "cost", known.map((cost) => [cost, kCosts[cost], null]), (cost) => change({ cost }));
  const chart = lineChart(byId("cost"), "Bits per byte of every run against its cost", false);
  chart.config.plugins.push(pointNames);
  byId("cost").append(element("figcaption", {}, `Bits per byte on ${report.split} text; lower and further left is better.`));
  onChange(() => {
    const datasets = [];
    runs.forEach((run, index) => {
      if (!shown(index) || !isNumber(run.summary[state.cost]) || !isNumber(bits(run))) return;
      datasets.push({ label: run.name, run: index, data: [{ x: run.summary[state.cost], y: bits(run), row: 0 }], probe: true, borderColor: runColor(index), backgroundColor: runColor(index), pointRadius: 6, pointHoverRadius: 8, showLine: false });
    });
    const xs = datasets.map((one) => one.data[0].x), ys = datasets.map((one) => one.data[0].y);
    const room = (values) => (Math.max(...values) - Math.min(...values)) || Math.abs(values[0]) || 1;
    const text = state.cost === "seconds" ? duration : short;
    const x = { type: "linear", min: Math.max(0, Math.min(...xs) - room(xs) * 0.12), max: Math.max(...xs) + room(xs) * 0.25, title: { display: true, text: kCosts[state.cost] }, ticks: { maxTicksLimit: 8, includeBounds: false, callback: (value) => text(value) } };
    const y = { min: Math.min(...ys) - room(ys) * 0.15, max: Math.max(...ys) + room(ys) * 0.15, title: { display: true, text: "bits per byte", color: color("soft") } };
    show(chart, datasets, x, y, { title: ([item]) => `${kCosts[state.cost]} ${text(item.parsed.x)}`, value: (item) => fixed(item.parsed.y, 4) });
  }, ["cost", "hidden", "theme"]);
}

const pointNames = {
  id: "names",
  afterDatasetsDraw(chart) {
    const { ctx } = chart;
    ctx.save();
    ctx.font = `12px ${Chart.defaults.font.family}`;
    ctx.fillStyle = color("ink");
    ctx.textBaseline = "middle";
    chart.data.datasets.forEach((dataset, index) => {
      const point = chart.getDatasetMeta(index).data[0];
      if (point) ctx.fillText(dataset.label, point.x + 11, point.y);
    });
    ctx.restore();
  },
};
