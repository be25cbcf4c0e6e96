// Search: how reward, front and networks grew, what latencies were sampled, what the controller prefers and what matters.
"use strict";
(function (mnas) {
  const { charts, dom, words, store } = mnas;
  const { el, svg } = dom;
  const PICTURES = {
    reward: rewardOption, hypervolume: (c) => lineOption(c, "hypervolume", "hypervolume (ms × fraction)"),
    distinct: (c) => lineOption(c, "distinct", "distinct networks"), latencies: latenciesOption,
  };
  const LARGE_FROM = 1500, MOST_STEPS = 600, FEW = 12;
  let pictures = null, tables = null, over = "trials", isWhole = false, view = null, run = null;

  function show() {
    if (!pictures) make();
    run = store.current;
    view = run?.search || null;
    if (!run) return;
    const key = JSON.stringify([run.id, run.generation, run.searchOf, over]);
    const pieces = [...Object.values(pictures).map((picture) => () => picture.draw(key)), ...tables.map((table) => () => table.update(key))];
    if (view) pieces.push(describe, preferences, importance);
    mnas.inPieces(pieces, () => store.view === "search");
  }

  function make() {
    pictures = Object.fromEntries(Object.entries(PICTURES).map(([name, option]) => [name, new charts.Picture(`chart-${name}`, option)]));
    tables = [
      new charts.TableOf("chart-reward", () => columnTable(["reward", "best_reward"], ["reward", "best so far"], words.reward)),
      new charts.TableOf("chart-hypervolume", () => columnTable(["hypervolume"], ["hypervolume"], words.short)),
      new charts.TableOf("chart-distinct", () => columnTable(["distinct"], ["distinct networks"], words.count)),
      new charts.TableOf("chart-latencies", latencyTable),
      new charts.TableOf("preferences", preferenceTable),
    ];
    for (const button of document.querySelectorAll("[data-over]")) button.addEventListener("click", () => { over = button.dataset.over; mark(); show(); });
    dom.byId("importance-more").addEventListener("click", () => { isWhole = !isWhole; importance(); });
    mark();
  }

  function mark() {
    for (const button of document.querySelectorAll("[data-over]")) button.setAttribute("aria-pressed", String(button.dataset.over === over));
  }

  function describe() {
    const last = (values) => values.findLast(words.known);
    pictures.reward.describe(`Reward of ${view.numbers.length} trials; best so far ${words.reward(last(view.best_reward))}`);
    pictures.hypervolume.describe(`Hypervolume over ${over}; now ${words.short(last(view.hypervolume))}`);
    pictures.distinct.describe(`Distinct networks over ${over}; now ${words.count(last(view.distinct))}`);
    pictures.latencies.describe("Histogram of sampled latencies, first and second half of the search, against the target");
  }

  // -- over trials or time ------------------------------------------------------------------------------------

  // When the search began, and the unit in which its time is told.
  function clock() {
    let from = Infinity, to = -Infinity;
    for (const at of run.columns.started) if (at > 0) from = Math.min(from, at);
    for (const at of view.finished) to = Math.max(to, at);
    const span = to - from;
    const [seconds, name] = span < 300 ? [1, "s"] : span < 3 * 3600 ? [60, "min"] : [3600, "h"];
    return { from, seconds, name };
  }

  // What is on the x axis: how many trials had finished, or the time since the first one began. Not their numbers: where
  // several are worked on at once they finish in another order, and a best so far must not go back.
  function xs() {
    if (over === "trials") return view.numbers.map((_, index) => index + 1);
    const { from, seconds } = clock();
    return view.finished.map((at) => (at > 0 ? (at - from) / seconds : null));
  }

  const xAxis = (c) => charts.axis(c, over === "trials" ? "finished trials" : `time since the search began (${clock().name})`, { isX: true, show: true, type: "value", min: 0, scale: true, max: "dataMax", axisPointer: { label: { formatter: ({ value }) => (over === "trials" ? `after ${words.plural(Math.round(value), "trial")}` : `${value.toFixed(2)} ${clock().name}`) } }, axisLabel: { color: c.muted, hideOverlap: true, formatter: (value) => words.short(Math.round(value * 100) / 100) } });

  // Points as x, y, x, y, ...: ECharts copies lists of pairs one by one, which takes it longer than to draw them.
  function flat(x, y) {
    const values = [];
    for (let i = 0; i < x.length; i += 1) if (words.known(x[i]) && words.known(y[i])) values.push(x[i], y[i]);
    return Float64Array.from(values);
  }

  // Of a line in steps what can be seen of it: where it changes, evenly thinned beyond so many places, and its end.
  function steps(x, y) {
    const known = y.flatMap((value, i) => (words.known(value) && words.known(x[i]) ? [i] : []));
    const changes = known.filter((i, place) => place === 0 || y[i] !== y[known[place - 1]]), every = Math.ceil(changes.length / MOST_STEPS);
    const kept = changes.filter((_, place) => place % every === 0);
    return (known.length ? [...new Set([...kept, known.at(-1)])] : []).map((i) => [x[i], y[i]]);
  }

  const sorted = (values) => Float64Array.from(values.filter(words.known)).sort();

  const frame = { left: 8, right: 20, top: 6, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "all" };

  const hasAny = () => view && view.numbers.length > 0;

  function rewardOption(c) {
    if (!hasAny()) return charts.empty(c, view ? "No trials yet" : "Loading");
    const x = xs();
    const optimum = words.known(view.optimum) ? [{ yAxis: view.optimum, label: { formatter: "optimum", color: c.muted } }] : [];
    return {
      title: { show: false }, grid: { ...frame, top: 26 }, legend: charts.legend(c, ["reward", "best so far"]),
      tooltip: { ...charts.tooltip(c), valueFormatter: words.reward }, xAxis: xAxis(c), yAxis: charts.axis(c, "reward", { show: true, ...robust(view.reward) }),
      series: [
        { id: "reward", name: "reward", type: "scatter", large: true, largeThreshold: LARGE_FROM, progressive: 0, symbolSize: 4, itemStyle: { color: c.grey, opacity: 0.55 }, dimensions: ["x", "y"], data: flat(x, view.reward) },
        { id: "best", name: "best so far", type: "line", step: "end", symbol: "none", lineStyle: { color: c.blue, width: 2 }, itemStyle: { color: c.blue }, data: steps(x, view.best_reward), markLine: charts.markLine(optimum, { lineStyle: { color: c.orange, type: "dashed" } }) },
      ],
    };
  }

  // Failed trials have rewards far below the others; the axis shows all but the lowest few of a hundred.
  function robust(values) {
    const all = sorted(values);
    if (all.length < 20) return {};
    const low = all[Math.floor(0.02 * all.length)], high = all.at(-1), span = high - low || 1;
    return all[0] < low - 0.5 * span ? { min: Number((low - 0.1 * span).toPrecision(2)) } : {};
  }

  function lineOption(c, key, name) {
    if (!hasAny()) return charts.empty(c, view ? "No trials yet" : "Loading");
    return {
      title: { show: false }, grid: frame, legend: { show: false }, tooltip: { ...charts.tooltip(c), valueFormatter: words.short }, xAxis: xAxis(c), yAxis: charts.axis(c, name, { show: true, scale: false, min: 0, minInterval: key === "distinct" ? 1 : undefined }),
      series: [{ id: key, name, type: "line", step: "end", symbol: "none", lineStyle: { color: c.green, width: 2 }, areaStyle: { color: c.green, opacity: 0.1 }, itemStyle: { color: c.green }, data: steps(xs(), view[key]) }],
    };
  }

  function columnTable(keys, labels, write) {
    if (!view) return { heads: [], rows: [] };
    return { heads: [{ label: "trial" }, { label: "finished" }, ...labels.map((label) => ({ label }))], rows: view.numbers.map((number, i) => [number, words.clock(view.finished[i]), ...keys.map((key) => write(view[key][i]))]) };
  }

  // -- sampled latencies --------------------------------------------------------------------------------------

  // Counts of latencies in each bin, of the first and of the second half of the trials (Tan et al. 2019, Fig. 6).
  function histogram() {
    const all = run.columns.latency_ms, half = Math.ceil(all.length / 2), rising = sorted(all);
    if (!rising.length) return null;
    const usual = rising[Math.floor(0.995 * (rising.length - 1))], most = rising.at(-1);
    const low = rising[0], high = Math.max(most <= 1.6 * usual ? most : usual, low + 1e-9);  // the last bin holds what lies far off
    const bins = Math.min(50, Math.max(10, Math.round(Math.sqrt(rising.length)))), width = (high - low) / bins;
    const counts = [new Array(bins).fill(0), new Array(bins).fill(0)];
    all.forEach((value, row) => {
      if (value !== null) counts[row < half ? 0 : 1][Math.min(bins - 1, Math.max(0, Math.floor((value - low) / width)))] += 1;
    });
    return { low, width, counts };
  }

  function latenciesOption(c) {
    const found = run && histogram();
    if (!found) return charts.empty(c, "No latencies yet");
    const target = view?.target_ms || run.description?.target_ms;
    const bars = (index, name, color) => ({
      id: name, name, type: "custom", clip: true, itemStyle: { color, opacity: 0.5 }, encode: { x: [0, 1], y: 2, tooltip: [2] }, dimensions: ["from", "to", "trials"],
      data: found.counts[index].map((count, bin) => [found.low + bin * found.width, found.low + (bin + 1) * found.width, count]),
      renderItem(_, item) {
        const [x0, y] = item.coord([item.value(0), item.value(2)]), [x1, base] = item.coord([item.value(1), 0]);
        return { type: "rect", shape: { x: x0 + 0.5, y, width: Math.max(1, x1 - x0 - 1), height: base - y }, style: { fill: color, opacity: 0.5 } };
      },
    });
    const marks = target ? [{ xAxis: target, label: { formatter: `target ${words.short(target)} ms`, color: c.muted } }] : [];
    return {
      title: { show: false }, grid: { ...frame, top: 26 }, legend: charts.legend(c, ["first half", "second half"]),
      tooltip: { ...charts.tooltip(c), trigger: "item", formatter: ({ seriesName, value }) => `${words.ms(value[0])} – ${words.ms(value[1])} ms\n${seriesName}: ${words.plural(value[2], "trial")}` },
      xAxis: charts.axis(c, "latency (ms)", { isX: true, show: true, type: "value", axisLabel: { color: c.muted, hideOverlap: true, formatter: (value) => words.short(value) } }), yAxis: charts.axis(c, "trials", { show: true, min: 0, minInterval: 1 }),
      series: [
        { ...bars(0, "first half", c.grey), markLine: charts.markLine(marks, { lineStyle: { color: c.orange, type: "dashed", width: 1.5 } }) },
        bars(1, "second half", c.blue),
      ],
    };
  }

  function latencyTable() {
    const found = histogram();
    return { heads: [{ label: "from ms" }, { label: "to ms" }, { label: "first half" }, { label: "second half" }], rows: found ? found.counts[0].map((count, bin) => [words.ms(found.low + bin * found.width), words.ms(found.low + (bin + 1) * found.width), count, found.counts[1][bin]]) : [] };
  }

  // -- preferences --------------------------------------------------------------------------------------------

  const WIDTH = 120, HEIGHT = 36, SHADES = 6, MOST_KINDS = 12;

  function preferences() {
    const { preferences: all } = view;
    const isPolicy = all.some((one) => one.source === "policy");
    dom.text("preferences-note", !all.length ? "Nothing is known yet." : isPolicy
      ? "The probability that the policy gives to each option, from the first update on the left to the newest on the right; the number is of the newest and likeliest."
      : "The share of each option among the latest trials, over the search from left to right; the number is of the newest and most frequent.");
    dom.redraw("preferences", [run.id, run.searchOf], () => [preferenceLegend(all), ...grouped(all).map(([block, ones]) => el("div", { class: "preference-block" }, block ? el("h3", {}, block) : null, el("div", { class: "preference-cells" }, ones.map(preferenceCell))))]);
  }

  // Which colour is which option, where blocks ask the same questions.
  function preferenceLegend(all) {
    const kinds = new Map(all.map((one) => [`${nameOf(one)}: ${one.options}`, one]));
    if (kinds.size > MOST_KINDS) return null;
    return el("div", { class: "preference-legend" }, [...kinds.values()].map((one) => el("span", {}, el("b", {}, nameOf(one)), one.options.map((option, index) => [el("i", { class: `shade${index % SHADES}`, "aria-hidden": "true" }), option]))));
  }

  const nameOf = (one) => one.choice.slice(one.choice.lastIndexOf(".") + 1);


  // Choices by block: "block2.kernel" belongs to "block2".
  function grouped(all) {
    const groups = new Map();
    for (const one of all) {
      const block = one.choice.includes(".") ? one.choice.slice(0, one.choice.lastIndexOf(".")) : "";
      groups.set(block, [...(groups.get(block) || []), one]);
    }
    return [...groups];
  }

  function preferenceCell(one) {
    const now = one.probabilities.at(-1) || [], likeliest = now.indexOf(Math.max(...now));
    const told = one.options.map((option, index) => `${option} ${words.percent(now[index], 0)} %`).join(", ");
    return el("div", { class: "preference", title: told },
      el("span", { class: "label" }, nameOf(one)),
      areas(one, told),
      el("span", { class: "preferred" }, el("i", { class: `shade${likeliest % SHADES}`, "aria-hidden": "true" }), el("b", {}, one.options[likeliest] ?? words.DASH), el("span", { class: "number muted" }, ` ${words.percent(now[likeliest], 0)} %`)));
  }

  // Stacked areas of the options' probabilities, from left to right.
  function areas(one, told) {
    const steps = one.probabilities.length, x = (step) => (steps > 1 ? (WIDTH * step) / (steps - 1) : WIDTH * step);
    const rows = steps > 1 ? one.probabilities : [...one.probabilities, ...one.probabilities];
    const floor = new Array(rows.length).fill(0);
    const paths = one.options.map((_, option) => {
      const below = [...floor];
      rows.forEach((row, step) => { floor[step] += row[option] || 0; });
      const forth = floor.map((value, step) => `${x(step).toFixed(1)},${(HEIGHT * (1 - value)).toFixed(1)}`);
      const back = below.map((value, step) => `${x(step).toFixed(1)},${(HEIGHT * (1 - value)).toFixed(1)}`).reverse();
      return svg("path", { class: `shade${option % SHADES}`, d: `M${forth.join("L")}L${back.join("L")}Z` });
    });
    return svg("svg", { class: "areas", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${one.choice}: ${told}` }, paths);
  }

  function preferenceTable() {
    const rows = (view?.preferences || []).flatMap((one) => one.options.map((option, index) => [one.choice, option, words.percent(one.probabilities[0]?.[index], 1), words.percent(one.probabilities.at(-1)?.[index], 1)]));
    return { heads: [{ label: "choice", left: true }, { label: "option", left: true }, { label: "first %" }, { label: "newest %" }], rows };
  }

  // -- importance ---------------------------------------------------------------------------------------------

  function importance() {
    const known = view.importance.filter((one) => one.accuracy || one.latency);
    dom.text("importance-note", known.length ? `${view.importance_method}${explained()}` : "Too few trials to tell.");
    const most = { accuracy: mostOf(known, "accuracy"), latency: mostOf(known, "latency") };
    const order = [...known].sort((a, b) => Math.max(b.accuracy?.share ?? 0, b.latency?.share ?? 0) - Math.max(a.accuracy?.share ?? 0, a.latency?.share ?? 0));
    const drawn = isWhole ? order : order.slice(0, FEW);
    const more = dom.byId("importance-more");
    more.hidden = order.length <= FEW;
    dom.text(more, isWhole ? `Show the ${FEW} that matter most` : `Show all ${order.length} choices`);
    dom.redraw("importance", [run.id, run.searchOf, isWhole], () => (order.length ? dom.table(
      [{ label: "choice", left: true }, { label: "for accuracy", left: true }, { label: "for latency", left: true }],
      drawn.map((one) => [one.choice, share(one.accuracy, most.accuracy, "accuracy"), share(one.latency, most.latency, "latency")])) : []));
  }

  function explained() {
    const told = Object.entries(view.explained).map(([name, share]) => `${share > 0 ? `${words.percent(share, 0)} %` : "nothing"} of ${name}`);
    return told.length ? ` Explained: ${told.join(", ")}.` : "";
  }

  const mostOf = (all, key) => Math.max(1e-6, ...all.map((one) => one[key]?.high ?? 0));

  function share(one, most, kind) {
    if (!one) return words.DASH;
    const at = (value) => `${(100 * Math.min(most, Math.max(0, value))) / most}%`;
    return el("span", { class: `amount share ${kind}` },
      el("span", { class: "track", "aria-hidden": "true" }, el("i", { style: { width: at(one.share) } }), el("em", { style: { left: at(one.low), width: `calc(${at(one.high)} - ${at(one.low)})` } })),
      el("span", { class: "number" }, `${words.percent(one.share, 1)} %`), el("span", { class: "number muted minor" }, `${words.percent(one.low, 1)} – ${words.percent(one.high, 1)}`));
  }

  mnas.views = { ...mnas.views, search: { show } };
})(window.mnas = window.mnas || {});
