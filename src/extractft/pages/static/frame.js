// What both pages have around their content: language, links, messages.

import { ask } from "./api.js";
import { byId } from "./dom.js";
import { switchLanguage, translate, words } from "./words.js";

// Show the words, and show them again in the other language when that is asked for.
export function prepareFrame(title, redraw) {
  const again = () => {
    translate();
    document.title = `${words(title)} · extractft`;
  };
  byId("language").addEventListener("click", () => {
    switchLanguage();
    again();
    redraw();
  });
  again();
}

// A line that those who listen hear too.
export function tell(message, kind = "plain") {
  const line = byId("message");
  line.textContent = message;
  line.className = kind;
}

export async function models() {
  const found = await ask("GET", "/v1/models");
  return found.models;
}

const forms = new Map();

export async function formOf(name) {
  if (!forms.has(name)) forms.set(name, await ask("GET", `/v1/${encodeURIComponent(name)}/form`));
  return forms.get(name);
}
