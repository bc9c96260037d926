// Asks the server that this page came from, and no other. Knows keys and problems; knows no page.

import { byId, el, recall, remember } from "./dom.js";
import { parse, stringify } from "./exact_json.js";
import { words } from "./words.js";

const KEY = "extractft-key";

export class ServerProblem extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `HTTP ${status}`);
    this.status = status;
    this.code = problem.code || "";
    this.errors = problem.errors || [];
  }
}

let key = recall("sessionStorage", KEY) || "";

export function hasKey() {
  return key !== "";
}

export async function ask(method, path, body = undefined, signal = undefined) {
  for (;;) {
    const answer = await send(method, path, body, signal);
    if (answer.status !== 401) return read(answer);
    await askForKey();
  }
}

async function send(method, path, body, signal) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  const content = body === undefined ? undefined : stringify(body);
  try {
    return await fetch(path, { method, headers, body: content, signal, credentials: "omit", cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerProblem(0, { detail: words("unreachable"), code: "unreachable" });
  }
}

async function read(answer) {
  const text = await answer.text();
  let value = {};
  try {
    value = text ? parse(text) : {};
  } catch {
    if (answer.ok) throw new ServerProblem(answer.status, { detail: "JSON" });
  }
  if (!answer.ok) throw new ServerProblem(answer.status, value);
  return value;
}

export function said(problem) {
  if (!(problem instanceof ServerProblem)) throw problem;
  return problem.status ? words("failed", { detail: problem.message }) : problem.message;
}

let asking = null;

function askForKey() {
  asking ??= askOnce(words("key_title"), words("key_why"), "password", "current-password").then((given) => {
    key = given;
    remember("sessionStorage", KEY, key);
    asking = null;
  });
  return asking;
}

// A question in a dialog that stays until it is answered.
export function askOnce(title, why, type, autocomplete, value = "") {
  return new Promise((answered) => {
    const input = el("input", { id: "question-answer", name: "answer", type, autocomplete, required: true, maxlength: 200, value });
    const form = el("form", { method: "dialog" },
      el("label", { for: "question-answer" }, title), el("p", { id: "question-why" }, why), input,
      el("button", { type: "submit", class: "primary" }, words("go")));
    const dialog = el("dialog", { "aria-label": title, "aria-describedby": "question-why" }, form);
    byId("dialogs").append(dialog);
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!input.value.trim()) return;
      dialog.close();
      dialog.remove();
      answered(input.value.trim());
    });
    dialog.showModal();
    input.focus();
    input.select();
  });
}
