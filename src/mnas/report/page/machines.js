// Machine room: what workers and devices do, what waits, what failed, and what it costs.
"use strict";
(function (mnas) {
  const { charts, dom, words, store } = mnas;
  const { el } = dom;
  const QUEUE = { to_measure: "waiting to be measured", measuring: "being measured", to_train: "waiting to be trained", training: "in training" };
  const LIMITS = { trials: "trials", hours: "time", device_hours: "measuring", accelerator_hours: "training", money: "money" };
  const MOST_HOURS = 72;
  let picture = null, table = null;

  function show() {
    const run = store.current;
    if (!picture) {
      picture = new charts.Picture("chart-throughput", throughputOption);
      table = new charts.TableOf("chart-throughput", throughputTable);
    }
    if (!run) return;
    const status = run.machines && run.machines.state !== "none" ? run.machines : null;
    const now = status?.now ?? Date.now() / 1000;
    notes(run, status, now);
    tiles(run, status);
    workers(run, status, now);
    devices(run, status, now);
    queue(status);
    budget(run, status);
    failures(run, status);
    const key = JSON.stringify([run.id, run.generation, run.version]);
    picture.draw(key);
    table.update(key);
    picture.describe("Finished trials over time");
  }

  function notes(run, status, now) {
    const told = [];
    if (status?.state === "silent") told.push(["warning", `The driver does not answer: it wrote last ${words.duration(now - status.written)} ago, on ${status.host}. If it died, go on with the command for resume on the overview.`]);
    if (status?.message) told.push([status.state === "failed" ? "warning" : "", status.message]);
    if (!status) told.push(["", "This run keeps no status of its machines; what follows is told from its trials."]);
    dom.redraw("machines-notes", told, () => told.map(([kind, words]) => el("p", { class: `note ${kind}` }, words)));
  }

  function tiles(run, status) {
    const rate = status?.trials_per_hour ?? rateOf(run);
    const busy = status ? status.workers.filter((worker) => worker.trial !== null).length : null;
    dom.tiles("machines-tiles", [
      ["Workers busy", status?.workers.length ? `${busy} of ${status.workers.length}` : words.DASH, status ? (status.asynchronous ? "asynchronous" : "in batches") : ""],
      ["Trials per hour", words.short(words.known(rate) ? Number(rate.toPrecision(3)) : null), ""],
      ["Time left", words.duration(status?.seconds_left), status && status.total ? `${words.count(status.total - (status.counts?.trials ?? run.length))} trials to go` : ""],
      ["Spent", words.duration(status?.seconds ?? run.description?.seconds), "in all its processes"],
      ["Failures", words.count(run.counts.FAILED), status ? `${words.plural(status.retries ?? 0, "retry", "retries")}` : ""],
      ["Driver", status ? `${status.host}` : words.DASH, status ? `process ${status.pid}` : ""],
    ]);
  }

  // Of the last hundred trials, where no driver tells.
  function rateOf(run) {
    const times = run.columns.finished.slice(-100).filter((at) => at > 0).sort((a, b) => a - b);
    const span = times.at(-1) - times[0];
    return span > 0 ? (3600 * (times.length - 1)) / span : null;
  }

  const trialLink = (run, number) => (run.place.has(number) ? el("a", { href: `#/network/${run.id}/${number}` }, `trial ${number}`) : `trial ${number}`);

  const doing = (run, number, since, now) => (number === null || number === undefined ? el("span", { class: "state idle" }, el("i", { "aria-hidden": "true" }), "idle") : el("span", { class: "state busy" }, el("i", { "aria-hidden": "true" }), trialLink(run, number), words.known(since) ? el("span", { class: "muted number" }, ` for ${words.duration(now - since)}`) : null));

  function workers(run, status, now) {
    const all = status?.workers || [];
    const heads = [{ label: "worker", left: true }, { label: "does", left: true }, { label: "jobs" }, { label: "busy" }];
    dom.redraw("machines-workers", [all, run.id, Math.floor(now)], () => (all.length ? dom.table(heads, all.map((one) => [el("code", {}, one.name), doing(run, one.trial, one.since, now), words.count(one.jobs), words.duration(one.busy_seconds)])) : byWorker(run)));
  }

  // Who made the trials, where no driver tells.
  function byWorker(run) {
    const counts = new Map();
    for (const worker of run.columns.worker) if (worker) counts.set(worker, (counts.get(worker) || 0) + 1);
    if (!counts.size) return el("p", { class: "muted" }, "Nothing is known of workers.");
    return dom.table([{ label: "worker", left: true }, { label: "trials" }], [...counts].map(([worker, count]) => [el("code", {}, worker), words.count(count)]));
  }

  function devices(run, status, now) {
    const all = status?.devices || [];
    const heads = [{ label: "device", left: true }, { label: "does", left: true }, { label: "measured" }, { label: "busy" }];
    const alone = [run.description?.device || words.DASH, words.count(run.columns.latency_ms.filter((ms) => ms !== null).length)];
    dom.redraw("machines-devices", [all, alone, run.id, Math.floor(now)], () => (all.length
      ? dom.table(heads, all.map((one) => [one.name, doing(run, one.trial, one.since, now), words.count(one.measurements), words.duration(one.busy_seconds)]))
      : dom.table([{ label: "device", left: true }, { label: "latencies" }], [alone])));
  }

  function queue(status) {
    const found = status?.queue || {};
    const most = Math.max(1, ...Object.values(found));
    dom.redraw("machines-queue", found, () => (Object.keys(found).length ? el("dl", { class: "meters" }, Object.entries(QUEUE).map(([key, name]) => meter(name, found[key] ?? 0, most, words.count(found[key] ?? 0)))) : el("p", { class: "muted" }, "Nothing waits.")));
  }

  // Where nothing bounds a value there is no track to fill.
  const meter = (name, value, most, told) => [el("dt", {}, name), el("dd", {},
    most ? el("span", { class: "track", "aria-hidden": "true" }, el("i", { style: { width: `${Math.min(100, (100 * value) / most)}%` } })) : el("span"), el("span", { class: "number" }, told))];

  function budget(run, status) {
    const spent = status?.spent || { trials: run.length }, limits = status?.budget || { trials: run.description?.total };
    const known = Object.keys(LIMITS).filter((key) => spent[key] || words.known(limits[key]));  // what costs nothing and has no limit is left out
    const write = (key, value) => (key.endsWith("hours") ? words.duration(3600 * value) : `${words.short(round(value))}${key === "money" ? ` ${status.currency || ""}` : ""}`);
    const told = (key) => [spent[key] ?? 0, limits[key]].filter(words.known).map((value) => write(key, value)).join(" of ");
    dom.redraw("machines-budget", [spent, limits], () => el("dl", { class: "meters" }, known.map((key) => meter(LIMITS[key], spent[key] ?? 0, limits[key], told(key)))));
  }

  const round = (value) => (words.known(value) ? Number(value.toPrecision(3)) : value);

  function failures(run, status) {
    const { state, number, error } = run.columns;
    const rows = status?.failures?.map((one) => [one.trial, one.error]) ?? [];
    if (!rows.length) for (let row = run.length - 1; row >= 0 && rows.length < 20; row -= 1) if (state[row] === "FAILED") rows.push([number[row], error[row]]);
    dom.redraw("machines-failures", [rows, run.id], () => (rows.length ? [...byReason(rows)].map(([why, trials]) => failure(run, why, trials)) : el("p", { class: "muted" }, "Nothing failed.")));
  }

  // The same reason again and again is told once, with the trials that it cost.
  function byReason(rows) {
    const reasons = new Map();
    for (const [trial, why] of rows) reasons.set(why || words.DASH, [...(reasons.get(why || words.DASH) || []), trial]);
    return reasons;
  }

  function failure(run, why, trials) {
    const links = trials.slice(0, 8).flatMap((trial, index) => [index ? ", " : "", trialLink(run, trial)]);
    return el("div", { class: "failed-reason" }, el("p", {}, why), el("p", { class: "muted" }, links, trials.length > 8 ? ` and ${trials.length - 8} more` : ""));
  }

  // -- throughput ---------------------------------------------------------------------------------------------

  // [middle of the bin in epoch seconds, trials per hour in it] over the search, or over its last three days.
  function throughput() {
    const times = store.current.columns.finished.filter((at) => at > 0);
    if (times.length < 2) return [];
    let high = -Infinity, low = Infinity;
    for (const at of times) { high = Math.max(high, at); low = Math.min(low, at); }
    low = Math.max(low, high - 3600 * MOST_HOURS);
    const bins = Math.min(48, Math.max(6, Math.round(times.length / 8))), width = (high - low) / bins || 1;
    const counts = new Array(bins).fill(0);
    for (const at of times) if (at >= low) counts[Math.min(bins - 1, Math.floor((at - low) / width))] += 1;
    return counts.map((count, bin) => [low + (bin + 0.5) * width, (3600 * count) / width]);
  }

  function throughputOption(c) {
    const found = throughput();
    if (!found.length) return charts.empty(c, "No trials yet");
    return {
      title: { show: false }, grid: { left: 8, right: 20, top: 6, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "all" },
      tooltip: { ...charts.tooltip(c), valueFormatter: (value) => words.short(Number(Number(value).toPrecision(3))) },
      xAxis: { ...charts.axis(c, "", { isX: true, show: true }), type: "time" }, yAxis: charts.axis(c, "trials per hour", { show: true, min: 0, axisLabel: { color: c.muted, formatter: (value) => words.short(value) } }),
      series: [{ id: "rate", name: "trials per hour", type: "bar", barWidth: "90%", itemStyle: { color: c.blue, opacity: 0.75 }, data: found.map(([at, rate]) => [1000 * at, rate]) }],
    };
  }

  function throughputTable() {
    return { heads: [{ label: "time" }, { label: "trials per hour" }], rows: throughput().map(([at, rate]) => [words.moment(at), words.short(Number(rate.toPrecision(3)))]) };
  }

  mnas.views = { ...mnas.views, machines: { show } };
})(window.mnas = window.mnas || {});
