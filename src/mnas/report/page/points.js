// The points of a run as plain numbers, group by group, appended as trials come: what the front draws and looks through.
"use strict";
(function (mnas) {
  const GROUPS = ["complete", "cached", "stopped", "infeasible", "failed"];

  // x, y pairs that grow without being copied each time.
  class Pairs {
    constructor() {
      this.values = new Float64Array(512);
      this.rows = [];
    }

    push(x, y, row) {
      const at = 2 * this.rows.length;
      if (at === this.values.length) {
        const wider = new Float64Array(2 * at);
        wider.set(this.values);
        this.values = wider;
      }
      this.values[at] = x;
      this.values[at + 1] = y;
      this.rows.push(row);
    }

    get length() { return this.rows.length; }
  }

  function groupOf(columns, row) {
    if (columns.state[row] === "INFEASIBLE") return "infeasible";
    if (columns.state[row] === "FAILED") return "failed";
    if (columns.cached[row]) return "cached";
    return columns.state[row] === "STOPPED" ? "stopped" : "complete";
  }

  const kept = new WeakMap();

  // {complete: Pairs, ...} of a run: latency in ms, accuracy in percent (NaN where a trial has none).
  function of(run) {
    let known = kept.get(run);
    if (!known || known.generation !== run.generation) {
      known = { generation: run.generation, done: 0, groups: Object.fromEntries(GROUPS.map((name) => [name, new Pairs()])) };
      kept.set(run, known);
    }
    const { columns } = run;
    for (; known.done < run.length; known.done += 1) {
      const row = known.done, x = columns.latency_ms[row], accuracy = columns.accuracy[row], group = groupOf(columns, row);
      const isRug = group === "infeasible" || group === "failed";
      if (x === null || (accuracy === null && !isRug)) continue;
      known.groups[group].push(x, isRug ? NaN : 100 * accuracy, row);
    }
    return known.groups;
  }

  mnas.points = { GROUPS, of };
})(window.mnas = window.mnas || {});
