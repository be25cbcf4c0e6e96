// Overview: what the run is, how far it is, and what it found.
"use strict";
(function (mnas) {
  const { dom, words } = mnas;
  const { el } = dom;
  let picture = null, best = { of: null, network: null };

  function show(run) {
    if (!picture) picture = new mnas.FrontPicture("chart-overview-front", { isSmall: true });
    if (!run) return;
    picture.draw([run]);
    tiles(run);
    dom.redraw("overview-front-table", [run.id, run.generation, run.version], () => mnas.frontTable([run]));
    showBest(run);
    const d = run.description;
    if (!d) return;
    notes(d);
    verdict(d);
    finals(run, d);
    comparisons(run, d);
    measured(run, d);
    facts(d);
    commands(d);
  }

  // Why the search does not go on comes before what is to be noted of its trials.
  function notes(d) {
    const problem = ["failed", "silent"].includes(d.state) ? d.problem : null;
    dom.redraw("overview-notes", [d.state, problem, d.notes], () => [
      problem ? el("p", { class: d.state === "failed" ? "failure" : "note warning", "data-problem": d.state }, el("strong", {}, d.state === "failed" ? "The search failed: " : "Driver silent: "), problem) : null,
      ...d.notes.map((note) => el("p", { class: "note" }, el("strong", {}, "Note: "), note)),
    ]);
  }

  function tiles(run) {
    const { counts } = run, d = run.description;
    const total = d?.total ?? run.summary.total;
    const row = run.place.get(run.best);
    const ms = row === undefined ? null : run.columns.latency_ms[row];
    const accuracy = row === undefined ? null : run.columns.accuracy[row];
    dom.tiles("overview-tiles", [
      ["Trials", words.count(run.length), total ? `of ${words.count(total)}` : ""],
      ["Networks evaluated", words.count(counts.distinct), evaluatedNote(counts)],
      ["On the front", words.count(run.front.length), words.known(run.hypervolume) ? `hypervolume ${words.short(run.hypervolume)}` : ""],
      ["Best: accuracy", accuracy === null ? words.DASH : `${words.percent(accuracy)} %`, run.best === null ? "" : `trial ${run.best}`],
      ["Best: latency", ms === null ? words.DASH : `${words.ms(ms)} ms`, d?.target_ms ? `target ${words.ms(d.target_ms)} ms` : ""],
      ["Time", words.duration(run.machines?.seconds || d?.seconds), savedNote(d)],
    ]);
  }

  function evaluatedNote(counts) {
    const parts = [["cached", counts.cached], ["stopped early", counts.STOPPED], ["infeasible", counts.INFEASIBLE], ["failed", counts.FAILED]];
    return parts.filter(([, count]) => count).map(([name, count]) => `${words.count(count)} ${name}`).join(", ");
  }

  function savedNote(d) {
    if (!d?.counts?.epochs_saved) return "of search";
    return `${((100 * d.counts.epochs_saved) / d.counts.epochs).toFixed(0)} % of epochs saved`;
  }

  function showBest(run) {
    const key = run.best === null ? null : `${run.id} ${run.generation} ${run.best}`;
    if (key !== best.of) {
      best = { of: key, network: null };
      if (key) {
        const fetched = best;
        mnas.network([run.id, String(run.best)]).then((network) => { fetched.network = network; if (best === fetched) drawBest(run); }, () => {});
      }
    }
    drawBest(run);
  }

  function drawBest(run) {
    const { network } = best, body = dom.byId("overview-best-body");
    const room = body.clientWidth - 2;
    dom.redraw(body, [best.of, Boolean(network), room], () => {
      if (!network) return el("p", { class: "muted" }, run.best === null ? "No network is complete yet." : `Trial ${run.best}`);
      return [
        el("p", { class: "best-line" }, el("a", { href: `#/network/${run.id}/${network.number}` }, network.label), el("span", { class: "muted" }, ` ${words.percent(network.accuracy)} %, ${words.ms(network.latency_ms)} ms, ${words.short(network.madds)} MAdds, ${words.short(network.params)} params`)),
        el("div", { class: "drawing", tabindex: "0", role: "region", "aria-label": "Drawing of the best network" }, mnas.drawing.draw(network.rows, Math.max(260, room))),
        el("div", { class: "ops" }, mnas.drawing.ops(network.rows)),
      ];
    });
  }

  function verdict(d) {
    dom.byId("overview-verdict").hidden = !d.verdict.length;
    dom.redraw("overview-verdict-body", d.verdict, () => d.verdict.map((sentence) => el("p", {}, sentence)));
  }

  const link = (run, number, label, strong) =>
    [number === null || number === undefined ? label : el("a", { href: `#/network/${run.id}/${number}` }, label), strong ? el("span", { class: "star", title: "winner" }, " ★") : null];

  function finals(run, d) {
    dom.byId("overview-finals").hidden = !d.finals.length;
    if (!d.finals.length) return;
    const seeds = d.finals[0].seeds;
    const each = Array.isArray(seeds) ? seeds.length : seeds;
    dom.text("overview-finals-note", `Retrained longer with ${words.plural(each, "seed")} each, then measured once on the test split, which the search never touched. Intervals are at 95 %.`);
    const span = extent(d.finals.map((final) => [final.low, final.high]));
    dom.redraw("overview-finals-table", d.finals, () => dom.table(
      [{ label: "network", left: true }, { label: "test accuracy %" }, { label: "95 % interval" }, { label: "", left: true, minor: true }, { label: "latency ms" }, { label: "95 % interval" }],
      d.finals.map((final) => [link(run, final.trial, final.label, final.is_winner), words.percent(final.accuracy), words.interval(final.low, final.high, words.percent), whisker(final, span), words.ms(final.latency_ms), words.interval(final.low_ms, final.high_ms)])));
  }

  const extent = (pairs) => [Math.min(...pairs.map(([low]) => low)), Math.max(...pairs.map(([, high]) => high))];

  // A dot with its interval, all rows on one scale.
  function whisker({ low, high, accuracy, is_winner: isWinner }, [from, to]) {
    const x = (value) => 4 + (112 * (value - from)) / (to - from || 1);
    return dom.svg("svg", { class: isWinner ? "whisker winner" : "whisker", width: 120, height: 16, viewBox: "0 0 120 16", "aria-hidden": "true" },
      dom.svg("line", { x1: x(low), x2: x(high), y1: 8, y2: 8 }), dom.svg("circle", { cx: x(accuracy), cy: 8, r: 4 }));
  }

  function comparisons(run, d) {
    dom.byId("overview-comparisons").hidden = !d.comparisons.length;
    dom.redraw("overview-comparisons-table", d.comparisons, () => dom.table(
      [{ label: "network", left: true }, { label: "predicted accuracy %" }, { label: "second opinion %" }, { label: "latency ms" }, { label: "95 % interval" }, { label: "gain" }],
      d.comparisons.flatMap((one) => comparisonRows(run, one))));
    dom.redraw("overview-comparisons-sentences", d.comparisons.map((one) => one.sentence), () => d.comparisons.filter((one) => one.sentence).map((one) => el("p", {}, one.sentence)));
  }

  function comparisonRows(run, one) {
    const row = (rated, gain, isStrong) => (rated ? [[isStrong ? el("strong", {}, rated.label) : link(run, rated.trial, rated.label),
      words.known(rated.accuracy_sd) ? `${words.percent(rated.accuracy)} ± ${words.percent(rated.accuracy_sd)}` : words.percent(rated.accuracy),
      words.percent(rated.second_accuracy), words.ms(rated.latency_ms), words.interval(rated.low_ms, rated.high_ms), gain]] : []);
    return [...row(one.reference, "", true),
      ...row(one.faster, words.known(one.speedup) ? `${one.speedup.toFixed(2)} times faster` : ""),
      ...row(one.better, words.known(one.points) ? `${words.signed(one.points)} points` : "")];
  }

  function measured(run, d) {
    dom.byId("overview-measured").hidden = !d.measured;
    if (!d.measured) return;
    dom.text("overview-measured-note", `The search went by predicted latencies; the front was measured in the end on: ${d.measured.device}.`);
    dom.redraw("overview-measured-table", d.measured, () => dom.table(
      [{ label: "trial", left: true }, { label: "predicted ms" }, { label: "measured ms" }, { label: "95 % interval" }, { label: "difference" }, { label: "", left: true }],
      d.measured.rows.map((row) => [link(run, row.trial, `trial ${row.trial}`), words.ms(row.predicted_ms), words.ms(row.measured_ms), words.interval(row.low_ms, row.high_ms), words.known(row.difference) ? `${words.signed(100 * row.difference, 1)} %` : words.DASH, row.dropped ? `dropped: ${row.dropped}` : ""])));
  }

  function facts(d) {
    const { reward, caps: _, target_ms: __, ...rest } = d.objective;
    const exponents = Object.entries(rest).map(([key, value]) => `${key} ${words.value(value)}`).join(", ");
    const pairs = [
      ["State", `${words.RUN_STATES[d.state] || d.state}${d.phase && d.state === "running" ? `, ${d.phase}` : ""}`],
      ["Device", d.device || words.DASH],
      ["Accuracy is", d.task || words.DASH],
      ["Search space", `${d.space.name}, ${words.plural(d.space.choices.length, "choice")}`],
      ["Controller", words.value(d.controller.name)],
      ["Reward", [reward, exponents].filter(Boolean).join(", ")],
      ["Target", d.target_ms ? `${words.ms(d.target_ms)} ms` : words.DASH],
      ["Reach of the space", d.reach_ms?.[1] ? `${words.interval(d.reach_ms[0], d.reach_ms[1])} ms` : words.DASH],
      ...d.constraints.map((one) => [one.name, words.short(one.value)]),
      ...budget(d),
      ["Begun", d.created ? d.created.replace("T", " ") : words.DASH],
    ];
    dom.facts("overview-facts", pairs);
    dom.facts("overview-versions", [["mnas", d.mnas_version || words.DASH], ["commit", d.commit ? d.commit.slice(0, 12) : words.DASH], ...Object.entries(d.versions).filter(([name]) => name !== "mnas")]);
    dom.facts("overview-settings-list", Object.entries(d.settings).map(([key, value]) => [key, words.value(value)]));
    dom.facts("overview-space-list", d.space.choices.map((choice) => [choice.name, choice.options.join(", ")]));
  }

  function budget(d) {
    const given = Object.entries(d.settings.budget || {}).filter(([, value]) => words.known(value) && value !== 0);
    const text = given.map(([name, value]) => `${name} ${words.short(value)}`).join(", ");
    return [["Budget", given.some(([name]) => name !== "currency") ? text : words.plural(d.total || 0, "trial")]];
  }

  function commands(d) {
    dom.redraw("overview-commands", d.commands, () => Object.entries(d.commands).filter(([, command]) => command).map(([name, command]) => dom.copyRow(name, command)));
  }

  mnas.views = { ...mnas.views, overview: { show } };
})(window.mnas = window.mnas || {});
