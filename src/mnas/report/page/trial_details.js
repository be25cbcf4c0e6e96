// What a row of the trials unfolds to: why it failed, whole; its learning curve and latency samples; the way to its network.
"use strict";
(function (mnas) {
  const { api, dom, smallCharts, words } = mnas;
  const { el } = dom;

  // Its figures are fetched; they come into a place that is kept for them.
  function trialDetails(run, row) {
    const number = run.columns.number[row], error = run.columns.error[row];
    const figures = el("div", { class: "detail-figures" }, el("p", { class: "muted" }, "Asking for its figures"));
    mnas.network([run.id, String(number)]).then((network) => figures.replaceChildren(...figuresOf(network)), (problem) => {
      if (!(problem instanceof api.ApiError)) throw problem;
      figures.replaceChildren(el("p", { class: "muted" }, problem.message));
    });
    return [
      error ? el("p", { class: run.columns.state[row] === "FAILED" ? "failure" : "note" }, error) : null,
      figures,
      el("p", { class: "more" }, el("a", { class: "button", href: `#/network/${run.id}/${number}` }, `Open the network of trial ${number}`)),
    ];
  }

  function figuresOf(network) {
    const { curve, samples_ms: samples } = network;
    return [
      figure("Learning curve", curve.some(words.known) && smallCharts.curve(curve), curveWords(curve), curve.map((value) => `${words.percent(value)} %`), "after each epoch"),
      figure("Latency samples", samples.length > 0 && smallCharts.samples(samples, network), samplesWords(network), samples.map((value) => `${words.ms(value)} ms`), "in the order measured"),
    ];
  }

  function figure(name, chart, told, values, order) {
    return el("div", {}, el("h3", {}, name), chart, el("p", { class: "told" }, told),
      values.length ? el("details", {}, el("summary", {}, `All ${values.length} values, ${order}`), el("ol", { class: "values number" }, values.map((value) => el("li", {}, value)))) : null);
  }

  function curveWords(curve) {
    const known = curve.filter(words.known);
    if (!known.length) return "It was not trained.";
    const best = Math.max(...known);
    return `${words.percent(curve.at(-1))} % after ${words.plural(curve.length, "epoch")}; the best was ${words.percent(best)} % after epoch ${curve.indexOf(best) + 1}.`;
  }

  function samplesWords({ samples_ms: samples, statistic, latency_ms: estimate, low_ms: low, high_ms: high }) {
    if (!words.known(estimate)) return "It was not measured.";
    const told = `${words.ms(estimate)} ms${statistic ? ` (${statistic})` : ""}, 95 % interval ${words.interval(low, high)} ms`;
    if (!samples.length) return `${told}; no samples were kept.`;
    const sorted = [...samples].sort((a, b) => a - b);
    return `${told}. ${words.plural(samples.length, "sample")} from ${words.ms(sorted[0])} to ${words.ms(sorted.at(-1))} ms, median ${words.ms(sorted[sorted.length >> 1])} ms.`;
  }

  mnas.trialDetails = trialDetails;
})(window.mnas = window.mnas || {});
