// Elements out of names and texts. Texts of others go in as text nodes alone, and never as markup.

const PICTURES = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ud800-\udfff]|\r\n?/gu;

// The same text in as many UTF-16 units, with signs for control characters and for those that turn writing around.
export function visible(text) {
  return String(text).replace(PICTURES, (found) => {
    if (found === "\r\n") return "\u200b\n";
    if (found === "\r") return "\n";
    const code = found.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    return code === 0x7f ? "\u2421" : "\ufffd";
  });
}

export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (name === "value") {
      element.value = value;
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false).map(
    (child) => (child instanceof Node ? child : visible(child))
  ));
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren();
  element.append(...el("span", {}, ...children).childNodes);
  return element;
}

// What the browser keeps for this page, where it may keep anything.
export function recall(store, name) {
  try {
    return window[store].getItem(name);
  } catch {
    return null;
  }
}

export function remember(store, name, value) {
  try {
    window[store].setItem(name, value);
  } catch { /* it is asked for again, then */ }
}

export function byId(id) {
  return document.getElementById(id);
}

export function isEditing(target) {
  return target instanceof HTMLElement && target.matches("input, textarea, select");
}

// The letter of a key, whatever alphabet the keyboard writes.
export function keyOf(event) {
  if (/^[a-z]$/i.test(event.key)) return event.key.toLowerCase();
  if (event.code && event.code.startsWith("Key") && event.key.length === 1) return event.code.slice(3).toLowerCase();
  return event.key;
}
