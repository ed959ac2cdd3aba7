"use strict";
// The page of `moegrad inspect`. The document: version, and one run as inspection_json writes it, with its routing's layers as `layers`.

const inspected = runs[0];

function relativeLoads(shares) { return shares.map((share) => share * shares.length); }

function groupName(layer, group) {
  const groups = layer.load.length, width = Math.ceil(layer.cells / groups);
  return width === 1 ? `expert ${group}` : `cells ${group * width} to ${Math.min(layer.cells, (group + 1) * width) - 1}`;
}

function groupNames(layer) {
  const width = Math.ceil(layer.cells / layer.load.length);
  return layer.load.map((_, group) => String(group * width));
}

function ofCells(value, layer) { return [trimmed(value), element("small", {}, `${trimmed((100 * value) / layer.cells)} %`)]; }

// How many sub-keys are as good as used.
function halves(layer) { return (layer.sub_key_entropy ?? []).map((entropy) => trimmed(Math.exp(entropy))).join(" · ") || kNothing; }

function makeLayerTable() {
  byId("layers-section").hidden = false;
  const optional = (value, digits) => (isNumber(value) ? fixed(value, digits) : kNothing);
  const columns = [
    ["cells", "", (layer) => [whole(layer.cells)]],
    ["chosen", "per token", (layer) => [whole(layer.choices_per_token)]],
    ["dead", "chosen by no token", (layer) => ofCells(layer.dead_experts, layer)],
    ["as good as used", "perplexity", (layer) => ofCells(layer.usage_perplexity, layer)],
    ["unevenness", "of gates, nats", (layer) => [fixed(layer.unevenness, 3)]],
    ["Gini", "of choices", (layer) => [fixed(layer.gini, 3)]],
    ["half on", "cells, of gates", (layer) => [whole(layer.top50)]],
    ["MaxVio", "all tokens", (layer) => [fixed(layer.max_vio, 2)]],
    ["MaxVio", "a window", (layer) => [optional(layer.window?.max_vio, 2)]],
    ["MaxVio", "a sequence", (layer) => [optional(layer.sequence?.max_vio, 2)]],
    ["zero gates", "of choices", (layer) => [`${trimmed(100 * layer.without_gate)} %`]],
    ["repeated", "of choices", (layer) => [`${trimmed(100 * layer.repeated)} %`], inspected.layers.some((layer) => layer.repeated > 0)],
    ["router", "entropy, nats", (layer) => [optional(layer.router_entropy, 3)], inspected.layers.some((layer) => isNumber(layer.router_entropy))],
    ["sub-keys", "as good as used", (layer) => [halves(layer)], inspected.layers.some((layer) => layer.sub_keys)],
  ].filter(([, , , wanted]) => wanted !== false);
  const head = columns.map(([title, unit]) => element("th", { scope: "col" }, title, element("span", { class: "unit" }, unit || "\u00a0")));
  const rows = inspected.layers.map((layer) => element("tr", {}, element("th", { scope: "row" }, `layer ${layer.layer}`), ...columns.map(([, , read]) => element("td", {}, ...read(layer)))));
  byId("layers").append(table([element("th", { scope: "col" }, "layer", element("span", { class: "unit" }, "\u00a0")), ...head], rows));
  byId("layers-hint").textContent = "Unevenness is ln cells − entropy of the gate mass; MaxVio the largest load over an even one, less 1; a window and a sequence: the mean over those that were read. " +
    "Half on: the fewest cells that hold half of the gate mass.";
}

function chosen() { return inspected.layers[chosenLayer(0)]; }

function makeLoads() {
  byId("load-section").hidden = false;
  byId("scale").append(colourScale());
  const loads = inspected.layers.map((layer) => relativeLoads(layer.load));
  const all = element("figure", {}, titled("All layers", inspected.layers.length > 1 ? "layer by expert; click a row to look at it" : "layer by expert"));
  byId("load").append(all);
  const heat = new Heatmap(all, `Load of every expert in ${inspected.layers.length} layers`,
    (row, column) => `layer ${inspected.layers[row].layer}, ${groupName(inspected.layers[row], column)}: ${loadText(loads[row][column])}`,
    (row) => change({ layer: { 0: row } }));
  onChange(() => heat.draw({
    rows: loads.length, columns: Math.max(...loads.map((load) => load.length)), read: (row, column) => loads[row][column],
    rowNames: inspected.layers.map((layer) => String(layer.layer)), columnNames: groupNames(inspected.layers[0]), chosen: chosenLayer(0),
  }), ["layer", "theme"]);

  const title = titled("", "");
  const sorted = element("figure", {}, title);
  byId("load").append(sorted);
  const chart = lineChart(sorted, "Loads of the chosen layer, sorted", false);
  onChange(() => {
    const layer = chosen(), gates = relativeLoads(layer.gate_mass);
    const order = loads[chosenLayer(0)].map((load, group) => [load, group]).sort((a, b) => b[0] - a[0] || a[1] - b[1]);
    title.replaceChildren(`Layer ${layer.layer}, sorted`, element("span", { class: "unit" }, " bars: choices; dots: gate mass"));
    const many = order.length > 64;
    show(chart, [
      { type: "bar", label: "load", data: order.map(([load], i) => ({ x: i, y: load, row: i })), backgroundColor: order.map(([load]) => loadColor(load)), borderColor: color("soft"), borderWidth: many ? 0 : 0.5, categoryPercentage: 1, barPercentage: many ? 1 : 0.86, grouped: false, probe: true, order: 2 },
      { label: "gate mass", data: order.map(([, group], i) => ({ x: i, y: gates[group], row: i })), showLine: false, pointRadius: many ? 1 : 2.5, pointBackgroundColor: color("ink"), borderColor: color("ink"), probe: true, order: 1 },
      { label: "even", data: [{ x: -0.5, y: 1 }, { x: order.length - 0.5, y: 1 }], borderColor: color("soft"), borderWidth: 1, borderDash: [3, 3], order: 3 },
    ], { type: "linear", min: -0.5, max: order.length - 0.5, offset: false, title: { display: false }, ticks: { display: false } }, { beginAtZero: true },
    { title: ([item]) => groupName(layer, order[item.raw.row][1]), value: (item) => trimmed(item.parsed.y) });
  }, ["layer", "theme"]);
}

function makeTogether() {
  if (!inspected.layers.some((layer) => layer.co_selection)) return;
  byId("together-section").hidden = false;
  const title = titled("", "");
  const figure = element("figure", {}, title);
  const list = element("div");
  byId("together").append(figure, list);
  const lift = ({ tokens, expected }, a, b) => (expected[a][b] > 0 ? tokens[a][b] / expected[a][b] : NaN);
  const pairWords = (layer, a, b) => {
    const { tokens } = layer.co_selection;
    if (a === b) return `expert ${a}: ${whole(tokens[a][a])} tokens`;
    return `experts ${a} and ${b}: ${whole(tokens[a][b])} tokens, ${trimmed(lift(layer.co_selection, a, b) || 0)} × as often as their loads say`;
  };
  const heat = new Heatmap(figure, "How often two experts are chosen by the same token", (row, column) => pairWords(chosen(), row, column), null);
  onChange(() => {
    const layer = chosen(), pairs = layer.co_selection;
    title.replaceChildren(`Layer ${layer.layer}`, element("span", { class: "unit" }, pairs ? " expert by expert" : " chooses one cell a token, or has too many"));
    list.replaceChildren();
    heat.canvas.hidden = !pairs;
    if (!pairs) return;
    const size = pairs.tokens.length, names = pairs.tokens.map((_, index) => String(index));
    heat.draw({ rows: size, columns: size, read: (row, column) => lift(pairs, row, column), rowNames: names, columnNames: names });
    // By tokens beyond, or below, what the loads say: a pair of rare cells says little.
    const order = pairs.tokens.flatMap((row, a) => row.map((count, b) => [count - pairs.expected[a][b], a, b]).filter(([, x, y]) => x < y)).sort((a, b) => b[0] - a[0]);
    const rows = (some) => some.map(([, a, b]) => element("tr", {}, element("th", { scope: "row" }, `${a} and ${b}`), element("td", {}, whole(pairs.tokens[a][b])), element("td", {}, `${trimmed(lift(pairs, a, b) || 0)} ×`)));
    const head = () => [element("th", { scope: "col" }, "experts"), element("th", { scope: "col" }, "tokens"), element("th", { scope: "col" }, "over their loads")];
    list.append(titled("Most often together", ""), table(head(), rows(order.slice(0, 6))), titled("Least often", ""), table(head(), rows(order.slice(-6).reverse())));
  }, ["layer", "theme"]);
}

function makeTensors() {
  const all = inspected.tensors.reduce((sum, one) => sum + one.count, 0);
  const numbers = ["mean", "std", "min", "max"];
  const rows = inspected.tensors.map((one) => element("tr", {}, element("th", { scope: "row" }, one.name), element("td", { class: "words" }, one.dtype), element("td", {}, one.shape.join(" × ")),
    element("td", {}, whole(one.count)), ...numbers.map((key) => element("td", {}, trimmed(one[key]))), element("td", {}, one.not_finite > 0 ? whole(one.not_finite) : "")));
  const head = ["tensor", "dtype", "shape", "values", ...numbers, inspected.tensors.some((one) => one.not_finite > 0) ? "not finite" : ""].map((title) => element("th", { scope: "col", class: title === "dtype" ? "words" : null }, title));
  byId("tensors").append(table(head, rows), element("p", { class: "hint" }, `${whole(all)} values in ${inspected.tensors.length} tensors of step ${whole(inspected.step)}.`));
}

function inspectWords() {
  const { split, tokens, nats_per_token: nats } = inspected.routing;
  if (!isNumber(nats)) return `${inspected.method}, step ${whole(inspected.step)}.`;
  const read = `${inspected.method}, step ${whole(inspected.step)}: ${fixed(nats, 4)} nats per token over ${whole(tokens)} tokens of ${split}.`;
  if (inspected.layers.length === 0) return `${read} None of its layers chooses.`;
  const sum = (value) => inspected.layers.reduce((total, layer) => total + value(layer), 0);
  const cells = sum((layer) => layer.cells);
  return `${read} Its ${inspected.layers.length} ${inspected.layers.length === 1 ? "layer uses" : "layers use"} their cells as if ${trimmed((100 * sum((layer) => layer.usage_perplexity)) / cells)} % of them were there; ` +
    `${whole(sum((layer) => layer.dead_experts))} of ${whole(cells)} are chosen by no token.`;
}

readAddress();
onChange(applyTheme);
watchTheme();
byId("verdict").textContent = inspectWords();
for (const note of inspected.notes) byId("notes").append(element("p", { class: "note warning", role: "note" }, note));
if (inspected.layers.length > 0) {
  makeLayerTable();
  makeLoads();
  makeTogether();
}
makeTensors();
byId("footer").append(element("p", {}, `Made by moegrad ${report.version} inspect from ${inspected.run}. The page holds everything it shows and fetches nothing. Charts: Chart.js, MIT licence, its text is in this page's source.`));
addEventListener("hashchange", () => { readAddress(); change({}); });
