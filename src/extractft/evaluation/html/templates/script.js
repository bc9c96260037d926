"use strict";
(() => {
  // Sorting: every heading of a sortable table becomes a button.
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        const key = (row) => row.cells[column].dataset.value;
        const compare = (a, b) => (isNaN(a) || isNaN(b) ? String(a).localeCompare(String(b)) : a - b);
        const rows = [...body.rows].sort((a, b) => (up ? 1 : -1) * compare(key(a), key(b)));
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        body.append(...rows);
      });
    });
  }

  const form = document.getElementById("filter");
  if (!form) return;
  const records = [...document.querySelectorAll("article.record")];
  const fits = (element, field, kind) =>
    (!field || element.dataset.field === field) && (!kind || element.dataset.kind === kind);

  function filter() {
    const field = form.elements.field.value;
    const kind = form.elements.kind.value;
    let shown = 0;
    for (const record of records) {
      const rows = [...record.querySelectorAll("tr[data-kind]")];
      for (const row of rows) row.classList.toggle("dim", !fits(row, field, kind));
      const failed = record.dataset.kinds;
      record.hidden = failed ? Boolean(field) || (kind && kind !== failed) : !rows.some((row) => fits(row, field, kind));
      shown += !record.hidden;
    }
    form.elements.count.value = shown === 1 ? "1 record" : shown + " records";
    document.getElementById("none").hidden = shown > 0;
  }

  function go(record) {
    record.focus({ preventScroll: true });
    record.scrollIntoView({ block: "start" });
  }

  function step(by) {
    const shown = records.filter((record) => !record.hidden);
    if (!shown.length) return;
    const here = document.activeElement.closest("article.record");
    const at = shown.indexOf(here);
    go(shown[at < 0 ? 0 : Math.min(shown.length - 1, Math.max(0, at + by))]);
  }

  form.hidden = false;
  form.addEventListener("change", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-field]");
    const record = link && document.getElementById(link.hash.slice(1));
    if (!record) return;
    event.preventDefault();
    form.elements.field.value = record.dataset.kinds ? "" : link.dataset.field;
    form.elements.kind.value = "";
    filter();
    history.replaceState(null, "", link.hash);
    go(record);
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select, input, textarea")) return;
    const arrows = event.target.closest("article.record") ? { ArrowRight: 1, ArrowLeft: -1 } : {};
    const by = { j: 1, k: -1, ...arrows }[event.key];
    if (!by) return;
    event.preventDefault();
    step(by);
  });
  addEventListener("hashchange", () => {
    const record = document.getElementById(location.hash.slice(1));
    if (record && record.hidden) form.reset();
  });
})();
