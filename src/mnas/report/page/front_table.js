// The networks on the front of runs as a table: with each device's latency where the worst of several counts, and with
// energy where it was measured.
"use strict";
(function (mnas) {
  const { dom, words } = mnas;
  const { el } = dom;

  // `references` are known networks to be listed below; `nameOf` names a run where there are several.
  function frontTable(runs, references = [], nameOf = null) {
    const parts = [...new Set(runs.flatMap((run) => Object.keys(run.parts)))];
    const rows = runs.flatMap((run) => run.front.map((number) => ({ run, number, row: run.place.get(number) }))).filter(({ row }) => row !== undefined);
    const hasEnergy = rows.some(({ run, row }) => words.known(run.columns.energy_mj[row]));
    if (!rows.length) return el("p", { class: "muted" }, "No network is complete yet.");
    const heads = [
      ...(nameOf ? [{ label: "run", left: true }] : []), { label: "trial", left: true }, { label: "accuracy %" }, { label: "latency ms" }, { label: "95 % interval" },
      ...parts.map((name) => ({ label: `${name} ms` })), ...(hasEnergy ? [{ label: "energy mJ" }] : []),
      { label: "reward" }, { label: "MAdds" }, { label: "params" }, { label: "network", left: true, minor: true },
    ];
    const ofTrial = ({ run, number, row }) => {
      const { columns } = run;
      return [
        ...(nameOf ? [nameOf(run)] : []), [el("a", { href: `#/network/${run.id}/${number}` }, `trial ${number}`), run.best === number ? el("span", { class: "star", title: "best reward" }, " ★") : null],
        words.percent(columns.accuracy[row]), words.ms(columns.latency_ms[row]), words.interval(columns.low_ms[row], columns.high_ms[row]),
        ...parts.map((name) => words.ms(run.parts[name]?.[row])), ...(hasEnergy ? [words.ms(columns.energy_mj[row])] : []),
        words.reward(columns.reward[row]), words.short(columns.madds[row]), words.short(columns.params[row]), el("code", {}, columns.architecture_id[row] || ""),
      ];
    };
    const ofReference = (one) => [
      ...(nameOf ? [nameOf(one.run)] : []), el("a", { href: `#/network/${one.run.id}/ref/${one.index}` }, one.label),
      words.percent(one.accuracy), words.ms(one.latency_ms), words.interval(one.low_ms, one.high_ms),
      ...new Array(parts.length + (hasEnergy ? 1 : 0) + 3).fill(words.DASH), `reference, ${one.kind}`,
    ];
    return dom.table(heads, [...rows.map(ofTrial), ...references.map((one) => ({ className: "reference", cells: ofReference(one) }))], "Networks on the front, by rising latency");
  }

  mnas.frontTable = frontTable;
})(window.mnas = window.mnas || {});
