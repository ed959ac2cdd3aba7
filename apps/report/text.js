"use strict";
// The page's words: names, what the reader must know of a run, parameters by part, samples, settings.

function makeHeader() {
  const { groups } = report;
  if (runs.length < 2) return;
  const names = [];
  groups.forEach((group, index) => {
    if (index > 0) names.push(element("span", { class: "versus" }, groups.length === 2 ? " and " : ", "));
    names.push(group.name);
  });
  // A heading that names many is not read: the table below does.
  const kMostNamed = 6;
  byId("names").replaceChildren(...(groups.length > kMostNamed ? [`${groups.length} runs`] : names));
}

function makeNotes() {
  for (const run of runs) {
    const whose = runs.length > 1 ? `${run.name}: ` : "";
    for (const note of run.notes) byId("notes").append(element("p", { class: "note warning", role: "note" }, whose + note));
    if (run.problems.length > 0) byId("notes").append(element("p", { class: "note problem", role: "note" }, whose + run.problems.join(". ") + "."));
  }
}

function makeParts() {
  const known = runs.filter((run) => run.summary.parts.length > 0);
  if (known.length === 0) return;
  byId("parts-section").hidden = false;
  const names = [...new Set(known.flatMap((run) => run.summary.parts.map((part) => part.name)))];
  const count = (run, name) => run.summary.parts.find((part) => part.name === name)?.parameters;
  const rows = names.map((name) => element("tr", {}, element("th", { scope: "row" }, name), ...known.map((run) => {
    const value = count(run, name), share = value / run.summary.parameters;
    return element("td", {}, short(value), isNumber(share) ? element("small", {}, `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`) : "");
  })));
  const heads = known.map((run) => element("th", { scope: "col" }, run.name));
  byId("parts").append(element("div", { class: "scroll" }, table([element("th", { scope: "col" }, "part"), ...heads], rows)));
}

function makeSamples() {
  const known = runs.filter((run) => run.samples.length > 0);
  byId("samples-section").hidden = known.length === 0;
  for (const run of known) {
    const last = run.samples[run.samples.length - 1];
    const box = element("div", {}, titled(run.name, last.name), element("pre", { tabindex: 0 }, last.text));
    for (const sample of run.samples.slice(0, -1).reverse()) box.append(element("details", {}, element("summary", {}, sample.name), element("pre", {}, sample.text)));
    byId("samples").append(box);
  }
}

function makeSettings() {
  if (report.differences.length > 0) {
    const rows = report.differences.map(({ key, values }) => element("tr", {}, element("th", { scope: "row" }, key), ...values.map((value) => element("td", { class: "code words" }, value === "" ? kNothing : value))));
    byId("differences").append(table([element("th", { scope: "col" }, "differs"), ...runs.map((run) => element("th", { scope: "col", class: "words" }, run.name))], rows));
  } else if (runs.length > 1) {
    byId("differences").append(element("p", { class: "hint" }, "The runs have the same settings."));
  }
  for (const run of runs) {
    if (run.config) byId("configs").append(element("details", {}, element("summary", {}, `config.toml of ${run.name}`), element("pre", {}, run.config)));
  }
}

function makeFooter() {
  byId("footer").append(element("p", {}, `Made by moegrad ${report.version} compare from ${runs.map((run) => run.path).join(", ")}. ` +
    "The page holds everything it shows and fetches nothing. Series longer than the page can draw are cut into fixed buckets (fine at the start, even after it), each drawn as its mean; tables are made from all records."));
  byId("footer").append(element("p", {}, "Charts: Chart.js, MIT licence, its text is in this page's source. Keys in a chart: arrows move, + and − zoom, Escape leaves."));
}
