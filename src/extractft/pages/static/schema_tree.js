// The field tree of a schema, as the server describes it: which editor a value has, and what an empty one looks like.

import { ExactNumber, isNumber, same } from "./exact_json.js";

export class SchemaTree {
  constructor(form) {
    this.root = form.tree;
    this.definitions = form.definitions;
  }

  resolve(node) {
    let found = node;
    while (found.kind === "ref") found = this.definitions[found.name];
    return found;
  }

  options(node) {
    const found = this.resolve(node);
    return found.kind === "union" ? found.options.flatMap((option) => this.options(option)) : [found];
  }

  takesNull(node) {
    return this.options(node).some(
      (option) => option.kind === "null" || (option.kind === "literal" && option.values.includes(null))
    );
  }

  // The editor of a value: object, array, choice, boolean, number, string, scalar (one of several of these) or json.
  editor(node, value) {
    const options = this.options(node).filter((option) => option.kind !== "null");
    const chosen = options.length === 1 ? options[0] : this.choose(options, value);
    if (!chosen) return options.every(isScalar) ? { kind: "scalar", options } : { kind: "json" };
    if (chosen.kind === "object") return value && Array.isArray(value) ? { kind: "json" } : { kind: "object", node: chosen };
    if (chosen.kind === "array") {
      const plain = chosen.items && !(chosen.prefix || []).length && (value === null || value === undefined || Array.isArray(value));
      return plain ? { kind: "array", node: chosen } : { kind: "json" };
    }
    if (chosen.kind === "map") return { kind: "json" };
    if (value !== null && typeof value === "object" && !(value instanceof ExactNumber)) return { kind: "json" };
    if (chosen.kind === "literal") return { kind: "choice", values: chosen.values.filter((item) => item !== null) };
    if (chosen.kind === "integer") return { kind: "number", node: chosen };
    return { kind: chosen.kind, node: chosen };
  }

  // Of several options, the object that has most of the value's keys, or the only list.
  choose(options, value) {
    if (Array.isArray(value)) return only(options.filter((option) => option.kind === "array"));
    if (value === null || value === undefined || typeof value !== "object" || value instanceof ExactNumber) return null;
    const objects = options.filter((option) => option.kind === "object");
    const fit = (option) => option.fields.filter((field) => field.key in value && this.agrees(field, value)).length * 2 - option.fields.length;
    return objects.sort((one, other) => fit(other) - fit(one))[0] || null;
  }

  agrees(field, value) {
    const node = this.resolve(field.node);
    return node.kind !== "literal" || node.values.some((item) => same(item, value[field.key]));
  }

  empty(node) {
    const editor = this.editor(node, undefined);
    if (editor.kind === "object") return Object.create(null);
    if (editor.kind === "array") return [];
    return editor.kind === "string" ? "" : null;
  }
}

// What somebody typed, as the value that an editor makes of it.
export function valueOf(editor, text) {
  if (editor.kind === "number") return isNumber(text.trim()) ? new ExactNumber(text.trim()) : text;
  if (editor.kind !== "scalar") return text;
  const kinds = editor.options.map((option) => option.kind);
  if (kinds.includes("boolean") && (text === "true" || text === "false")) return text === "true";
  const plain = text.trim();
  return (kinds.includes("number") || kinds.includes("integer")) && isNumber(plain) ? new ExactNumber(plain) : text;
}

function isScalar(option) {
  return ["string", "integer", "number", "boolean", "literal"].includes(option.kind);
}

function only(found) {
  return found.length === 1 ? found[0] : null;
}
