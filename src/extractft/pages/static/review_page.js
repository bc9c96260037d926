// The page `/review`: the least certain record, looked over and corrected by keyboard or by hand, saved at once.

import { ServerProblem, ask, askOnce, said } from "./api.js";
import { byId, el, fill, isEditing, keyOf, recall, remember } from "./dom.js";
import { formOf, prepareFrame, tell } from "./frame.js";
import { MarkedText } from "./marked_text.js";
import { RecordForm, confidenceWords, levelOf } from "./record_form.js";
import { showCounts } from "./review_counts.js";
import { reasonWords, words } from "./words.js";

const PATIENCE = 250;  // milliseconds after the last key before the record is checked
const PERSON = "extractft-reviewer";

const marked = new MarkedText(byId("text"), (path) => form.focus(path));
const form = new RecordForm(byId("record"), {
  focused: (path) => marked.activate(path), changed: () => changed(), take: (row) => take(row),
}, { editable: true });

let person = recall("localStorage", PERSON) || "";
let item = null;
let counts = null;
let busy = false;
let check = { timer: 0, abort: null };

async function begin() {
  prepareFrame("title_review", redraw);
  byId("accept").addEventListener("click", save);
  byId("skip").addEventListener("click", skip);
  byId("back").addEventListener("click", back);
  byId("help").addEventListener("click", showKeys);
  byId("person").addEventListener("click", async () => { await askPerson(); next(); });
  document.addEventListener("keydown", pressed);
  addEventListener("beforeunload", (event) => { if (item && form.isChanged) event.preventDefault(); });
  if (!person) await askPerson();
  redraw();
  await next();
}

async function askPerson() {
  person = await askOnce(words("who"), words("who_why"), "text", "name", person);
  remember("localStorage", PERSON, person);
  byId("person").textContent = person;
}

// ----------------------------------------------------------------------------------------------------------- showing

async function next() {
  await during(goOn);
}

// Claim the next record and show it; the numbers follow when they are there.
async function goOn() {
  const found = await ask("POST", "/v1/review/next", { reviewer: person });
  await show(found.item);
  count();
}

async function show(found) {
  stopChecking();
  item = found;
  byId("work").hidden = item === null;
  byId("none").hidden = item !== null;
  for (const id of ["accept", "skip"]) byId(id).disabled = item === null;
  if (item) {
    item.form = await formOf(item.extractor);
    redraw();
    const doubtful = form.rows.filter((row) => row.level === "doubtful");
    form.focus((doubtful[0] || form.rows[0])?.path);
  }
}

async function count() {
  try {
    counts = await ask("GET", "/v1/review/stats");
    showCounts(counts);
  } catch (problem) {
    tell(said(problem), "bad");
  }
}

function redraw() {
  byId("person").textContent = person;
  byId("person").setAttribute("aria-label", `${words("change_name")}: ${person}`);
  if (counts) showCounts(counts);
  if (!item) return drawSave();
  const { confidence } = item;
  const edited = form.item === item && form.isChanged ? form.record : null;
  form.item = item;
  form.show(item.form, item.record, { fields: confidence.fields, spans: item.spans, forced: item.forced });
  if (edited) {
    form.record = edited;
    form.draw();
  }
  marked.show(item.text, form.marks());
  const reason = item.reason && words("reason", { reason: reasonWords(item.reason) });
  byId("origin").textContent = [item.extractor, words("row", { id: item.id }), reason, item.source].filter(Boolean).join(" · ");
  const whole = byId("whole");
  whole.className = `whole ${levelOf(confidence.record)}`;
  whole.textContent = confidence.record === null ? words("whole_unknown") : words("whole", { level: confidenceWords(confidence.record) });
  byId("past").hidden = !item.history.length;
  fill(byId("history"), ...item.history.map((past) => el("li", {}, words("decided", {
    who: past.reviewer, when: new Date(past.at).toLocaleString(document.documentElement.lang), kind: words(`kind_${past.kind}`),
  }))));
  byId("validity").textContent = item.truncated ? words("truncated") : "";
  return drawSave();
}

function drawSave() {
  const again = item?.history.length > 0;
  fill(byId("accept"), words(item && (form.isChanged || again) ? "save" : "accept"), " ", el("kbd", {}, "a"));
}

// ---------------------------------------------------------------------------------------------------------- changing

function changed() {
  drawSave();
  stopChecking();
  byId("validity").textContent = words("checking");
  check.timer = setTimeout(validate, PATIENCE);
}

function stopChecking() {
  clearTimeout(check.timer);
  check.abort?.abort();
}

async function validate() {
  if (!item) return;
  const [own, abort] = [item, new AbortController()];
  check.abort = abort;
  try {
    const found = await ask("POST", `/v1/review/items/${own.number}/validate`, { record: form.record }, abort.signal);
    if (item !== own || abort.signal.aborted) return;
    showIssues(found.issues, found.spans);
  } catch (problem) {
    if (problem.name !== "AbortError") byId("validity").textContent = said(problem);
  }
}

function showIssues(issues, spans) {
  form.checked(issues, spans);
  marked.show(item.text, form.marks());
  marked.activate(form.active);
  byId("validity").textContent = issues.length ? words("invalid", { count: issues.length }) : words("valid");
  byId("validity").classList.toggle("bad", issues.length > 0);
}

function take(row = form.activeRow) {
  const text = marked.selected();
  if (!text) return tell(words("selection_first"), "bad");
  if (!row || row.kind !== "leaf") return null;
  form.set(row, text);
  form.focus(row.path);
  return tell("");
}

// ------------------------------------------------------------------------------------------------------------ saving

async function during(work) {
  if (busy) return;
  busy = true;
  try {
    await work();
  } catch (problem) {
    tell(said(problem), "bad");
    if (problem.code === "record-taken") {
      busy = false;
      await next();
      tell(words("taken"), "bad");
    }
  } finally {
    busy = false;
  }
}

async function save() {
  if (!item) return;
  await during(async () => {
    tell(words("saving"));
    const plain = !form.isChanged && !item.history.length;
    const body = { reviewer: person, version: Number(item.version), ...(plain ? {} : { record: form.record }) };
    try {
      const path = `/v1/review/items/${item.number}/${plain ? "accept" : "correct"}`;
      const saved = await ask("POST", path, body);
      tell(words(`saved_${saved.decision}`, { count: saved.changes }), "good");
    } catch (problem) {
      if (!(problem instanceof ServerProblem) || problem.code !== "invalid-record") throw problem;
      showIssues(problem.errors, form.spans);
      return tell(words("still_invalid"), "bad");
    }
    item = null;
    return goOn();
  });
}

async function skip() {
  if (!item) return;
  await during(async () => {
    await ask("POST", `/v1/review/items/${item.number}/skip`, { reviewer: person, version: Number(item.version) });
    tell(words("saved_skip"), "good");
    item = null;
    await goOn();
  });
}

// The record that was decided on before the one that is shown.
async function back() {
  await during(async () => {
    const { items } = await ask("GET", `/v1/review/latest?reviewer=${encodeURIComponent(person)}`);
    const numbers = items.map(String);
    const number = numbers[numbers.indexOf(String(item?.number)) + 1];
    if (number === undefined) return;
    const found = await ask("GET", `/v1/review/items/${number}?reviewer=${encodeURIComponent(person)}`);
    await show(found.item);
  });
}

// -------------------------------------------------------------------------------------------------------------- keys

const KEYS = {
  j: () => form.move(1), ArrowDown: () => form.move(1), k: () => form.move(-1), ArrowUp: () => form.move(-1),
  e: () => form.edit(), Enter: () => form.edit(), x: () => form.activeRow && form.clear(form.activeRow),
  z: () => form.activeRow?.undo && form.undo(form.activeRow), m: () => marked.enter(form.active), t: () => take(),
  "+": () => listOf(form.activeRow, (row) => form.add(row)), "-": () => removeItem(form.activeRow),
  a: save, s: skip, b: back, "?": showKeys,
};
const IN_TEXT = ["t", "a", "s", "b", "x", "?"];

function pressed(event) {
  if (document.querySelector("dialog[open]") || event.isComposing) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    save();
    return;
  }
  if (isEditing(event.target)) return void inEditor(event);
  const inText = byId("text").contains(event.target);
  if (inText && event.key === "Escape") {
    event.preventDefault();
    form.focus(form.active);
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("button, a, summary") && ["Enter", " "].includes(event.key)) return;
  const key = keyOf(event);
  if (!item && !["b", "?"].includes(key)) return;
  if (!Object.hasOwn(KEYS, key) || (inText && !IN_TEXT.includes(key))) return;
  event.preventDefault();
  KEYS[key]();
}

function inEditor(event) {
  const row = form.rows.find((found) => found.input === event.target);
  if (!row) return;
  if (event.key === "Escape" || (event.key === "Enter" && !event.shiftKey && row.editor.kind !== "json")) {
    event.preventDefault();
    form.leave(row, event.key === "Enter");
  }
}

function listOf(row, act) {
  const list = row && (row.kind === "list" ? row : form.rows.findLast((found) => found.kind === "list" && row.path.startsWith(`${found.path}.`)));
  if (list) act(list);
}

function removeItem(row) {
  if (row?.kind === "list") return;
  listOf(row, (list) => form.remove(list.keys, row.keys[list.keys.length]));
}

function showKeys() {
  const rows = words("keys").map(([keys, what]) => el("tr", {}, el("th", { scope: "row" }, keys), el("td", {}, what)));
  const close = el("button", { type: "button", class: "primary", on: { click: () => dialog.close() } }, words("close"));
  const dialog = el("dialog", { "aria-label": words("help"), on: { close: () => dialog.remove() } },
    el("table", { class: "keys" }, el("tbody", {}, ...rows)), close);
  byId("dialogs").append(dialog);
  dialog.showModal();
}

begin();
