// What the page knows of its runs, and the polling that keeps it up to date. Columns are appended, never made anew,
// so that a page that is open for days holds each trial once.
"use strict";
(function (mnas) {
  const { api } = mnas;
  const FAST_MS = 1000, SLOW_MS = 10000, MOST_MS = 15000;
  const RUNS_EVERY_MS = 5000, DESCRIPTION_EVERY_MS = 3000, SEARCH_EVERY_MS = 5000;
  const MOST_OVERLAID = 8;
  const COLUMNS = [
    "number", "state", "cached", "accuracy", "latency_ms", "low_ms", "high_ms", "reward", "params", "madds", "epochs",
    "error", "worker", "started", "finished", "architecture_id", "energy_mj",
  ];
  const ENDED = ["finished", "stopped", "failed"];

  // One run: its description, and its trials as columns in the order stored.
  class Run {
    constructor(summary) {
      this.id = summary.id;
      this.summary = summary;
      this.description = null;
      this.machines = null;
      this.search = null;
      this.columns = Object.fromEntries(COLUMNS.map((name) => [name, []]));
      this.problem = null;
      this.asked = {};  // when what was asked for last
      this.generation = 0;  // counts up when a run was begun anew and all points are other ones
      this.clear();
    }

    clear() {
      for (const column of Object.values(this.columns)) column.length = 0;
      this.parts = {};  // by name of a device, its latency of each trial, where the worst of several counts
      this.place = new Map();  // trial number -> row
      this.counts = { COMPLETE: 0, STOPPED: 0, INFEASIBLE: 0, FAILED: 0, cached: 0, distinct: 0 };
      this.cursor = 0;
      this.front = [];
      this.best = null;
      this.hypervolume = null;
      this.referencePoint = null;
      this.loaded = false;
      this.version = 0;
      this.generation += 1;
    }

    get length() { return this.columns.number.length; }

    get name() { return this.summary.name; }

    get isEnded() { return ENDED.includes(this.summary.state); }

    // Takes what /trials told; gives whether anything is new.
    take(answer) {
      if (answer.restart) this.clear();
      const from = this.length;
      for (const name of COLUMNS) {
        const column = this.columns[name];
        for (const value of answer[name]) column.push(value);
      }
      for (const [name, values] of Object.entries(answer.parts_ms)) (this.parts[name] ||= new Array(from).fill(null)).push(...values);
      for (let row = from; row < this.length; row += 1) this.count(row);
      const isNew = this.length > from || answer.restart || !this.loaded || String(answer.front) !== String(this.front) || answer.best !== this.best;
      Object.assign(this, { cursor: answer.cursor, front: answer.front, best: answer.best, hypervolume: answer.hypervolume, referencePoint: answer.reference_point, loaded: true });
      if (isNew) this.version += 1;
      return isNew;
    }

    count(row) {
      const { number, state, cached } = this.columns;
      this.place.set(number[row], row);
      this.counts[state[row]] += 1;
      if (cached[row]) this.counts.cached += 1;
      else if (state[row] === "COMPLETE" || state[row] === "STOPPED") this.counts.distinct += 1;
    }

    isDue(what, every) {
      const now = performance.now();
      if (this.asked[what] !== undefined && now - this.asked[what] < every) return false;
      this.asked[what] = now;
      return true;
    }
  }

  const store = mnas.store = {
    runs: new Map(),
    current: null,
    hidden: new Set(),  // ids of runs that are not laid over each other on the front
    problem: null,
    reached: 0,  // when the server answered last
    view: "overview",
    listeners: [],
    listen(listener) { store.listeners.push(listener); },
    place: (run) => [...store.runs.values()].indexOf(run),
    overlaid: () => [...store.runs.values()].filter((run) => !store.hidden.has(run.id)),
    choose, start, poke, setHidden,
  };

  function tell() { for (const listener of store.listeners) listener(store); }

  function start() {
    poke();
    document.addEventListener("visibilitychange", () => { if (!document.hidden) poke(); });
  }

  function choose(id) {
    const run = store.runs.get(String(id));
    if (!run || run === store.current) return;
    store.current = run;
    store.hidden.delete(run.id);
    tell();
    poke();
  }

  function setHidden(id, isHidden) {
    if (isHidden) store.hidden.add(id);
    else store.hidden.delete(id);
    tell();
    poke();
  }

  // -- polling ----------------------------------------------------------------------------------------------

  let timer = null, misses = 0, isBusy = false, isPoked = false;

  function poke() {  // look now, not at the next turn
    window.clearTimeout(timer);
    if (isBusy) isPoked = true;
    else tick().finally(plan);  // an error of ours is in the console, and does not end the polling
  }

  function plan() {
    window.clearTimeout(timer);
    if (isPoked) {
      isPoked = false;
      poke();
      return;
    }
    if (api.isReport) return;
    const isAllEnded = shownRuns().every((run) => run.isEnded && run.loaded);
    const usual = document.hidden || isAllEnded ? SLOW_MS : FAST_MS;
    timer = window.setTimeout(poke, misses ? Math.min(MOST_MS, usual * 2 ** misses) : usual);
  }

  function shownRuns() {
    return store.view === "front" || store.view === "network" ? [...new Set([store.current, ...store.overlaid()].filter(Boolean))] : [store.current].filter(Boolean);
  }

  async function tick() {
    if (isBusy) return;
    isBusy = true;
    try {
      await lookAtRuns();
      await Promise.all(shownRuns().map(lookAtRun));
      misses = 0;
      store.reached = Date.now();
      store.problem = null;
    } catch (error) {
      if (!(error instanceof api.ApiError)) throw error;
      misses = Math.min(misses + 1, 4);
      store.problem = error.message;
    } finally {
      isBusy = false;
      tell();
    }
  }

  let runsAsked = -Infinity;
  async function lookAtRuns() {
    if (store.runs.size && (api.isReport || performance.now() - runsAsked < RUNS_EVERY_MS)) return;
    runsAsked = performance.now();
    const { runs } = await api.runs();
    for (const summary of runs) {
      const run = store.runs.get(summary.id);
      if (!run) {
        store.runs.set(summary.id, new Run(summary));
        if (store.runs.size > MOST_OVERLAID) store.hidden.add(summary.id);
      } else {
        if (run.summary.state !== summary.state) run.asked.description = undefined;
        run.summary = summary;
      }
    }
    store.current ||= store.runs.get(store.wanted) || store.runs.values().next().value || null;
  }

  // A broken run costs itself alone: what was read of it stays, and the others go on.
  async function lookAtRun(run) {
    try {
      const isCurrent = run === store.current;
      if (api.isReport && run.loaded) {
        if (isCurrent) await lookAtSearch(run);
        return;
      }
      const [trials, machines] = await Promise.all([
        api.trials(run.id, run.cursor), isCurrent ? api.machines(run.id) : run.machines, run.description ? null : askDescription(run),
      ]);
      const isNew = run.take(trials);
      run.machines = machines;
      if (isDescriptionDue(run, isNew)) await askDescription(run);
      if (isCurrent && (api.isReport || store.view === "search")) await lookAtSearch(run);
      run.problem = null;
    } catch (error) {
      if (!(error instanceof api.ApiError) || error.status === 0) throw error;
      run.problem = error.message;
    }
  }

  function isDescriptionDue(run, isNew) {
    if (run.asked.description === undefined) return true;
    return (isNew || !run.isEnded) && run.isDue("description", DESCRIPTION_EVERY_MS);
  }

  async function askDescription(run) {
    run.asked.description = performance.now();
    run.description = await api.run(run.id);
    run.summary = { ...run.summary, state: run.description.state, total: run.description.total };
  }

  async function lookAtSearch(run) {
    if (run.search && run.searchOf === run.version) return;
    if (!run.isDue("search", run.search ? SEARCH_EVERY_MS : 0)) return;
    const version = run.version;
    run.search = await api.search(run.id);
    run.searchOf = version;
  }
})(window.mnas = window.mnas || {});
