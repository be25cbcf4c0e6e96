// The answers of the API: embedded in the page (a report) or fetched (mnas board). Paths are relative to the host.
"use strict";
(function (mnas) {
  const holder = document.getElementById("embedded");
  const embedded = holder ? JSON.parse(holder.textContent) : null;

  // What the server says was wrong; status 0: it did not answer.
  class ApiError extends Error {
    constructor(status, detail) {
      super(detail);
      this.status = status;
    }
  }

  async function get(path) {
    if (embedded) {
      const answer = embedded[path] ?? embedded[path.split("?")[0]];
      if (answer === undefined) throw new ApiError(404, "This report does not hold it. To see all of the run: mnas board RUN");
      return answer;
    }
    let response;
    try {
      response = await fetch(path, { headers: { Accept: "application/json" }, cache: "no-store", credentials: "same-origin" });
    } catch {
      throw new ApiError(0, "The server does not answer");
    }
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new ApiError(response.status, words(answer.detail, response.status));
    return answer;
  }

  const words = (detail, status) => (typeof detail === "string" ? detail : `The server answered ${status}`);

  mnas.api = {
    ApiError,
    isReport: embedded !== null,
    get,
    runs: () => get("/api/runs"),
    run: (id) => get(`/api/runs/${id}`),
    trials: (id, after) => get(`/api/runs/${id}/trials?after=${after}`),
    network: (id, number) => get(`/api/runs/${id}/trials/${number}`),
    reference: (id, index) => get(`/api/runs/${id}/references/${index}`),
    search: (id) => get(`/api/runs/${id}/search`),
    machines: (id) => get(`/api/runs/${id}/machines`),
    csv: (id) => `/api/runs/${id}/trials.csv`,
    file: (id, number, name) => `/api/runs/${id}/trials/${number}/${name}`,
  };
})(window.mnas = window.mnas || {});
