"use strict";
// The chart one looks at first: training loss of every run, evaluations on held-out text as marks on it.

const kMarks = { valid: "circle", test: "rectRot" };

function unitOf(run) { return state.unit === "nats" ? 1 : bitsFactor(run); }

function lossDatasets(run, index, alone) {
  const factor = unitOf(run);
  if (!isNumber(factor)) return [];
  const xs = curveX(run);
  const scaled = (values) => values.map((value) => (isNumber(value) ? value * factor : value));
  const line = scaled(smoothed(run.curve.loss, run.curve.count, state.smooth));
  const hue = runColor(index);
  const base = { borderColor: hue, backgroundColor: hue, borderDash: runDash(index), label: run.name, run: index };
  const datasets = [{ ...base, data: points(xs, line), probe: true, order: 2 }];
  if (state.smooth > 0) {
    datasets.push({ ...base, data: points(xs, scaled(run.curve.loss)), borderColor: faded(hue, 0.22), borderWidth: 1, order: 4 });
  } else if (run.curve.least && alone) {
    const edge = { ...base, borderWidth: 0, pointHoverRadius: 0, backgroundColor: faded(hue, 0.13), order: 5 };
    datasets.push({ ...edge, data: points(xs, scaled(run.curve.most)), edge: true }, { ...edge, data: points(xs, scaled(run.curve.least)), fill: "-1", edge: true });
  }
  return datasets;
}

// `joined`: the marks of a run are joined by a line.
function heldOutDatasets(run, index, value, joined) {
  const splits = [...new Set(run.evaluations.map((one) => one.split))];
  return splits.map((split) => {
    const own = run.evaluations.filter((one) => one.split === split);
    const xs = own.map((one) => along(run, one.step, one.tokens, one.seconds));
    const hue = runColor(index);
    return {
      label: `${run.name}, ${split}`, data: points(xs, own.map((one) => one[value])), probe: true, steps: own.map((one) => one.step), run: index,
      borderColor: hue, backgroundColor: color("page"), pointBackgroundColor: split === "test" ? hue : color("page"), borderWidth: 1.2, borderDash: [2, 3], showLine: joined, clip: { left: 0, top: 2, right: 8, bottom: 4 },
      pointStyle: kMarks[split] || "triangle", pointRadius: own.length > 40 ? 2 : split === "test" ? 5 : 3.5, pointBorderWidth: 1.8, pointHoverRadius: 6, order: 1,
    };
  });
}

// The y range: what the lines need after the first steep fall, unless all of it is wanted.
function rangeY(datasets, [min, max]) {
  let least = Infinity, most = -Infinity, top = -Infinity;
  const early = state.full || state.log || state.zoom ? min : min + (max - min) * 0.04;
  for (const dataset of datasets) {
    if (dataset.edge || dataset.order === 4) continue;
    for (const { x, y } of dataset.data) {
      if (!Number.isFinite(y) || x < min || x > max) continue;
      top = Math.max(top, y);
      least = Math.min(least, y);
      if (x >= early) most = Math.max(most, y);
    }
  }
  if (!Number.isFinite(least)) return { min: 0, max: 1, clipped: false };
  if (!Number.isFinite(most)) most = top;
  const room = (most - least || Math.abs(most) || 1) * 0.05;
  return { min: least - room, max: most + room, clipped: top > most + room };
}

function makeLoss() {
  const figure = byId("loss");
  const chart = lineChart(figure, "Loss over training. Arrow keys move through the records, plus and minus zoom.");
  const caption = element("figcaption");
  figure.append(caption);
  onChange(() => {
    const visible = runs.map((run, index) => index).filter(shown);
    const trains = visible.flatMap((index) => lossDatasets(runs[index], index, visible.length <= 3));
    const marks = visible.flatMap((index) => (isNumber(unitOf(runs[index])) ? heldOutDatasets(runs[index], index, state.unit, visible.length <= 3) : []));
    const datasets = [...trains, ...marks];
    const x = scaleX(false);
    const { min, max, clipped } = rangeY(datasets, [x.min, x.max]);
    const unit = state.unit === "nats" ? "nats per token" : "bits per byte";
    show(chart, datasets, x, { min, max, title: { display: true, text: unit, color: color("soft") } }, {
      title: recordTitle,
      value: (item) => fixed(item.parsed.y, 4) + (item.dataset.steps ? ` at step ${whole(item.dataset.steps[item.raw.row])}` : ""),
    });
    caption.textContent = lossCaption(visible, clipped);
  }, kCurveKeys);
}

// "step 1 200 · 9.83 M tokens · 3:20" of the first record among `items`; of an evaluation only its step.
function recordTitle(items) {
  const item = items.find((one) => !one.dataset.steps);
  if (!item) return `step ${whole(items[0].dataset.steps[items[0].raw.row])}`;
  const curve = runs[item.dataset.run].curve, row = item.raw.row;
  const parts = [`step ${whole(curve.step[row])}`];
  if (isNumber(curve.tokens[row])) parts.push(`${short(curve.tokens[row])} tokens`);
  if (isNumber(curve.seconds[row])) parts.push(duration(curve.seconds[row]));
  return parts.join(" · ");
}

function lossCaption(visible, clipped) {
  const parts = ["Lines: training loss without balance losses. Marks: held-out text (○ valid, ◆ test)."];
  const thinned = visible.map((index) => runs[index].curve).filter((curve) => curve.points < curve.records);
  if (thinned.length > 0) {
    parts.push(`Of up to ${whole(Math.max(...thinned.map((curve) => curve.records)))} records a run, ${whole(Math.max(...thinned.map((curve) => curve.points)))} points are drawn, each the mean of its neighbours` +
      (state.smooth === 0 && visible.length <= 3 ? "; the shade reaches from the least to the most of them." : "."));
  }
  if (state.smooth > 0) parts.push(`Smoothed: an exponential mean to both sides, ${state.smooth.toFixed(2)} from point to point; the faint line is not.`);
  if (state.unit === "bits") parts.push("Training loss is converted with the evaluation's tokens per byte.");
  if (clipped) parts.push("The first steps are above the frame: “full y” shows them.");
  const lost = visible.filter((index) => state.x === "flops" && !curveX(runs[index]).some(isNumber));
  if (lost.length > 0) parts.push(`FLOPs unknown: ${lost.map((index) => runs[index].name).join(", ")}.`);
  if (matchMedia("(pointer: fine)").matches) parts.push("Drag to zoom.");
  return parts.join(" ");
}
