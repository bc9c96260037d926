// The page `/`: a text in, its record as a form, every value marked in the text.

import { ask, hasKey, said } from "./api.js";
import { byId, el, fill } from "./dom.js";
import { stringify } from "./exact_json.js";
import { formOf, models, prepareFrame, tell } from "./frame.js";
import { MarkedText } from "./marked_text.js";
import { RecordForm, confidenceWords, levelOf } from "./record_form.js";
import { words } from "./words.js";

const marked = new MarkedText(byId("text"), (path) => form.focus(path));
const form = new RecordForm(byId("record"), { focused: (path) => marked.activate(path) });
let known = [];
let shownAnswer = null;

async function begin() {
  prepareFrame("title_extract", redraw);
  byId("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    extract();
  });
  byId("input").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) extract();
  });
  byId("extractor").addEventListener("change", choose);
  byId("edit-text").addEventListener("click", () => editText(true));
  byId("copy-json").addEventListener("click", () => copyOut(stringify(shownAnswer.record, "", "  ")));
  byId("copy-curl").addEventListener("click", () => copyOut(curlCommand(shownAnswer.name, shownAnswer.text)));
  byId("input").focus();
  try {
    known = await models();
    fill(byId("extractor"), ...known.map((model) => el("option", { value: model.name }, model.name)));
    await choose();
  } catch (problem) {
    tell(said(problem), "bad");
  }
}

async function choose() {
  const found = await formOf(byId("extractor").value);
  byId("description").textContent = found.description || "";
  byId("to-review").hidden = !found.review;
}

async function extract() {
  const [name, text] = [byId("extractor").value, byId("input").value];
  if (!text.trim() || !name || byId("run").disabled) return;
  byId("run").disabled = true;
  tell(words("running"));
  const begun = performance.now();
  try {
    const model = known.find((found) => found.name === name);
    const answer = await ask("POST", `/v1/${encodeURIComponent(name)}/extract`, {
      text, spans: true, confidence: Boolean(model?.has_confidence),
    });
    shownAnswer = { ...answer, name, text, form: await formOf(name) };
    tell(words("seconds", { seconds: ((performance.now() - begun) / 1000).toFixed(2) }));
    redraw();
    editText(false);
    form.focus(form.rows[0]?.path);
  } catch (problem) {
    tell(said(problem), "bad");
  } finally {
    byId("run").disabled = false;
  }
}

function redraw() {
  if (known.length && byId("extractor").value) choose();
  if (!shownAnswer) return;
  const { confidence, spans, truncated } = shownAnswer;
  form.show(shownAnswer.form, shownAnswer.record, {
    fields: confidence?.fields || {}, spans: spans || null, forced: confidence?.forced || shownAnswer.forced || [],
  });
  marked.show(shownAnswer.text, form.marks());
  const whole = byId("whole");
  whole.className = `whole ${levelOf(confidence?.record)}`;
  whole.textContent = confidence ? words("whole", { level: confidenceWords(confidence.record) }) : words("whole_unknown");
  const notes = [truncated && words("truncated"), confidence && !confidence.calibrated && words("uncalibrated"), !spans && words("ungrounded")];
  byId("notes").textContent = notes.filter(Boolean).join(" ");
  byId("copies").hidden = false;
}

function editText(editing) {
  byId("input").hidden = !editing;
  byId("text").hidden = editing;
  byId("edit-text").hidden = editing;
  if (editing) byId("input").focus();
}

function curlCommand(name, text) {
  const body = stringify({ text, spans: true, confidence: true }).replaceAll("'", "'\\''");
  const key = hasKey() ? ' -H "Authorization: Bearer $EXTRACTFT_API_KEY"' : "";
  return `curl -s ${location.origin}/v1/${encodeURIComponent(name)}/extract${key} -H 'Content-Type: application/json' --data-raw '${body}'`;
}

async function copyOut(text) {
  const field = byId("copied");
  try {
    await navigator.clipboard.writeText(text);
    field.hidden = true;
    tell(words("copied"), "good");
  } catch {
    field.hidden = false;
    field.value = text;
    field.focus();
    field.select();
    tell(words("copy_by_hand"));
  }
}

begin();
