"use strict";
// A grid of loads on a canvas: rows by columns, hover and arrow keys say what a cell is, a click or Enter picks its row.

class Heatmap {
  // read(row, column) -> load; say(row, column) -> words; pick(row) or null.
  constructor(parent, label, say, pick) {
    this.say = say;
    this.pick = pick;
    this.canvas = element("canvas", { tabindex: 0, role: "img", "aria-label": label });
    this.tip = element("div", { class: "tip", hidden: true });
    parent.append(element("div", { class: "heat" }, this.canvas, this.tip));
    this.cell = null;
    this.canvas.addEventListener("mousemove", (event) => this.point(this.cellAt(event)));
    this.canvas.addEventListener("mouseleave", () => this.point(null));
    this.canvas.addEventListener("blur", () => this.point(null));
    this.canvas.addEventListener("click", (event) => { const cell = this.cellAt(event); if (cell && this.pick) this.pick(cell[0]); });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => requestAnimationFrame(() => this.paint())).observe(this.canvas.parentElement);
  }

  // rowNames, columnNames: texts, "" for none; chosen: the row that is marked, or -1.
  draw({ rows, columns, read, rowNames, columnNames, chosen = -1 }) {
    Object.assign(this, { rows, columns, read, rowNames, columnNames, chosen });
    this.paint();
  }

  paint() {
    const width = this.canvas.parentElement.clientWidth;
    if (!this.rows || width === 0) return;
    const ratio = devicePixelRatio || 1;
    this.left = 34;
    this.high = Math.max(1, Math.min(26, 300 / this.rows));
    this.wide = (width - this.left) / this.columns;
    const height = this.rows * this.high + 18;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.canvas.style.height = `${height}px`;
    const ctx = this.canvas.getContext("2d");
    ctx.scale(ratio, ratio);
    const gap = this.wide > 5 && this.high > 6 ? 1 : 0;
    for (let row = 0; row < this.rows; ++row) {
      for (let column = 0; column < this.columns; ++column) this.paintCell(ctx, row, column, gap);
    }
    this.paintNames(ctx);
    if (this.cell) this.outline(ctx, this.cell[0], this.cell[1], 1, color("ink"));
  }

  paintCell(ctx, row, column, gap) {
    const load = this.read(row, column);
    const x = this.left + column * this.wide, y = row * this.high;
    ctx.fillStyle = loadColor(load);
    ctx.fillRect(x, y, this.wide - gap + (gap ? 0 : 0.5), this.high - gap);
    if (load === 0 && this.wide >= 4 && this.high >= 6) {
      const size = Math.min(3, this.wide / 4, this.high / 4), cx = x + this.wide / 2, cy = y + this.high / 2;
      ctx.strokeStyle = color("dead-mark");
      ctx.lineWidth = 1;
      ctx.beginPath();
      ctx.moveTo(cx - size, cy - size); ctx.lineTo(cx + size, cy + size);
      ctx.moveTo(cx - size, cy + size); ctx.lineTo(cx + size, cy - size);
      ctx.stroke();
    }
  }

  paintNames(ctx) {
    ctx.font = `11px ${Chart.defaults.font.family}`;
    ctx.textBaseline = "middle";
    ctx.textAlign = "right";
    const every = Math.ceil(13 / this.high);
    for (let row = 0; row < this.rows; ++row) {
      ctx.fillStyle = color(row === this.chosen ? "ink" : "soft");
      ctx.font = `${row === this.chosen ? "700 " : ""}11px ${Chart.defaults.font.family}`;
      if (row % every === 0 || row === this.chosen) ctx.fillText(this.rowNames[row], this.left - 7, row * this.high + this.high / 2);
    }
    ctx.font = `11px ${Chart.defaults.font.family}`;
    ctx.fillStyle = color("soft");
    ctx.textAlign = "center";
    let free = -Infinity;
    for (let column = 0; column < this.columns; ++column) {
      const text = this.columnNames[column], half = ctx.measureText(text).width / 2;
      const x = Math.min(this.left + (column + 0.5) * this.wide, this.left + this.columns * this.wide - half);
      if (x - half < free) continue;
      ctx.fillText(text, x, this.rows * this.high + 10);
      free = x + half + 10;
    }
    if (this.chosen >= 0) this.outline(ctx, this.chosen, 0, this.columns, color("ink"));
  }

  outline(ctx, row, column, count, stroke) {
    ctx.strokeStyle = stroke;
    ctx.lineWidth = 1.5;
    ctx.strokeRect(this.left + column * this.wide - 0.75, row * this.high - 0.25, this.wide * count + 0.5, this.high);
  }

  cellAt(event) {
    const column = Math.floor((event.offsetX - this.left) / this.wide), row = Math.floor(event.offsetY / this.high);
    return row >= 0 && row < this.rows && column >= 0 && column < this.columns ? [row, column] : null;
  }

  point(cell) {
    this.cell = cell;
    this.paint();
    this.tip.hidden = !cell;
    if (!cell) return;
    this.tip.textContent = this.say(...cell);
    const width = this.canvas.clientWidth, half = this.tip.offsetWidth / 2;
    this.tip.style.left = `${Math.max(half, Math.min(width - half, this.left + (cell[1] + 0.5) * this.wide))}px`;
    this.tip.style.top = `${cell[0] * this.high}px`;
  }

  key(event) {
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    if (event.key === "Enter" && this.cell && this.pick) this.pick(this.cell[0]);
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    const [row, column] = this.cell ?? [Math.max(0, this.chosen), -1];
    this.point([Math.max(0, Math.min(this.rows - 1, row + move[0])), Math.max(0, Math.min(this.columns - 1, column + move[1]))]);
    byId("spoken").textContent = this.tip.textContent;
  }
}
