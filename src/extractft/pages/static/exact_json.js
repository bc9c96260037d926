// JSON with numbers kept as they are written: 1.0 stays 1.0, and an integer of thirty digits loses none of them.

export class ExactNumber {
  constructor(source) { this.source = source; }
  toString() { return this.source; }
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const BLANKS = /[ \t\n\r]*/y;
const WORDS = [["true", true], ["false", false], ["null", null]];

export function isNumber(text) {
  NUMBER.lastIndex = 0;
  return NUMBER.test(text) && NUMBER.lastIndex === text.length;
}

export function parse(text) {
  const reader = { text, at: 0 };
  const value = readValue(reader);
  skip(reader);
  if (reader.at !== text.length) throw new SyntaxError(`JSON: more than one value, at ${reader.at}`);
  return value;
}

export function stringify(value, indent = "", step = "") {
  if (value instanceof ExactNumber) return value.source;
  if (value === null || typeof value !== "object") return JSON.stringify(value === undefined ? null : value);
  const inner = indent + step;
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const parts = Array.isArray(value)
    ? value.map((item) => stringify(item, inner, step))
    : Object.keys(value)
        .filter((key) => value[key] !== undefined)
        .map((key) => `${JSON.stringify(key)}:${step && " "}${stringify(value[key], inner, step)}`);
  if (!parts.length) return open + close;
  return step ? `${open}\n${inner}${parts.join(`,\n${inner}`)}\n${indent}${close}` : open + parts.join(",") + close;
}

export function copy(value) {
  return value === undefined ? undefined : parse(stringify(value));
}

export function same(one, other) {
  return stringify(one) === stringify(other);
}

function readValue(reader) {
  skip(reader);
  const first = reader.text[reader.at];
  if (first === "{") return readObject(reader);
  if (first === "[") return readArray(reader);
  if (first === '"') return JSON.parse(take(reader, STRING));
  for (const [word, value] of WORDS) {
    if (reader.text.startsWith(word, reader.at)) {
      reader.at += word.length;
      return value;
    }
  }
  return new ExactNumber(take(reader, NUMBER));
}

function readObject(reader) {
  const found = Object.create(null);  // a key may be called __proto__
  reader.at += 1;
  if (ends(reader, "}")) return found;
  do {
    skip(reader);
    const key = JSON.parse(take(reader, STRING));
    expect(reader, ":");
    found[key] = readValue(reader);
  } while (goesOn(reader, "}"));
  return found;
}

function readArray(reader) {
  const found = [];
  reader.at += 1;
  if (ends(reader, "]")) return found;
  do found.push(readValue(reader)); while (goesOn(reader, "]"));
  return found;
}

function skip(reader) {
  BLANKS.lastIndex = reader.at;
  BLANKS.test(reader.text);
  reader.at = BLANKS.lastIndex;
}

function take(reader, pattern) {
  pattern.lastIndex = reader.at;
  const match = pattern.exec(reader.text);
  if (!match) throw new SyntaxError(`JSON: something unexpected at ${reader.at}`);
  reader.at = pattern.lastIndex;
  return match[0];
}

function ends(reader, close) {
  skip(reader);
  if (reader.text[reader.at] !== close) return false;
  reader.at += 1;
  return true;
}

function expect(reader, sign) {
  if (!ends(reader, sign)) throw new SyntaxError(`JSON: expected ${sign} at ${reader.at}`);
}

function goesOn(reader, close) {
  if (ends(reader, ",")) return true;
  expect(reader, close);
  return false;
}
