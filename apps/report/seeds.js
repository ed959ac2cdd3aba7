"use strict";
// How far apart runs ended that differ in nothing but their seed.

function spreadText({ mean, deviation }, digits) {
  if (!isNumber(mean)) return kNothing;
  return isNumber(deviation) ? `${fixed(mean, digits)} ± ${fixed(deviation, digits)}` : fixed(mean, digits);
}

function makeSeeds() {
  const groups = report.groups;
  if (groups.every((group) => group.runs.length < 2)) return;
  byId("seeds-section").hidden = false;
  const splits = splitNames();
  const columns = [
    { title: "seeds", unit: "\u00a0", cell: (group) => [String(group.runs.length)] },
    { title: "training loss", unit: "nats / token", cell: (group) => [spreadText(group.train_loss, 4)] },
    ...splits.map((split) => ({ title: split, unit: "bits / byte, mean ± deviation", split, cell: ({ splits: { [split]: own } }) => (own ? [spreadText(own, 4), element("small", {}, own.values.length > 1 ? `${fixed(own.least, 4)} to ${fixed(own.most, 4)}` : "")] : [kNothing]) })),
    { title: "time", unit: "of training, mean", cell: (group) => [duration(group.seconds.mean)] },
  ];
  const best = (column, group) => {
    const means = groups.map((one) => one.splits[column.split]?.mean).filter(isNumber);
    return column.split && means.length > 1 && group.splits[column.split]?.mean === Math.min(...means);
  };
  const head = columns.map((column) => element("th", { scope: "col" }, column.title, element("span", { class: "unit" }, column.unit)));
  const rows = groups.map((group) => element("tr", {}, element("th", { scope: "row" }, swatch(group.runs[0]), group.name),
    ...columns.map((column) => element("td", { class: best(column, group) ? "best" : null }, ...column.cell(group)))));
  byId("seeds").append(table([element("th", { scope: "col" }, "runs", element("span", { class: "unit" }, "\u00a0")), ...head], rows));

  const split = report.split || splits[0];
  if (!split) return;
  const figure = byId("seeds-figure");
  const chart = lineChart(figure, "Bits per byte of every seed, a row a group", false);
  figure.firstChild.style.height = `${44 + 26 * groups.length}px`;
  figure.append(element("figcaption", {}, `Bits per byte on ${split} text: ● a seed, ❘ the mean.`));
  onChange(() => {
    const all = [];
    const datasets = groups.flatMap((group, place) => {
      const own = group.splits[split], hue = runColor(group.runs[0]);
      if (!own) return [];
      all.push(...own.values);
      const dots = (values, style) => ({ label: group.name, data: [...values].sort((a, b) => a - b).map((x, row) => ({ x, y: -place, row })), probe: true, showLine: false, borderColor: hue, backgroundColor: hue, ...style });
      return [dots(own.values, { pointRadius: 4, pointHoverRadius: 6 }), dots([own.mean], { pointStyle: "line", rotation: 90, pointRotation: 90, pointRadius: 9, pointBorderWidth: 2, probe: false })];
    });
    const room = (Math.max(...all) - Math.min(...all)) * 0.06 || 0.01;
    show(chart, datasets, { type: "linear", min: Math.min(...all) - room, max: Math.max(...all) + room, title: { display: false }, ticks: { maxTicksLimit: 8, includeBounds: false, callback: (value) => tickText(value) } },
      { min: -groups.length + 0.5, max: 0.5, afterBuildTicks: (scale) => { scale.ticks = groups.map((_, place) => ({ value: -place })); }, ticks: { autoSkip: false, maxTicksLimit: groups.length, callback: (value) => groups[-value]?.name } },
      { title: () => split, value: (item) => fixed(item.parsed.x, 4) });
  }, ["theme"]);
}
