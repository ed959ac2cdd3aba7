"use strict";
// The bar above the charts: which runs, against what, in which unit, how smooth.

function stroke(index) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
  for (const [name, value] of Object.entries({ width: 22, height: 8, "aria-hidden": "true" })) svg.setAttribute(name, value);
  const look = { x1: 0, y1: 4, x2: 22, y2: 4, "stroke-width": 3, stroke: `var(--${runVariable(index)})`, "stroke-dasharray": runDash(index).join(" ") };
  for (const [name, value] of Object.entries(look)) line.setAttribute(name, value);
  svg.append(line);
  return svg;
}

// Radio buttons that look like one row of switches, for the state's `key`; `options`: [value, text, why not or null].
function choice(fieldset, key, options, choose) {
  const inputs = options.map(([value, text, whyNot]) => {
    const input = element("input", { type: "radio", name: key, value, disabled: whyNot !== null, onchange: () => choose(value) });
    fieldset.append(element("label", { title: whyNot }, input, text));
    return input;
  });
  onChange(() => { for (const input of inputs) input.checked = input.value === state[key]; }, [key]);
}

function makeControls() {
  byId("controls").onsubmit = () => false;
  runs.forEach((run, index) => {
    const toggle = () => {
      const hidden = new Set(state.hidden);
      if (!hidden.delete(index)) hidden.add(index);
      change({ hidden });
    };
    byId("legend").append(element("button", { type: "button", onclick: toggle }, stroke(index), element("span", {}, run.name)));
  });
  if (runs.length === 1) byId("legend").hidden = true;

  if (!axisKnown(state.x)) state.x = "step";
  const unknown = { flops: "needs the runs' plan.json and tokens", tokens: "the records do not say", seconds: "the records do not say" };
  const axes = Object.keys(kAxes).map((axis) => [axis, kAxes[axis].title, axis === "step" || axisKnown(axis) ? null : unknown[axis]]);
  choice(byId("choose-x"), "x", axes, (x) => change({ x, zoom: null }));
  const bits = runs.some((run) => isNumber(bitsFactor(run)));
  if (!bits) state.unit = "nats";
  choice(byId("choose-unit"), "unit", [["nats", "nats per token", null], ["bits", "bits per byte", bits ? null : "needs an evaluation"]], (unit) => change({ unit }));
  byId("log-x").onchange = (event) => change({ log: event.target.checked, zoom: null });
  byId("full-y").onchange = (event) => change({ full: event.target.checked });
  byId("smooth").oninput = (event) => change({ smooth: Number(event.target.value) });
  byId("zoom-out").onclick = () => change({ zoom: null });
}

function drawControls() {
  [...byId("legend").children].forEach((button, index) => button.setAttribute("aria-pressed", String(shown(index))));
  byId("log-x").checked = state.log;
  byId("full-y").checked = state.full;
  byId("smooth").value = state.smooth;
  byId("smooth-value").textContent = state.smooth > 0 ? state.smooth.toFixed(2) : "off";
  byId("zoom-out").hidden = !state.zoom;
}
