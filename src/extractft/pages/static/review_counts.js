// Progress of the review, agreement of the reviewers, and corrections by field, as numbers.

import { byId, el, fill } from "./dom.js";
import { words } from "./words.js";

const FIELD_COUNTS = ["proposed", "wrong", "invented", "missed", "sure_and_wrong"];
const PERSON_COUNTS = ["accepted", "corrected", "skipped"];

export function showCounts(counts) {
  const progress = byId("progress");
  progress.max = Math.max(1, Number(counts.items));
  progress.value = Number(counts.done);
  byId("done").textContent = words("done_of", { done: counts.done, items: counts.items });
  byId("agreement").textContent = counts.agreement === null
    ? words("no_agreement")
    : words("agreement_of", { percent: Math.round(Number(counts.agreement) * 100), count: counts.compared });
  byId("others").textContent = Number(counts.claimed) ? words("others_have", { count: counts.claimed }) : "";
  const fields = Object.entries(counts.fields);
  table(byId("fields"), "corrections", "field", FIELD_COUNTS, fields);
  table(byId("people"), "reviewers", "reviewer", PERSON_COUNTS, Object.entries(counts.reviewers));
}

function table(element, caption, first, names, rows) {
  const head = el("tr", {}, el("th", { scope: "col" }, words(first)),
    ...names.map((name) => el("th", { scope: "col", class: "number" }, words(name))));
  const body = rows.map(([name, counts]) => el("tr", {}, el("th", { scope: "row" }, name),
    ...names.map((count) => el("td", { class: "number" }, String(counts[count])))));
  const shown = [el("caption", {}, words(caption))];
  if (rows.length) shown.push(el("thead", {}, head), el("tbody", {}, ...body));
  else shown.push(el("tbody", {}, el("tr", {}, el("td", {}, words("no_corrections")))));
  element.replaceChildren(...shown);
}
