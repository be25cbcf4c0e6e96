// Trials: all of them as a table to filter and sort.
"use strict";
(function (mnas) {
  const { api, dom, words, store } = mnas;
  const { el } = dom;
  const STATES = ["COMPLETE", "STOPPED", "INFEASIBLE", "FAILED"];
  const shownStates = new Set(STATES);
  let table = null, listed = null, haystack = [], haystackOf = null;

  function show() {
    if (!table) make();
    const run = store.current;
    if (!run) return;
    const csv = dom.byId("trials-csv");
    csv.hidden = api.isReport;
    csv.setAttribute("href", api.csv(run.id));
    legend(run);
    const text = dom.byId("trials-text").value.trim().toLowerCase();
    const key = JSON.stringify([run.id, run.generation, run.version, text, [...shownStates]]);
    if (key === listed) return;
    const isSameFilter = listed !== null && JSON.stringify(JSON.parse(listed).slice(3)) === JSON.stringify([text, [...shownStates]]);
    listed = key;
    if (haystackOf !== identity(run)) { haystack = []; haystackOf = identity(run); table.fold(); }
    table.show(matching(run, text), { keepPlace: isSameFilter && table.sort.key === "number" && table.sort.down });
    dom.text("trials-count", table.rows.length === run.length ? words.plural(run.length, "trial") : `${words.count(table.rows.length)} of ${words.plural(run.length, "trial")}`);
  }

  function make() {
    table = new mnas.VirtualTable(dom.byId("trials-table"), {
      label: "Trials", height: "min(70vh, 46rem)", empty: "No trial matches.", sort: { key: "number", down: true }, columns: columns(),
      details: { label: (row) => `Details of trial ${store.current.columns.number[row]}`, make: (row) => mnas.trialDetails(store.current, row) },
    });
    dom.byId("trials-text").addEventListener("input", show);
  }

  function columns() {
    const column = (name) => (row) => store.current.columns[name][row];
    const cell = (name, write) => (row) => write(store.current.columns[name][row]);
    return [
      { key: "number", label: "trial", width: "6rem", value: column("number"), cell: (row) => [el("a", { href: `#/network/${store.current.id}/${store.current.columns.number[row]}`, tabindex: "-1" }, store.current.columns.number[row]), mark(row)] },
      { key: "state", label: "state", left: true, kind: "wide-state", width: "8.6rem", value: (row) => `${store.current.columns.state[row]}${Number(store.current.columns.cached[row])}`, cell: (row) => dom.state(store.current.columns.state[row], store.current.columns.cached[row]) },
      { key: "accuracy", label: "accuracy %", width: "6.6rem", value: column("accuracy"), cell: cell("accuracy", words.percent) },
      { key: "latency_ms", label: "latency ms", width: "6.6rem", value: column("latency_ms"), cell: cell("latency_ms", words.ms) },
      { key: "interval", label: "95 % interval", title: "Sorted by its width", minor: true, width: "9rem", value: (row) => width(row), cell: (row) => words.interval(store.current.columns.low_ms[row], store.current.columns.high_ms[row]) },
      { key: "reward", label: "reward", width: "5.6rem", value: column("reward"), cell: cell("reward", words.reward) },
      { key: "madds", label: "MAdds", minor: true, width: "5.4rem", value: column("madds"), cell: cell("madds", words.short) },
      { key: "params", label: "params", minor: true, wideOnly: true, width: "5.4rem", value: column("params"), cell: cell("params", words.short) },
      { key: "epochs", label: "epochs", minor: true, wideOnly: true, width: "4.6rem", value: column("epochs"), cell: cell("epochs", words.count) },
      { key: "finished", label: "finished", minor: true, width: "6rem", value: column("finished"), cell: cell("finished", words.clock) },
      { key: "architecture_id", label: "network", left: true, minor: true, wideOnly: true, width: "8rem", value: column("architecture_id"), cell: (row) => el("code", {}, store.current.columns.architecture_id[row] || "") },
      { key: "error", label: "reason", title: "Of a failure; else the worker", left: true, minor: true, value: (row) => reason(row), hover: (row) => reason(row), cell: (row) => reason(row) },
    ];
  }

  const identity = (run) => `${run.id} ${run.generation}`;  // its rows are other trials where this is another one

  const reason = (row) => store.current.columns.error[row] || store.current.columns.worker[row] || "";

  function width(row) {
    const { low_ms: low, high_ms: high } = store.current.columns;
    return low[row] === null || high[row] === null ? null : high[row] - low[row];
  }

  function mark(row) {
    const run = store.current, number = run.columns.number[row];
    if (number === run.best) return el("span", { class: "star", title: "best reward" }, " ★");
    return run.front.includes(number) ? el("span", { class: "on-front", title: "on the front" }, " ●") : null;
  }

  function matching(run, text) {
    const rows = [];
    const words = text ? text.split(/\s+/) : [];
    if (words.length) fillHaystack(run);
    for (let row = 0; row < run.length; row += 1) {
      if (!shownStates.has(run.columns.state[row])) continue;
      if (words.every((word) => haystack[row].includes(word))) rows.push(row);
    }
    return rows;
  }

  // What a text is looked for in, made once for each trial.
  function fillHaystack(run) {
    const { number, state, cached, error, worker, architecture_id: id } = run.columns;
    for (let row = haystack.length; row < run.length; row += 1) haystack.push(`${number[row]} ${dom.STATES[state[row]]} ${cached[row] ? "cached" : ""} ${id[row] || ""} ${worker[row] || ""} ${error[row] || ""}`.toLowerCase());
  }

  function legend(run) {
    dom.redraw("trials-states", [STATES.map((state) => run.counts[state]), [...shownStates]], () => STATES.filter((state) => run.counts[state]).map((state) => {
      const button = el("button", { type: "button", "aria-pressed": String(shownStates.has(state)), "data-state": state }, dom.state(state), " ", el("span", { class: "muted number" }, words.count(run.counts[state])));
      button.addEventListener("click", () => {
        if (shownStates.has(state)) shownStates.delete(state);
        else shownStates.add(state);
        show();
      });
      return button;
    }));
  }

  mnas.views = { ...mnas.views, trials: { show } };
})(window.mnas = window.mnas || {});
