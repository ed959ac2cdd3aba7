"use strict";
// How a run used its experts: loads by layer at any time, one layer over time and sorted, and the measures of unevenness.

function chosenLayer(index) { return state.layer[index] ?? 0; }

function frameOf(layer) { return Math.round(state.frame * (layer.frame_step.length - 1)); }

function expertName(layer, group) {
  const groups = layer.load[0].length;
  if (groups === layer.experts) return `expert ${group}`;
  const first = Math.floor((group * layer.experts) / groups), last = Math.floor(((group + 1) * layer.experts) / groups) - 1;
  return `experts ${first} to ${last}`;
}

function loadText(load) { return load === 0 ? "chosen by no token" : `load ${trimmed(load)}`; }

function columnNames(layer) { return layer.load[0].map((_, group) => String(Math.floor((group * layer.experts) / layer.load[0].length))); }

function colourScale() {
  const bar = element("div", { class: "scale", "aria-hidden": "true" }, element("span", {}, "× none"));
  const steps = [0.25, 0.5, 0.71, 1, 1.41, 2, 4].map((load) => [load, element("i")]);
  bar.append(element("span", {}, "¼"), ...steps.map(([, cell]) => cell), element("span", {}, "4 × even"));
  onChange(() => steps.forEach(([load, cell]) => { cell.style.background = loadColor(load); }), ["theme"]);
  return bar;
}

function layersFigure(run, index) {
  const figure = element("figure", {}, titled("All layers", run.layers.length > 1 ? "layer by expert; click a row to see it over training" : "layer by expert"));
  const heat = new Heatmap(figure, `Load of every expert in ${run.layers.length} layers of ${run.name}`,
    (row, column) => { const layer = run.layers[row]; return `layer ${layer.layer}, ${expertName(layer, column)}: ${loadText(layer.load[frameOf(layer)][column])}`; },
    (row) => change({ layer: { ...state.layer, [index]: row } }));
  onChange(() => heat.draw({
    rows: run.layers.length, columns: Math.max(...run.layers.map((layer) => layer.load[0].length)),
    read: (row, column) => run.layers[row].load[frameOf(run.layers[row])][column],
    rowNames: run.layers.map((layer) => String(layer.layer)), columnNames: columnNames(run.layers[0]), chosen: chosenLayer(index),
  }), ["layer", "frame", "theme"]);
  return figure;
}

function layerFigure(run, index) {
  const title = titled("", "");
  const figure = element("figure", {}, title);
  const heat = new Heatmap(figure, `Load of the experts of one layer of ${run.name} over training`,
    (row, column) => { const layer = run.layers[chosenLayer(index)]; return `step ${whole(layer.frame_step[column])}, ${expertName(layer, row)}: ${loadText(layer.load[column][row])}`; }, null);
  onChange(() => {
    const layer = run.layers[chosenLayer(index)];
    title.replaceChildren(`Layer ${layer.layer} over training`, element("span", { class: "unit" }, " expert by step"));
    heat.draw({
      rows: layer.load[0].length, columns: layer.frame_step.length, read: (row, column) => layer.load[column][row],
      rowNames: columnNames(layer), columnNames: layer.frame_step.map((step) => tickText(step)),
    });
  }, ["layer", "theme"]);
  return figure;
}

function sortedFigure(run, index) {
  const title = titled("", "");
  const figure = element("figure", {}, title);
  const chart = lineChart(figure, `Loads of one layer of ${run.name}, sorted`, false);
  onChange(() => {
    const layer = run.layers[chosenLayer(index)], frame = frameOf(layer), last = frame === layer.frame_step.length - 1;
    const order = layer.load[frame].map((load, group) => [load, group]).sort((a, b) => b[0] - a[0] || a[1] - b[1]);
    title.replaceChildren(`Layer ${layer.layer}, sorted`, element("span", { class: "unit" }, ` at step ${whole(layer.frame_step[frame])}${last && layer.gate_mass.length ? "; dots: gate mass" : ""}`));
    const bars = { type: "bar", label: "load", data: order.map(([load], i) => ({ x: i, y: load, row: i })), backgroundColor: order.map(([load]) => loadColor(load)), borderColor: color("soft"), borderWidth: order.length > 64 ? 0 : 0.5, categoryPercentage: 1, barPercentage: order.length > 64 ? 1 : 0.86, grouped: false, probe: true, order: 2 };
    const dots = { label: "gate mass", data: order.map(([, group], i) => ({ x: i, y: layer.gate_mass[group], row: i })), showLine: false, pointRadius: order.length > 64 ? 1 : 2.5, pointBackgroundColor: color("ink"), borderColor: color("ink"), probe: true, order: 1 };
    const even = { label: "even", data: [{ x: -0.5, y: 1 }, { x: order.length - 0.5, y: 1 }], borderColor: color("soft"), borderWidth: 1, borderDash: [3, 3], order: 3 };
    show(chart, last && layer.gate_mass.length ? [bars, dots, even] : [bars, even],
      { type: "linear", min: -0.5, max: order.length - 0.5, offset: false, title: { display: false }, ticks: { display: false } }, { beginAtZero: true },
      { title: ([item]) => expertName(layer, order[item.raw.row][1]), value: (item) => trimmed(item.parsed.y) });
  }, ["layer", "frame", "theme"]);
  return figure;
}

function measureFigure(run, title, unit, key, y) {
  const figure = element("figure", {}, titled(title, unit));
  const chart = lineChart(figure, `${title} of every layer of ${run.name} over training`, false);
  onChange(() => {
    const datasets = run.layers.map((layer, position) => ({ label: `layer ${layer.layer}`, data: points(layer.step, layer[key]), probe: true, borderColor: layerColor(position, run.layers.length), backgroundColor: layerColor(position, run.layers.length), borderWidth: 1.3 }));
    const all = run.layers.flatMap((layer) => layer.step).filter((step) => !state.log || step > 0);
    const x = { ...scaleX(true), min: state.log ? Math.min(...all) : 0, max: Math.max(...all) };
    x.ticks = { ...x.ticks, callback: (value) => (state.log && !isOneTwoFive(value) ? null : tickText(value)) };
    show(chart, datasets, x, y, { title: ([item]) => `step ${whole(item.parsed.x)}`, value: (item) => trimmed(item.parsed.y) });
  }, ["log", "theme"]);
  return figure;
}

function timeRow(run) {
  const longest = run.layers.reduce((a, b) => (b.frame_step.length > a.frame_step.length ? b : a));
  const most = longest.frame_step.length - 1;
  const slider = element("input", { type: "range", min: 0, max: most, step: 1, disabled: most === 0, "aria-label": `Step at which the loads of ${run.name} are shown`, oninput: (event) => change({ frame: most > 0 ? Number(event.target.value) / most : 1 }) });
  const told = element("output");
  onChange(() => { slider.value = frameOf(longest); told.textContent = `step ${whole(longest.frame_step[frameOf(longest)])}`; }, ["frame"]);
  return element("div", { class: "time" }, element("span", {}, "Load at"), told, slider, colourScale());
}

function usageWords(run) {
  const last = (values) => values[values.length - 1];
  const dead = run.layers.reduce((sum, layer) => sum + (last(layer.load) ? last(layer.dead_experts) ?? 0 : 0), 0);
  const worst = run.layers.reduce((a, b) => (last(b.max_vio) > last(a.max_vio) ? b : a));
  const experts = run.layers.reduce((sum, layer) => sum + layer.experts, 0);
  const used = run.layers.reduce((sum, layer) => sum + (last(layer.usage_perplexity) ?? 0), 0);
  return `${run.layers.length} ${run.layers.length === 1 ? "layer" : "layers"} of ${run.layers[0].experts} experts; at the end as good as ${trimmed((100 * used) / experts)} % used, ` +
    `${trimmed(dead)} of ${experts} dead, most uneven in layer ${worst.layer} (MaxVio ${fixed(last(worst.max_vio), 2)}).` +
    (run.layers.length > 1 ? " In the lines, the first layer is faint and the last one strong." : "");
}

function runExperts(run, index, open) {
  const box = element("details", { class: "run", open }, element("summary", {}, swatch(index), run.name));
  byId("experts").append(box);
  const fill = () => {
    if (box.childElementCount > 1) return;
    const measures = element("div", { class: "grid" });
    const usage = element("div", { class: "usage" });
    box.append(element("p", {}, usageWords(run)), timeRow(run), usage);
    usage.append(layersFigure(run, index), layerFigure(run, index), measures);
    const most = run.layers[0].experts;
    measures.append(sortedFigure(run, index),
      measureFigure(run, "Usage perplexity", `of ${most} experts`, "usage_perplexity", { beginAtZero: true, max: Math.max(...run.layers.map((layer) => layer.experts)) }),
      measureFigure(run, "MaxVio", "most load over even − 1", "max_vio", { beginAtZero: true }),
      measureFigure(run, "Dead experts", "chosen by no token", "dead_experts", { beginAtZero: true, suggestedMax: 1, ticks: { precision: 0 } }));
    if (run.layers.some((layer) => layer.unevenness.some(isNumber))) measures.append(measureFigure(run, "Unevenness", "of gate mass, nats", "unevenness", { beginAtZero: true }));
  };
  box.addEventListener("toggle", () => { if (box.open) fill(); });
  if (open) fill();
}

function makeExperts() {
  const routed = runs.map((run, index) => index).filter((index) => runs[index].layers.length > 0);
  if (routed.length === 0) return;
  byId("experts-section").hidden = false;
  routed.forEach((index, place) => runExperts(runs[index], index, place < 2));
}
