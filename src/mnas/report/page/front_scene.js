// What a picture of fronts shows, as plain points: one run or several, their trials by group, fronts and references.
"use strict";
(function (mnas) {
  const { points, words } = mnas;

  class FrontScene {
    constructor() {
      this.runs = [];
      this.shown = new Set(["complete", "stopped", "infeasible", "failed"]);  // groups of trials
    }

    // By rising latency: {run, row, x, y} in milliseconds and percent, with the interval `low` to `high` of its latency.
    frontOf(run) {
      const { latency_ms: ms, low_ms: low, high_ms: high, accuracy } = run.columns;
      return run.front.map((number) => run.place.get(number)).filter((row) => row !== undefined && ms[row] !== null)
        .map((row) => ({ run, row, x: ms[row], y: 100 * accuracy[row], low: low[row] ?? ms[row], high: high[row] ?? ms[row] }));
    }

    // Known networks, each once however many runs have it: points as above, with `index`, their place in the API's list.
    references() {
      const found = new Map();
      for (const run of this.runs) {
        (run.description?.references || []).forEach((one, index) => {
          const { latency_ms: x, low_ms: low, high_ms: high, accuracy } = one;
          found.set(`${one.label} ${x} ${accuracy}`, { ...one, run, index, x, y: 100 * accuracy, low: low ?? x, high: high ?? x });
        });
      }
      return [...found.values()];
    }

    marks() { return [...this.runs.flatMap((run) => this.frontOf(run)), ...this.references()]; }

    // [run, pairs, group] of the trials that are shown.
    * groups() {
      for (const run of this.runs) {
        const all = points.of(run);
        for (const group of points.GROUPS) if (this.shown.has(group)) yield [run, all[group], group];
      }
    }

    // Calls `visit(x, y, run, row)` with each trial that is shown; y is NaN where it has no accuracy.
    each(visit) {
      for (const [run, { values, rows }] of this.groups()) {
        for (let i = 0; i < rows.length; i += 1) visit(values[2 * i], values[2 * i + 1], run, rows[i]);
      }
    }

    get isEmpty() { return !this.runs.some((run) => run.length); }

    // Another one where something else is to be drawn.
    key() { return [this.runs.map((run) => [run.id, run.generation, run.version, run.description?.target_ms, run.description?.references.length]), [...this.shown]]; }

    words() {
      const told = this.runs.map((run) => {
        const front = this.frontOf(run), first = front[0], last = front.at(-1);
        return `${run.name}: ${words.plural(run.length, "trial")}, ${first ? `a front of ${words.plural(front.length, "network")} from ${words.ms(first.x)} ms at ${first.y.toFixed(2)} % to ${words.ms(last.x)} ms at ${last.y.toFixed(2)} %` : "no front yet"}`;
      });
      return `Accuracy over latency. ${told.join(". ")}`;
    }
  }

  mnas.FrontScene = FrontScene;
})(window.mnas = window.mnas || {});
