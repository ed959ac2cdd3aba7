"use strict";
// Light or dark, as the system or the reader says; colours of runs, layers and loads.

const systemDark = matchMedia("(prefers-color-scheme: dark)");
let printing = false;

function applyTheme() {
  const dark = !printing && (state.theme === "dark" || (state.theme === "auto" && systemDark.matches));
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  byId("theme").textContent = `Theme: ${state.theme}`;
  Chart.defaults.color = color("soft");
  Chart.defaults.borderColor = color("grid");
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  Chart.defaults.font.size = 11.5;
}

function watchTheme() {
  const again = () => change({});
  systemDark.addEventListener("change", again);
  addEventListener("beforeprint", () => { printing = true; again(); });
  addEventListener("afterprint", () => { printing = false; again(); });
  byId("theme").onclick = () => change({ theme: { auto: "light", light: "dark", dark: "auto" }[state.theme] });
}

function color(name) { return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim(); }

// Seven colours that stay apart for every kind of colour vision; beyond them the strokes differ.
const kColors = 7;
const kDashes = [[], [7, 3], [2, 3], [9, 3, 2, 3]];
// Runs that differ only in their seed share a colour, and differ in their strokes.
function runVariable(index) { return `run-${runs[index].group % kColors}`; }
function runColor(index) { return color(runVariable(index)); }
function runDash(index) {
  const { group } = runs[index], place = report.groups[group].runs.indexOf(index);
  return kDashes[(Math.floor(group / kColors) + place) % kDashes.length];
}
function swatch(index) { return element("span", { class: "swatch", style: `background: var(--${runVariable(index)})` }); }

function channels(hex) { return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)); }

function mixed(from, to, share) {
  const end = channels(to);
  return `rgb(${channels(from).map((value, i) => Math.round(value + (end[i] - value) * share)).join(",")})`;
}

function faded(hex, alpha) { return `rgba(${channels(hex).join(",")},${alpha})`; }

// First layers faint, last ones strong.
function layerColor(position, layers) { return mixed(color("depth-from"), color("depth-to"), layers > 1 ? position / (layers - 1) : 1); }

// Blue below an even load, orange above, full at a factor of four.
function loadColor(load) {
  if (!isNumber(load) || load <= 0) return color("dead");
  const share = Math.max(-1, Math.min(1, Math.log2(load) / 2));
  return mixed(color("even"), color(share < 0 ? "under" : "over"), Math.abs(share));
}
