"use strict";
// What the reader has chosen. It lives in the address behind #, so that a link, or a reload, shows the same picture.

const report = JSON.parse(byId("document").textContent);
const runs = report.runs;

// Many noisy lines are a thicket: from three runs on they are smoothed unless the reader says otherwise.
const kSmooth = runs.length > 2 ? 0.8 : 0;

const state = { x: "step", log: false, smooth: kSmooth, unit: "nats", full: false, hidden: new Set(), zoom: null, theme: "auto", cost: "", frame: 1, layer: {} };

// What every chart over training depends on.
const kCurveKeys = ["x", "log", "smooth", "unit", "full", "hidden", "zoom", "theme"];

const watchers = [];
// Calls `draw` now and after every change of one of `keys` (of anything, when none is given).
function onChange(draw, keys = []) {
  watchers.push({ draw, keys });
  draw();
}

// change({}) draws everything again: colours may have changed.
function change(values) {
  Object.assign(state, values);
  writeAddress();
  const changed = Object.keys(values);
  for (const { draw, keys } of watchers) {
    if (changed.length === 0 || keys.length === 0 || changed.some((key) => keys.includes(key))) draw();
  }
}

function shown(index) { return !state.hidden.has(index); }

function writeAddress() {
  const words = new URLSearchParams();
  if (state.x !== "step") words.set("x", state.x);
  if (state.log) words.set("log", "1");
  if (state.smooth !== kSmooth) words.set("smooth", state.smooth);
  if (state.unit !== "nats") words.set("unit", state.unit);
  if (state.full) words.set("full", "1");
  if (state.hidden.size > 0) words.set("hide", [...state.hidden].join("."));
  if (state.zoom) words.set("zoom", state.zoom.map((end) => Number(end.toPrecision(6))).join("~"));
  if (state.theme !== "auto") words.set("theme", state.theme);
  if (state.cost) words.set("cost", state.cost);
  if (state.frame < 1) words.set("frame", Number(state.frame.toFixed(4)));
  for (const [run, layer] of Object.entries(state.layer)) words.set(`layer${run}`, layer);
  // A page opened in a frame of another document may not have an address to change.
  try { history.replaceState(null, "", `#${words}`); } catch { /* the picture stays, the link does not */ }
}

function readAddress() {
  const words = new URLSearchParams(location.hash.slice(1));
  const among = (name, allowed, otherwise) => (allowed.includes(words.get(name)) ? words.get(name) : otherwise);
  state.x = among("x", ["step", "tokens", "flops", "seconds"], "step");
  state.log = words.get("log") === "1";
  state.smooth = Math.min(0.98, Math.max(0, Number(words.get("smooth") ?? kSmooth) || 0));
  state.unit = among("unit", ["nats", "bits"], "nats");
  state.full = words.get("full") === "1";
  state.theme = among("theme", ["light", "dark"], "auto");
  state.hidden = new Set((words.get("hide") || "").split(".").filter((word) => word !== "").map(Number).filter((index) => index < runs.length));
  const ends = (words.get("zoom") || "").split("~").map(Number);
  state.zoom = ends.length === 2 && ends.every(Number.isFinite) && ends[0] < ends[1] && !(state.log && ends[0] <= 0) ? ends : null;
  state.cost = words.get("cost") || "";
  const frame = Number(words.get("frame") ?? 1);
  state.frame = frame >= 0 && frame <= 1 ? frame : 1;
  state.layer = {};
  runs.forEach((run, index) => {
    const layer = Number(words.get(`layer${index}`) ?? NaN);
    if (Number.isInteger(layer) && layer >= 0 && layer < run.layers.length) state.layer[index] = layer;
  });
}
