// What stands beside a network that is pointed at.
"use strict";
(function (mnas) {
  const { dom, words } = mnas;
  const { el } = dom;

  // Of a trial {run, row} or a reference; `isNamed` where there are several runs.
  function frontTip(mark, isNamed) {
    const [title, note, lines] = mark.row === undefined ? ofReference(mark) : ofTrial(mark, isNamed);
    return [el("strong", {}, title), ...(note ? [el("span", { class: "muted" }, note)] : []), ...lines.map(([name, value]) => el("span", { class: "tip-line" }, el("span", {}, name), el("b", { class: "number" }, value)))];
  }

  function ofReference(one) {
    const note = one.kind === "retrained" ? "retrained longer than trials, on the test split" : "predicted, like the trials";
    return [one.label, note, measured(one.accuracy, one.latency_ms, one.low_ms, one.high_ms)];
  }

  function ofTrial({ run, row }, isNamed) {
    const { columns } = run, number = columns.number[row];
    const marks = [run.front.includes(number) ? "front" : "", run.best === number ? "best reward" : "", columns.cached[row] ? "cached" : ""].filter(Boolean).join(", ");
    return [`${isNamed ? `${run.name}, ` : ""}trial ${number}`, marks, [
      ...measured(columns.accuracy[row], columns.latency_ms[row], columns.low_ms[row], columns.high_ms[row]), ["reward", words.reward(columns.reward[row])],
      ["MAdds", words.short(columns.madds[row])], ["params", words.short(columns.params[row])], ["network", columns.architecture_id[row] || words.DASH],
    ]];
  }

  const measured = (accuracy, ms, low, high) => [["accuracy", `${words.percent(accuracy)} %`], ["latency", `${words.ms(ms)} ms`], ["95 % interval", words.interval(low, high)]];

  mnas.frontTip = frontTip;
})(window.mnas = window.mnas || {});
