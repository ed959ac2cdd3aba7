"use strict";
// Numbers and elements as the page writes them. Text from files reaches the page through textContent only.

const kNothing = "–";

function isNumber(value) { return typeof value === "number" && Number.isFinite(value); }

// 1.23 k, 45.6 M, 7.00 G: three digits and a unit; 12 and 0.0123 without.
function short(value) {
  if (!isNumber(value)) return kNothing;
  const units = [[1e18, "E"], [1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
  for (const [size, unit] of units) {
    if (Math.abs(value) >= size * 0.9995) return `${(value / size).toPrecision(3)} ${unit}`;
  }
  return trimmed(value);
}

function trimmed(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e6) return value.toExponential(2).replace("e+", "e");
  if (Number.isInteger(value) && size < 1000) return String(value);
  return value.toFixed(Math.max(0, Math.min(5, 2 - Math.floor(Math.log10(size)))));
}

// As on an axis: no zeros at the end.
function tickText(value) { return short(value).replace(/(\.\d*?)0+(?=$| |e)/, "$1").replace(/\.(?=$| |e)/, ""); }

function fixed(value, digits) { return isNumber(value) ? value.toFixed(digits) : kNothing; }

function whole(value) { return isNumber(value) ? Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, "\u202f") : kNothing; }

function duration(seconds) {
  if (!isNumber(seconds)) return kNothing;
  const all = Math.round(seconds);
  const two = (value) => String(value).padStart(2, "0");
  if (all >= 3600) return `${Math.floor(all / 3600)}:${two(Math.floor(all / 60) % 60)}:${two(all % 60)}`;
  return all >= 60 ? `${Math.floor(all / 60)}:${two(all % 60)}` : `${trimmed(seconds)} s`;
}

// element("p", { class: "note" }, "text", child…)
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick" || name === "oninput" || name === "onchange") made[name] = value;
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function byId(id) { return document.getElementById(id); }

function table(head, rows) {
  return element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
}

function titled(title, unit) { return element("h3", {}, title, unit ? element("span", { class: "unit" }, " ", unit) : ""); }
