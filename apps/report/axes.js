"use strict";
// What stands on the axes: steps, tokens, FLOPs or seconds below; values in nats per token or bits per byte at the left.

const kAxes = {
  step: { title: "steps", name: "step", text: whole },
  tokens: { title: "tokens", name: "tokens", text: short },
  flops: { title: "FLOPs", name: "training FLOPs", text: short },
  seconds: { title: "time", name: "time", text: duration },
};

// The x values of records or evaluations with columns step, tokens, seconds; null where unknown.
function along(run, step, tokens, seconds) {
  if (state.x === "seconds") return seconds;
  if (state.x === "tokens") return tokens;
  if (state.x === "step") return step;
  const flops = run.summary.forward_flops;
  return isNumber(flops) && isNumber(tokens) ? report.training_passes * flops * tokens : null;
}

function curveX(run) { return run.curve.step.map((step, i) => along(run, step, run.curve.tokens[i], run.curve.seconds[i])); }

function axisKnown(axis) {
  return runs.some((run) => (axis === "flops" ? isNumber(run.summary.forward_flops) && isNumber(run.summary.tokens) : run.curve[axis].some(isNumber)));
}

// Bits per byte over nats per token: known from any evaluation, since both stand there.
function bitsFactor(run) {
  const known = run.evaluations.filter((one) => isNumber(one.bits) && isNumber(one.nats) && one.nats > 0).pop();
  return known ? known.bits / known.nats : null;
}

function points(xs, ys) {
  const list = [];
  for (let i = 0; i < xs.length; ++i) {
    if (!isNumber(xs[i]) || (state.log && xs[i] <= 0)) continue;
    list.push({ x: xs[i], y: isNumber(ys[i]) ? ys[i] : NaN, row: i });
  }
  return list;
}

// An exponential mean over the records on both sides, so that it does not lag; `counts`: how many records a point
// stands for; a point of the usual number keeps `strength` of its neighbour.
function smoothed(values, counts, strength) {
  if (!(strength > 0)) return values;
  const sums = values.map(() => [0, 0]);
  const usual = counts ? Math.max(...counts) : 1;
  const pass = (from, to, stride) => {
    let sum = 0, weight = 0;
    for (let i = from; i !== to; i += stride) {
      const count = counts ? counts[i] : 1, keep = Math.pow(strength, count / usual);
      sum *= keep;
      weight *= keep;
      sums[i][0] += sum;
      sums[i][1] += weight;
      if (!isNumber(values[i])) continue;
      sum += count * values[i];
      weight += count;
    }
  };
  pass(0, values.length, 1);
  pass(values.length - 1, -1, -1);
  return values.map((value, i) => {
    const count = counts ? counts[i] : 1;
    return isNumber(value) ? (sums[i][0] + count * value) / (sums[i][1] + count) : value;
  });
}

// From the first to the last value that any shown run has, or what the reader zoomed to.
function rangeX() {
  if (state.zoom) return state.zoom;
  let least = Infinity, most = -Infinity;
  runs.forEach((run, index) => {
    if (!shown(index)) return;
    for (const x of curveX(run)) {
      if (!isNumber(x) || (state.log && x <= 0)) continue;
      least = Math.min(least, x);
      most = Math.max(most, x);
    }
    for (const one of run.evaluations) {
      const x = along(run, one.step, one.tokens, one.seconds);
      if (isNumber(x)) most = Math.max(most, x);
    }
  });
  if (!(least <= most)) return [state.log ? 1 : 0, 10];
  return [state.log ? least : 0, most > least || !state.log ? most || 1 : least * 10];
}

const kRoundTimes = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 432000, 864000];

// Ticks at round times: at whole minutes, quarters, hours.
function timeTicks(scale, most) {
  const step = kRoundTimes.find((one) => (scale.max - scale.min) / one <= most) ?? (scale.max - scale.min) / most;
  scale.ticks = [];
  for (let at = Math.ceil(scale.min / step) * step; at <= scale.max; at += step) scale.ticks.push({ value: at });
}

function scaleX(small) {
  const [min, max] = rangeX();
  const tick = (value) => (state.x === "seconds" ? duration(value) : tickText(value));
  return {
    type: state.log ? "logarithmic" : "linear", min, max,
    title: { display: !small, text: kAxes[state.x].name },
    afterBuildTicks: (scale) => { if (state.x === "seconds" && !state.log && scale.max - scale.min > 10) timeTicks(scale, small ? 4 : 8); },
    ticks: { maxTicksLimit: small ? 5 : 9, maxRotation: 0, includeBounds: false, autoSkipPadding: 16, callback: (value) => (state.log && !isOneTwoFive(value) ? null : tick(value)) },
  };
}

function isOneTwoFive(value) {
  const lead = value / Math.pow(10, Math.floor(Math.log10(value) + 1e-9));
  return [1, 2, 5].some((digit) => Math.abs(lead - digit) < 1e-6);
}
