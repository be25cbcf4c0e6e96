// The axes of a picture of fronts: linear or logarithmic, what range they show, and how data become pixels.
"use strict";
(function (mnas) {
  const { charts, words } = mnas;

  class FrontAxes {
    constructor(scene) {
      // `zoom` is a rectangle {x0, x1, y0, y1} in milliseconds and percent; `isWhole`: also what lies far off is shown.
      Object.assign(this, { scene, scale: { x: "linear", y: "linear" }, zoom: null, isWhole: false, sorted: {} });
    }

    key() { return [this.scale, this.zoom, this.isWhole]; }

    isLog(axis) { return this.scale[axis] === "log"; }

    // What stands on an axis: milliseconds; percent, or on a logarithmic axis what is missing to 100 %, drawn upside down.
    onAxis(axis, value) { return axis === "y" && this.isLog("y") ? Math.max(0.01, 100 - value) : value; }

    // ECharts' options.
    options(c) {
      this.sorted = {};  // made anew for each drawing
      const label = { color: c.muted, fontSize: 12, hideOverlap: true };
      const x = { isX: true, show: true, type: this.isLog("x") ? "log" : "value", ...this.bounds("x"), axisLabel: { ...label, formatter: (value) => words.short(value) } };
      const y = { show: true, type: this.isLog("y") ? "log" : "value", inverse: this.isLog("y"), ...this.bounds("y"), axisLabel: this.isLog("y") ? { ...label, formatter: (value) => String(Number((100 - value).toPrecision(4))) } : label };
      return { xAxis: [charts.axis(c, "latency (ms)", x)], yAxis: [charts.axis(c, this.isLog("y") ? "accuracy (%), log of the error" : "accuracy (%)", y)] };
    }

    // The range of an axis: the zoom, or all that is shown with a little air.
    bounds(axis) {
      if (this.zoom) return ordered(["0", "1"].map((end) => this.onAxis(axis, this.zoom[axis + end])));
      const [low, high] = this.isWhole || this.isLog(axis) ? this.extent(axis) : this.usual(axis);
      if (low > high) return {};
      if (this.isLog(axis)) return { min: low / 1.06, max: high * 1.06 };
      const step = niceStep((high - low) || Math.abs(high) || 1), air = 0.02 * (high - low);
      const least = Math.floor((low - air) / step) * step;
      return { min: tidy(axis === "x" ? Math.max(0, least) : least), max: tidy(Math.ceil((high + air) / step) * step), interval: tidy(step) };
    }

    // Without the few that lie far off: trainings that went wrong, networks of a multiple of the latency.
    usual(axis) {
      const [low, high] = this.extent(axis), values = this.trials(axis);
      if (values.length < 20) return [low, high];
      const [most0, most1] = this.extent(axis, []), at = (share) => values[Math.floor(share * (values.length - 1))];
      const from = Math.min(most0, at(0.02)), to = Math.max(most1, at(0.98)), air = 0.35 * (to - from);
      return [axis === "y" && low < from - air ? from - 0.1 * (to - from) : low, axis === "x" && high > to + air ? to + 0.1 * (to - from) : high];
    }

    // Of these trials, and of what has to be in the picture: fronts, references and targets.
    extent(axis, trials = this.trials(axis)) {
      const marks = this.scene.marks().map((mark) => this.onAxis(axis, mark[axis]));
      const targets = axis === "x" ? this.scene.runs.map((run) => run.description?.target_ms).filter(Boolean) : [];
      const all = [...marks, ...targets, ...(trials.length ? [trials[0], trials.at(-1)] : [])].filter(Number.isFinite);
      return [Math.min(...all), Math.max(...all)];
    }

    // The trials that are shown, on an axis, sorted.
    trials(axis) {
      if (!this.sorted[axis]) {
        const values = [];
        this.scene.each((x, y) => { const value = axis === "x" ? x : y; if (Number.isFinite(value)) values.push(this.onAxis(axis, value)); });
        this.sorted[axis] = Float64Array.from(values).sort();
      }
      return this.sorted[axis];
    }

    // All that is shown as a rectangle in milliseconds and percent.
    whole() {
      const [x0, x1] = this.extent("x"), [y0, y1] = this.extent("y");
      return this.isLog("y") ? { x0, x1, y0: 100 - y1, y1: 100 - y0 } : { x0, x1, y0, y1 };
    }

    // How data become pixels and back, read from ECharts once for each drawing.
    map(chart) {
      const { x: left, y: top, width, height } = chart.getModel().getComponent("grid").coordinateSystem.getRect();
      const right = left + width, bottom = top + height;
      const onAxes = (pixel) => chart.convertFromPixel({ gridIndex: 0 }, pixel);
      const ends = { x: [onAxes([left, top])[0], onAxes([right, top])[0]], y: [onAxes([left, bottom])[1], onAxes([left, top])[1]] };
      const along = (axis, from, to) => {
        const f = this.isLog(axis) ? Math.log10 : (value) => value, [low, high] = ends[axis].map(f), factor = (to - from) / (high - low);
        return this.isLog(axis) ? (value) => from + factor * (f(this.onAxis(axis, value)) - low) : (value) => from + factor * (value - low);
      };
      const toData = (pixel) => { const [x, y] = onAxes(pixel); return [x, this.isLog("y") ? 100 - y : y]; };
      return { left, top, right, bottom, x: along("x", left, right), y: along("y", bottom, top), toData };
    }
  }

  const ordered = ([a, b]) => ({ min: Math.min(a, b), max: Math.max(a, b) });

  function niceStep(span) {
    const raw = span / 6, power = 10 ** Math.floor(Math.log10(raw));
    return [1, 2, 2.5, 5, 10].find((factor) => factor * power >= raw) * power;
  }

  const tidy = (value) => Number(value.toPrecision(10));

  mnas.FrontAxes = FrontAxes;
})(window.mnas = window.mnas || {});
