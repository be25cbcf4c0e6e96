// Network: one architecture, what it measured, and how it differs from another one.
"use strict";
(function (mnas) {
  const { api, charts, dom, words, store } = mnas;
  const { el } = dom;
  let shown = null, wanted = null, other = null, curve = null, samples = null, curveTable = null, samplesTable = null;

  // `route` is [run, number] or [run, "ref", index]; without: the best of the current run.
  async function show(route) {
    make();
    const path = route.length ? route : defaultRoute();
    if (!path) return blank("No network is complete yet.");
    const key = path.join("/");
    options(path);
    wanted = key;
    if (shown?.key === key) return steps(path);
    try {
      const network = await mnas.network(path);
      if (wanted !== key) return undefined;  // another one was asked for meanwhile
      shown = { key, path, network };
      draw();
    } catch (error) {
      if (!(error instanceof api.ApiError)) throw error;
      if (wanted === key) blank(error.message);
    }
    return undefined;
  }

  function defaultRoute() {
    const run = store.current;
    return run && run.best !== null ? [run.id, String(run.best)] : null;
  }

  function make() {
    if (curve) return;
    curve = new charts.Picture("chart-curve", curveOption);
    samples = new charts.Picture("chart-samples", samplesOption);
    curveTable = new charts.TableOf("chart-curve", () => ({ heads: [{ label: "epoch" }, { label: "accuracy %" }], rows: (shown?.network.curve || []).map((value, index) => [index + 1, words.percent(value)]) }));
    samplesTable = new charts.TableOf("chart-samples", () => ({ heads: [{ label: "sample" }, { label: "ms" }], rows: (shown?.network.samples_ms || []).map((value, index) => [index + 1, words.ms(value)]) }));
    dom.byId("network-other").addEventListener("change", (event) => compare(event.currentTarget.value));
    new ResizeObserver(() => { if (shown) drawing(); }).observe(dom.byId("network-drawing"));
  }

  function blank(message) {
    shown = null;
    dom.text("title-network", "Network");
    dom.text("network-sub", "");
    const error = dom.byId("network-error");
    error.hidden = false;
    error.textContent = message;
    for (const id of ["network-tiles", "network-drawing", "network-rows", "network-ops", "network-copy", "network-downloads", "network-facts"]) dom.redraw(id, null, () => []);
    dom.text("network-difference", "");
    curve.draw("blank");
    samples.draw("blank");
  }

  const nameOf = (path, network) => {
    const run = store.runs.get(path[0]);
    return store.runs.size > 1 && run ? `${run.name}, ${network.label}` : network.label;
  };

  function draw() {
    const { network, path, key } = shown;
    dom.text("title-network", `Network: ${nameOf(path, network)}`);
    dom.text("network-sub", `id ${network.architecture_id} · ${network.resolution} × ${network.resolution} pixels, ${words.plural(network.input_channels, "channel")} · ${words.plural(network.classes, "class", "classes")}`);
    const error = dom.byId("network-error");
    error.hidden = !network.error;
    error.textContent = network.error || "";
    dom.tiles("network-tiles", [
      ["Accuracy", words.known(network.accuracy) ? `${words.percent(network.accuracy)} %` : words.DASH, network.state ? (dom.STATES[network.state] || network.state) : ""],
      ["Latency", words.known(network.latency_ms) ? `${words.ms(network.latency_ms)} ms` : words.DASH, words.known(network.low_ms) ? `95 %: ${words.interval(network.low_ms, network.high_ms)}` : ""],
      ["Reward", words.reward(network.reward), ""],
      ["MAdds", words.short(network.madds), "multiply-adds"],
      ["Params", words.short(network.params), network.weight_bytes ? `${words.megabytes(network.weight_bytes)} of weights` : ""],
      ["Activations", words.megabytes(network.peak_activation_bytes), "at once, float32"],
    ]);
    drawing();
    curve.draw(key);
    samples.draw(key);
    curveTable.update(key);
    samplesTable.update(key);
    curve.describe(network.curve.length ? `Accuracy after each of ${network.curve.length} epochs, at last ${words.percent(network.curve.at(-1))} %` : "No learning curve");
    samples.describe(network.samples_ms.length ? `${network.samples_ms.length} latency samples` : "No latency samples");
    copies(network, path);
    factsOf(network);
    steps(path);
  }

  // -- drawing and difference ---------------------------------------------------------------------------------

  function drawing() {
    const { network } = shown, rows = network.rows, others = other?.network.rows;
    const changed = others ? mnas.drawing.changes(rows, others) : new Set();
    const room = Math.max(280, dom.byId("network-drawing").clientWidth - 2);
    dom.redraw("network-drawing", [shown.key, other?.key, room], () => [
      el("figure", {}, others ? el("figcaption", {}, nameOf(shown.path, network)) : null, mnas.drawing.draw(rows, room, { changed })),
      others ? el("figure", {}, el("figcaption", {}, nameOf(other.path, other.network)), mnas.drawing.draw(others, room, { changed })) : null,
    ]);
    dom.redraw("network-ops", rows, () => mnas.drawing.ops(rows));
    dom.redraw("network-rows", [shown.key, other?.key], () => mnas.drawing.table(rows, others || false));
    dom.text("network-difference", others ? differenceWords(network, other.network, changed) : "");
  }

  function differenceWords(network, another, changed) {
    const parts = [
      ["accuracy", network.accuracy, another.accuracy, (d) => `${words.signed(100 * d)} points`],
      ["latency", network.latency_ms, another.latency_ms, (d) => `${words.signed(d, 3)} ms`],
      ["MAdds", network.madds, another.madds, (d) => `${words.signed(d / 1e6, 2)} M`],
      ["params", network.params, another.params, (d) => `${words.signed(d / 1e6, 3)} M`],
    ];
    const told = parts.filter(([, a, b]) => words.known(a) && words.known(b)).map(([name, a, b, write]) => `${name} ${write(a - b)}`);
    return changed.size ? `${words.plural(changed.size, "row")} differ${changed.size === 1 ? "s" : ""} (marked; crossed out: the other network's). Against it: ${told.join(", ")}.` : `The same architecture. ${told.join(", ")}`;
  }

  async function compare(value) {
    other = null;
    if (value) {
      const path = value.split("/");
      try {
        other = { key: value, path, network: await mnas.network(path) };
      } catch (error) {
        if (!(error instanceof api.ApiError)) throw error;
        dom.byId("network-other").value = "";
        dom.text("network-difference", error.message);
        return;
      }
    }
    if (shown) drawing();
  }

  // What a network may be compared with: best, front and references of each run that is known.
  function options(path) {
    const select = dom.byId("network-other"), key = path.join("/");
    const groups = [...store.runs.values()].filter((run) => run.loaded).map((run) => [store.runs.size > 1 ? run.name : "", run.id, optionsOf(run).filter(([value]) => value !== key)]);
    if (document.activeElement === select) return;  // not under the person's hands
    dom.redraw(select, groups, () => [el("option", { value: "" }, "none"), ...groups.map(([name, , list]) => (name ? el("optgroup", { label: name }, list.map(toOption)) : list.map(toOption))).flat()]);
    select.value = other && [...select.options].some((option) => option.value === other.key) ? other.key : "";
    if (!select.value && other) { other = null; if (shown) drawing(); }
  }

  const toOption = ([value, label]) => el("option", { value }, label);

  function optionsOf(run) {
    const best = run.best === null ? [] : [[`${run.id}/${run.best}`, `best reward: trial ${run.best}`]];
    const front = run.front.filter((number) => number !== run.best).map((number) => {
      const row = run.place.get(number);
      return [`${run.id}/${number}`, `front: trial ${number}, ${words.ms(run.columns.latency_ms[row])} ms`];
    });
    const references = (run.description?.references || []).map((one, index) => [`${run.id}/ref/${index}`, `reference: ${one.label}`]);
    return [...best, ...front, ...references];
  }

  // To the neighbours on the front, or for another trial to the trials before and after it.
  function steps(path) {
    const run = store.runs.get(path[0]), number = Number(path[1]);
    const [before, after] = [dom.byId("network-before"), dom.byId("network-after")];
    const place = run && path[1] !== "ref" ? run.front.indexOf(number) : -1;
    const neighbours = place >= 0 ? [run.front[place - 1], run.front[place + 1]] : [number - 1, number + 1].map((one) => (run?.place.has(one) ? one : undefined));
    const names = place >= 0 ? ["Faster on the front", "Slower on the front"] : ["Trial before", "Trial after"];
    [before, after].forEach((link, index) => {
      link.hidden = neighbours[index] === undefined;
      link.textContent = names[index];
      if (run) link.setAttribute("href", `#/network/${run.id}/${neighbours[index]}`);
    });
  }

  // -- curves, facts, downloads -------------------------------------------------------------------------------

  function curveOption(c) {
    const values = shown?.network.curve || [];
    if (!values.length) return charts.empty(c, "No learning curve");
    return {
      title: { show: false },
      xAxis: charts.axis(c, "epoch", { isX: true, show: true, type: "value", min: 1, max: Math.max(2, values.length), minInterval: 1, scale: true }),
      yAxis: charts.axis(c, "validation accuracy (%)", { show: true }),
      grid: { left: 8, right: 16, top: 6, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "all" },
      tooltip: { ...charts.tooltip(c), valueFormatter: (value) => `${Number(value).toFixed(2)} %` },
      series: [{ id: "curve", name: "accuracy", type: "line", symbol: "circle", symbolSize: 6, data: values.map((value, index) => [index + 1, value === null ? null : 100 * value]), lineStyle: { color: c.blue, width: 2 }, itemStyle: { color: c.blue } }],
    };
  }

  function samplesOption(c) {
    const network = shown?.network, values = network?.samples_ms || [];
    if (!values.length) return charts.empty(c, "No latency samples");
    const { latency_ms: estimate, low_ms: low, high_ms: high } = network;
    const all = [...values, estimate, low, high].filter(words.known), [from, to] = [Math.min(...all), Math.max(...all)], air = 0.03 * (to - from);
    return {
      title: { show: false },
      grid: { left: 12, right: 16, top: 22, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "all" },
      tooltip: { show: false },
      xAxis: charts.axis(c, "latency (ms), with its 95 % interval", { isX: true, show: true, type: "value", min: from - air, max: to + air, axisLabel: { color: c.muted, hideOverlap: true, showMinLabel: false, showMaxLabel: false, formatter: (value) => words.short(value) } }),
      yAxis: { type: "value", show: false, min: 0, max: 1 },
      series: [{ id: "samples", type: "scatter", silent: true, symbolSize: 9, itemStyle: { color: c.blue, opacity: 0.5 }, data: values.map((value, index) => [value, 0.2 + 0.6 * mnas.smallCharts.spread(index)]),
        markArea: { silent: true, animation: false, itemStyle: { color: c.blue, opacity: 0.1 }, data: words.known(low) ? [[{ xAxis: low }, { xAxis: high }]] : [] },
        markLine: charts.markLine(words.known(estimate) ? [{ xAxis: estimate }] : [], { lineStyle: { color: c.ink, type: "solid", width: 1.5 }, label: { formatter: `${words.ms(estimate)} ms`, color: c.ink } }) }],
    };
  }

  function copies(network, path) {
    const rows = [["block strings", network.block_strings.join(" ")], ["architecture", network.architecture], ...Object.entries(network.commands).filter(([, command]) => command)];
    dom.redraw("network-copy", rows, () => rows.map(([name, value]) => dom.copyRow(name, value)));
    const isTrial = path[1] !== "ref";
    dom.redraw("network-downloads", [path, api.isReport], () => {
      if (api.isReport) return jsonOfReport(network);
      if (!isTrial) return [];
      return [["ONNX", "model.onnx"], ["JSON", "architecture.json"]].map(([name, file]) => el("a", { class: "button", href: api.file(path[0], path[1], file), download: true, "data-file": file }, `Download ${name}`));
    });
  }

  function jsonOfReport(network) {
    const button = el("button", { type: "button", "data-file": "architecture.json" }, "Download JSON");
    button.addEventListener("click", () => {
      const link = el("a", { href: URL.createObjectURL(new Blob([JSON.stringify(network, null, 2)], { type: "application/json" })), download: `${network.architecture_id}.json` });
      link.click();
      URL.revokeObjectURL(link.href);
    });
    return [button];
  }

  function factsOf(network) {
    dom.facts("network-facts", [
      ["Statistic", network.statistic || words.DASH],
      ["Trained for", words.known(network.train_seconds) ? words.duration(network.train_seconds) : words.DASH],
      ["Measured for", words.known(network.measure_seconds) ? words.duration(network.measure_seconds) : words.DASH],
      ["Finished", words.moment(network.finished)],
      ...(network.energy ? [["Energy", `${words.ms(network.energy.millijoules)} mJ per inference (${words.interval(network.energy.low, network.energy.high)}), ${network.energy.meter}`]] : []),
      ...(network.parts || []).map((part) => [part.name, `${words.ms(part.latency_ms)} ms (${words.interval(part.low_ms, part.high_ms)})`]),
      ...(words.known(network.network_ms) ? [["Beside its blocks", `${words.ms(network.network_ms)} ms for running a network at all`]] : []),
      ["Worker", network.worker || words.DASH],
      ["Seed", network.seed === null || network.seed === undefined ? words.DASH : String(network.seed)],
      ...(network.attempts > 1 ? [["Attempts", String(network.attempts)]] : []),
      ...Object.entries(network.environment || {}).map(([name, value]) => [name, words.value(value)]),
    ]);
  }

  mnas.views = { ...mnas.views, network: { show } };
})(window.mnas = window.mnas || {});
