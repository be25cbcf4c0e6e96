// Networks with all their details, fetched when they are looked at; the last few are kept.
"use strict";
(function (mnas) {
  const { api, store } = mnas;
  const MOST_KEPT = 24;
  const kept = new Map();

  // `path` is [run, number] or [run, "ref", index]. Throws an ApiError where there is none.
  async function network(path) {
    const key = [...path, store.runs.get(path[0])?.generation].join("/");  // a run begun anew has other networks
    if (!kept.has(key)) kept.set(key, path[1] === "ref" ? await api.reference(path[0], path[2]) : await api.network(path[0], path[1]));
    if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value);
    return kept.get(key);
  }

  mnas.network = network;
})(window.mnas = window.mnas || {});
