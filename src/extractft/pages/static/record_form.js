// A record as a form: a row for each field, with its value, how sure it is, and where it stands in the text.

import { el, fill } from "./dom.js";
import { copy, parse, same, stringify } from "./exact_json.js";
import { SchemaTree, valueOf } from "./schema_tree.js";
import { words } from "./words.js";

export const SURE = 0.9, FAIR = 0.6;

export function levelOf(confidence) {
  if (confidence === undefined || confidence === null) return "unknown";
  const number = Number(confidence);
  return number >= SURE ? "sure" : number >= FAIR ? "fair" : "doubtful";
}

export function confidenceWords(confidence) {
  const level = levelOf(confidence);
  if (level === "unknown") return words("unknown");
  return words("confidence_of", { percent: Math.floor(Number(confidence) * 100), level: words(level) });
}

export class RecordForm {
  // `listener` may have `changed(path)`, `focused(path)` and `take(row)`; without `editable` values are only shown.
  constructor(element, listener = {}, { editable = false } = {}) {
    Object.assign(this, { element, listener, editable, rows: [], active: null });
    element.addEventListener("focusin", (event) => this.focusedIn(event.target.closest(".row")));
  }

  show(form, record, known) {
    this.tree = new SchemaTree(form);
    this.proposed = copy(record ?? undefined);
    this.record = record === null || record === undefined ? this.tree.empty(this.tree.root) : copy(record);
    this.start = copy(this.record);
    this.known = { fields: {}, spans: null, forced: [], ...known };
    this.spans = this.known.spans;
    this.issues = new Map();
    this.active = null;
    this.draw();
  }

  get isChanged() {
    return !same(this.start, this.record);
  }

  // ------------------------------------------------------------------------------------------------------- drawing

  draw() {
    const path = this.active;
    this.rows = [];
    this.element.replaceChildren(...this.drawNode(this.tree.root, this.record, [], "", null));
    this.update();
    if (path !== null) this.active = this.row(path) ? path : null;
    this.markActive();
  }

  drawNode(node, value, keys, path, field) {
    const editor = this.tree.editor(node, value);
    if (editor.kind === "object" && (value !== null && value !== undefined || !keys.length)) {
      const inside = editor.node.fields.flatMap((inner) =>
        this.drawNode(inner.node, value?.[inner.key], [...keys, inner.key], join(path, inner.name), inner));
      return keys.length ? [this.group(path, field, inside)] : inside;
    }
    if (editor.kind === "array" && Array.isArray(value)) return [this.list(editor.node, value, keys, path, field)];
    return [this.leaf(editor, node, value, keys, path, field)];
  }

  group(path, field, inside, more = null) {
    const legend = el("legend", {}, nameOf(path, field), more);
    return el("fieldset", { class: "group" }, legend, ...inside);
  }

  list(node, value, keys, path, field) {
    const items = value.flatMap((item, index) => {
      const inside = this.drawNode(node.items, item, [...keys, index], join(path, index), null);
      return this.editable ? [el("div", { class: "item" }, ...inside, this.button("remove_item", () => this.remove(keys, index), nameOf(join(path, index))))] : inside;
    });
    const row = this.newRow({ keys, path, node, field, kind: "list" });
    row.element.classList.add("list");
    row.value = el("span", { class: "value" }, value.length ? words("items", { count: value.length }) : words("empty_list"));
    fill(row.body, row.value);
    if (this.editable) row.actions.append(this.button("add_item", () => this.add(row), nameOf(path)));
    return el("fieldset", { class: "group" }, el("legend", {}, nameOf(path, field)), row.element, ...items);
  }

  leaf(editor, node, value, keys, path, field) {
    const row = this.newRow({ keys, path, node, field, editor, kind: "leaf" });
    this.fillLeaf(row, value);
    return row.element;
  }

  newRow(row) {
    const label = nameOf(row.path, row.field);
    Object.assign(row, { label, body: el("div", { class: "body" }), chips: el("div", { class: "chips" }), actions: el("div", { class: "actions" }) });
    row.problem = el("p", { class: "problem", id: `problem-${this.rows.length}` });
    row.element = el("div", { class: "row", role: "group", tabindex: this.editable ? -1 : 0, "aria-label": label },
      el("div", { class: "label", title: row.field?.description }, label), row.body, row.chips, row.problem, row.actions);
    this.rows.push(row);
    return row;
  }

  fillLeaf(row, value) {
    const absent = value === null || value === undefined;
    row.actions.replaceChildren();
    if (!this.editable) {
      fill(row.body, el("span", { class: absent ? "value absent" : "value" }, absent ? words("absent") : shown(value)));
      return;
    }
    if (absent) {
      row.input = null;
      fill(row.body, el("span", { class: "value absent" }, words("absent")));
      row.actions.append(this.button("fill_in", () => this.edit(row), row.label));
    } else {
      row.input = this.input(row, value);
      fill(row.body, row.input);
      row.actions.append(this.button("not_in_text", () => this.clear(row), row.label));
    }
    row.actions.append(this.button("take", () => this.listener.take?.(row), row.label));
    row.undo = this.button("undo", () => this.undo(row), row.label);
    row.actions.append(row.undo);
  }

  input(row, value) {
    const { editor } = row;
    const attributes = { name: row.path || "record", "aria-label": row.label, "aria-describedby": row.problem.id };
    const changed = () => this.typed(row);
    if (editor.kind === "choice" || editor.kind === "boolean") {
      const values = editor.kind === "boolean" ? [true, false] : editor.values;
      const texts = values.map((item) => stringify(item));
      const own = stringify(value);
      const listed = texts.includes(own) ? texts : [own, ...texts];
      const options = listed.map((text) => el("option", { value: text, selected: text === own }, shown(parse(text))));
      return el("select", { ...attributes, on: { change: changed } }, ...options);
    }
    const json = editor.kind === "json";
    const text = json ? stringify(value, "", "  ") : shown(value);
    const input = el("textarea", { ...attributes, rows: 1, spellcheck: "false", autocomplete: "off", class: json ? "code" : undefined, inputmode: editor.kind === "number" ? "decimal" : undefined, on: { input: changed } });
    input.value = text;
    requestAnimationFrame(() => grow(input));
    input.addEventListener("input", () => grow(input));
    return input;
  }

  button(name, act, label) {
    return el("button", { type: "button", tabindex: -1, "aria-label": `${words(name)}: ${label}`, on: { click: act } }, words(name));
  }

  // ------------------------------------------------------------------------------------------------------ changing

  at(keys) {
    return keys.reduce((value, key) => value?.[key], this.record);
  }

  put(keys, value) {
    if (!keys.length) {
      this.record = value;
      return;
    }
    let holder = this.record;
    keys.slice(0, -1).forEach((key, index) => {
      if (holder[key] === null || holder[key] === undefined) holder[key] = typeof keys[index + 1] === "number" ? [] : Object.create(null);
      holder = holder[key];
    });
    holder[keys[keys.length - 1]] = value;
  }

  typed(row) {
    if (row.editor.kind === "choice" || row.editor.kind === "boolean") {
      this.put(row.keys, parse(row.input.value));
    } else if (row.editor.kind === "json") {
      try {
        this.put(row.keys, parse(row.input.value));
      } catch {
        this.put(row.keys, row.input.value);
      }
    } else {
      this.put(row.keys, valueOf(row.editor, row.input.value));
    }
    this.touched(row);
  }

  // Give a field a value, as if it had been typed.
  set(row, text) {
    this.put(row.keys, row.editor.kind === "json" ? text : valueOf(row.editor, text));
    this.redraw(row);
  }

  clear(row) {
    if (row.kind !== "leaf") return this.setList(row, []);
    const whole = row.field?.default !== undefined && !this.tree.takesNull(row.node);
    this.put(row.keys, this.tree.takesNull(row.node) ? null : whole ? copy(row.field.default) : undefined);
    return this.redraw(row);
  }

  setList(row, items) {
    this.put(row.keys, items);
    this.draw();
    this.touched(this.row(row.path) || row);
  }

  undo(row) {
    this.put(row.keys, copy(row.keys.reduce((value, key) => value?.[key], this.start)));
    this.redraw(row);
  }

  add(row) {
    const node = this.tree.editor(row.node, []).node;
    const list = this.at(row.keys) || [];
    this.setList(row, [...list, this.tree.empty(node.items)]);
    const first = this.rows.find((found) => found.path.startsWith(join(row.path, list.length)));
    if (first) this.focus(first.path);
  }

  remove(keys, index) {
    const items = this.at(keys).filter((_, place) => place !== index);
    const row = this.rows.find((found) => found.kind === "list" && same(found.keys, keys));
    this.setList(row, items);
    this.focus(row.path);
  }

  redraw(row) {
    const value = this.at(row.keys);
    const editor = this.tree.editor(row.node, value);
    if (editor.kind === row.editor?.kind && row.kind === "leaf" && editor.kind !== "object" && editor.kind !== "array") {
      this.fillLeaf(row, value);
    } else {
      this.draw();
    }
    this.touched(row);
    if (!this.element.contains(document.activeElement)) this.focus(row.path);
  }

  touched(row) {
    this.update();
    this.listener.changed?.(row.path);
  }

  // What the server says about the record as it is now.
  checked(issues, spans) {
    this.spans = spans;
    this.issues = new Map();
    for (const issue of issues) {
      const row = this.row(issue.path) || this.rows.find((found) => issue.path.startsWith(`${found.path}.`)) || this.rows[0];
      if (row) this.issues.set(row.path, [...(this.issues.get(row.path) || []), issue.message]);
    }
    this.update();
  }

  // -------------------------------------------------------------------------------------------------- what is known

  update() {
    for (const row of this.rows) {
      const value = this.at(row.keys);
      const changed = this.editable && !same(row.keys.reduce((found, key) => found?.[key], this.start) ?? null, value ?? null);
      row.level = changed ? "changed" : levelOf(this.known.fields[row.path]);
      row.element.dataset.level = row.level;
      fill(row.chips, ...this.chipsOf(row, value, changed));
      if (row.undo) row.undo.hidden = !changed;
      const problems = this.issues.get(row.path) || [];
      row.problem.textContent = problems.join(" · ");
      row.element.classList.toggle("invalid", problems.length > 0);
      row.input?.setAttribute("aria-invalid", String(problems.length > 0));
      row.element.setAttribute("aria-label", this.spoken(row, value));
    }
  }

  chipsOf(row, value, changed) {
    const chips = [];
    const absent = value === null || value === undefined;
    if (changed) {
      const before = row.keys.reduce((found, key) => found?.[key], this.start) ?? null;
      chips.push(chip("changed", words("changed")));
      if (row.kind === "leaf") chips.push(chip("plain", before === null ? words("was_absent") : words("was", { value: shown(before) })));
    } else if (row.path in this.known.fields) {
      const found = confidenceWords(this.known.fields[row.path]);
      chips.push(chip(row.level, absent ? words("absent_sure", { level: found }) : found));
    }
    if (this.known.forced.includes(row.path) && !changed) chips.push(chip("plain", words("forced")));
    if (row.kind === "leaf" && row.editor.kind !== "json" && !absent && this.spans) chips.push(placeChip(this.spans[row.path], row.editor));
    return chips;
  }

  spoken(row, value) {
    const told = row.kind === "leaf" && value !== null && value !== undefined ? shown(value) : row.body.textContent;
    return [row.label, row.input ? "" : told, ...[...row.chips.children].map((found) => found.textContent)].filter(Boolean).join(", ");
  }

  // `{path, start, end, level}` of every value with a place.
  marks() {
    return this.rows.flatMap((row) => {
      const place = this.spans?.[row.path]?.[0];
      const [start, end] = [Number(place?.start), Number(place?.end)];
      return place && row.kind === "leaf" ? [{ path: row.path, start, end, level: row.level }] : [];
    });
  }

  // ------------------------------------------------------------------------------------------------------- walking

  row(path) {
    return this.rows.find((row) => row.path === path) || null;
  }

  get activeRow() {
    return this.active === null ? null : this.row(this.active);
  }

  focusedIn(element) {
    const row = this.rows.find((found) => found.element === element);
    if (row) this.activate(row);
  }

  activate(row) {
    if (row.path === this.active) return;
    this.active = row.path;
    this.markActive();
    this.listener.focused?.(row.path);
  }

  markActive() {
    for (const row of this.rows) {
      const own = row.path === this.active;
      row.element.classList.toggle("active", own);
      if (this.editable) row.element.tabIndex = own || (this.active === null && row === this.rows[0]) ? 0 : -1;
    }
  }

  focus(path) {
    const row = this.row(path) || this.rows[0];
    if (!row) return;
    row.element.focus();
    this.activate(row);  // a page in the background gets no focus
    row.element.scrollIntoView({ block: "nearest" });
  }

  move(step) {
    const place = this.rows.indexOf(this.activeRow);
    const next = this.rows[place < 0 ? 0 : Math.min(this.rows.length - 1, Math.max(0, place + step))];
    if (next) this.focus(next.path);
  }

  edit(row = this.activeRow) {
    if (!row || !this.editable) return;
    if (row.kind === "list") return void this.add(row);
    if (!row.input) {
      if (["object", "array"].includes(row.editor.kind)) {
        this.put(row.keys, this.tree.empty(row.node));
        this.draw();
        this.touched(row);
        this.focus(this.rows.find((found) => found.path.startsWith(row.path))?.path);
        return;
      }
      row.input = this.input(row, row.editor.kind === "boolean" ? true : row.editor.kind === "choice" ? row.editor.values[0] : "");
      fill(row.body, row.input);
      if (row.input.matches("select")) this.typed(row);
    }
    row.before = copy(this.at(row.keys));
    row.input.focus();
    row.input.select?.();
  }

  // Leave the editor of a field; what was typed stays, or is taken back.
  leave(row, keep) {
    if (!keep) {
      this.put(row.keys, row.before);
      this.fillLeaf(row, row.before);
      this.touched(row);
    }
    row.element.focus();
  }
}

function join(path, step) {
  return path ? `${path}.${step}` : String(step);
}

function nameOf(path, field = null) {
  if (field) return field.name;
  const last = path.split(".").pop();
  return /^\d+$/.test(last) ? words("item", { number: Number(last) + 1 }) : last || words("record");
}

function shown(value) {
  return typeof value === "string" ? value : stringify(value);
}

function chip(kind, text) {
  return el("span", { class: `chip ${kind}` }, text);
}

// A choice or a truth value need not be written in the text.
function placeChip(spans, editor) {
  const method = spans?.[0]?.method;
  if (!method) return chip(["choice", "boolean"].includes(editor.kind) ? "plain" : "nowhere", words("nowhere"));
  return chip(method === "fuzzy" ? "nowhere" : "plain", words({ exact: "here", normalized: "here_normalized" }[method] || "here_fuzzy"));
}

function grow(input) {
  input.style.height = "auto";
  input.style.height = `${input.scrollHeight + 2}px`;
}
