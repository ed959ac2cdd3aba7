"use strict";
// How one reads a line chart: the pointer, or the arrow keys, pick the nearest record of every run; dragging zooms.

// Of every dataset with `probe`, the point nearest in x.
Chart.Interaction.modes.perRun = (chart, event) => {
  const at = chart.scales.x.getValueForPixel(event.x);
  return nearest(chart, at);
};

function nearest(chart, at) {
  const items = [];
  chart.data.datasets.forEach((dataset, datasetIndex) => {
    if (!dataset.probe || dataset.data.length === 0) return;
    let low = 0, high = dataset.data.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (dataset.data[middle].x <= at) low = middle; else high = middle;
    }
    const index = Math.abs(dataset.data[low].x - at) <= Math.abs(dataset.data[high].x - at) ? low : high;
    // A run that ended long before the place that is pointed at has nothing to say there, nor has an evaluation far from it.
    const { left, right } = chart.chartArea;
    const pixel = chart.scales.x.getPixelForValue(dataset.data[index].x);
    if (Math.abs(pixel - chart.scales.x.getPixelForValue(at)) > (right - left) / (dataset.steps ? 50 : 12) || !Number.isFinite(dataset.data[index].y)) return;
    items.push({ element: chart.getDatasetMeta(datasetIndex).data[index], datasetIndex, index });
  });
  return items;
}

const crosshair = {
  id: "crosshair",
  afterDraw(chart) {
    const { ctx, chartArea: area } = chart;
    const active = chart.getActiveElements();
    ctx.save();
    if (active.length > 0) {
      ctx.strokeStyle = color("soft");
      ctx.lineWidth = 1;
      ctx.setLineDash([3, 3]);
      ctx.beginPath();
      ctx.moveTo(active[0].element.x, area.top);
      ctx.lineTo(active[0].element.x, area.bottom);
      ctx.stroke();
    }
    if (chart.dragged) {
      ctx.fillStyle = faded(color("accent"), 0.14);
      ctx.fillRect(Math.min(...chart.dragged), area.top, Math.abs(chart.dragged[1] - chart.dragged[0]), area.bottom - area.top);
    }
    ctx.restore();
  },
};

function pick(chart, items) {
  chart.setActiveElements(items);
  const place = items.length > 0 ? { x: items[0].element.x, y: chart.chartArea.top } : { x: 0, y: 0 };
  chart.tooltip.setActiveElements(items, place);
  chart.update("none");
}

// Arrow keys move through the records (with Shift ten at a time), Home and End jump, Escape leaves, + and - zoom.
function listenToKeys(chart, canvas) {
  canvas.addEventListener("keydown", (event) => {
    const { min, max } = chart.scales.x;
    const active = chart.getActiveElements();
    let at = active.length > 0 ? chart.data.datasets[active[0].datasetIndex].data[active[0].index].x : (min + max) / 2;
    const nearby = (active[0] ? chart.data.datasets[active[0].datasetIndex] : chart.data.datasets.find((one) => one.probe))?.data ?? [];
    const index = active[0] ? active[0].index : Math.floor(nearby.length / 2);
    const stride = event.shiftKey ? 10 : 1;
    if (event.key === "ArrowRight") at = nearby[Math.min(nearby.length - 1, index + stride)]?.x ?? at;
    else if (event.key === "ArrowLeft") at = nearby[Math.max(0, index - stride)]?.x ?? at;
    else if (event.key === "Home") at = min;
    else if (event.key === "End") at = max;
    else if (event.key === "+" || event.key === "=") { zoomAround(at, min, max, 0.5); event.preventDefault(); return; }
    else if (event.key === "-") { zoomAround(at, min, max, 2); event.preventDefault(); return; }
    else if (event.key === "Escape") { pick(chart, []); return; }
    else return;
    event.preventDefault();
    pick(chart, nearest(chart, at));
    byId("spoken").textContent = [...(chart.tooltip.title ?? []), ...(chart.tooltip.body ?? []).flatMap((part) => part.lines)].join(", ");
  });
  canvas.addEventListener("blur", () => pick(chart, []));
}

function zoomAround(at, min, max, factor) {
  const wanted = [at - (at - min) * factor, at + (max - at) * factor];
  if (factor > 1) {
    const zoom = state.zoom;
    change({ zoom: null });
    const [least, most] = rangeX();
    if (zoom && (wanted[0] > least || wanted[1] < most)) change({ zoom: [Math.max(least, wanted[0]), Math.min(most, wanted[1])] });
  } else if (wanted[1] > wanted[0]) {
    change({ zoom: wanted });
  }
}

function listenToDrag(chart, canvas) {
  const inside = (event) => Math.min(chart.chartArea.right, Math.max(chart.chartArea.left, event.offsetX));
  canvas.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "mouse" || event.button !== 0) return;
    chart.dragged = [inside(event), inside(event)];
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!chart.dragged) return;
    chart.dragged[1] = inside(event);
    chart.draw();
  });
  canvas.addEventListener("pointerup", () => {
    const ends = chart.dragged?.sort((a, b) => a - b);
    chart.dragged = null;
    if (!ends || ends[1] - ends[0] < 8) return;
    change({ zoom: ends.map((pixel) => chart.scales.x.getValueForPixel(pixel)) });
  });
  canvas.addEventListener("pointercancel", () => { chart.dragged = null; });
  canvas.addEventListener("dblclick", () => change({ zoom: null }));
}

// A line chart in `figure`; `describe` says in words what it shows. Draw with `show(chart, datasets, scales)`.
function lineChart(figure, describe, zoomable = true) {
  const canvas = element("canvas", { tabindex: 0, role: "img", "aria-label": describe });
  figure.append(element("div", { class: "chart" }, canvas));
  const chart = new Chart(canvas, {
    type: "line", data: { datasets: [] }, plugins: [crosshair],
    options: {
      animation: false, parsing: false, normalized: true, responsive: true, maintainAspectRatio: false, spanGaps: false,
      interaction: { mode: "perRun", intersect: false },
      elements: { point: { radius: 0, hoverRadius: 4 }, line: { borderWidth: 1.6, tension: 0, borderJoinStyle: "round" } },
      layout: { padding: { top: 4, right: 8 } }, plugins: { legend: { display: false }, tooltip: {} },
    },
  });
  listenToKeys(chart, canvas);
  if (zoomable) listenToDrag(chart, canvas);
  return chart;
}

function show(chart, datasets, x, y, label) {
  chart.data.datasets = datasets;
  const grid = { color: color("grid") };
  const quiet = { color: color("soft") };
  chart.options.scales = {
    x: { ...x, grid: { display: false }, ticks: { ...x.ticks, ...quiet }, title: { ...x.title, ...quiet } },
    y: { ...y, grid: { ...grid, drawBorder: false }, ticks: { maxTicksLimit: 6, includeBounds: false, ...y.ticks, ...quiet } },
  };
  chart.options.plugins.tooltip = {
    backgroundColor: color("ink"), titleColor: color("page"), bodyColor: color("page"), boxPadding: 4, usePointStyle: true, padding: 9,
    itemSort: (a, b) => b.parsed.y - a.parsed.y,
    callbacks: {
      title: (items) => (items.length > 0 ? label.title(items) : ""),
      label: (item) => ` ${item.dataset.label}  ${label.value(item)}`,
      labelColor: (item) => ({ borderColor: item.dataset.borderColor, backgroundColor: item.dataset.borderColor }),
      labelPointStyle: (item) => ({ pointStyle: item.dataset.pointStyle || "line", rotation: 0 }),
    },
  };
  chart.update("none");
}
