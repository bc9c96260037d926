// A text with the places of values marked in it. It can be walked through and selected in by keyboard, and not changed.

import { el, visible } from "./dom.js";

export class MarkedText {
  // `pick` is called with the path of a value whose place was clicked.
  constructor(element, pick = () => {}) {
    this.element = element;
    this.pick = pick;
    this.text = "";
    this.marks = [];
    for (const kind of ["beforeinput", "paste", "drop", "dragover", "cut"]) {
      element.addEventListener(kind, (event) => event.preventDefault());
    }
    element.addEventListener("input", () => this.draw());  // an input method asks nobody
    element.addEventListener("compositionend", () => this.draw());
    element.addEventListener("click", (event) => this.clicked(event));
  }

  // `marks` are `{path, start, end, level}`, counted in characters as Python counts them.
  show(text, marks) {
    this.text = text;
    const toUnits = unitsOf(text);
    this.marks = marks
      .map((mark) => ({ ...mark, start: toUnits(mark.start), end: toUnits(mark.end) }))
      .filter((mark) => mark.start < mark.end && mark.end <= text.length);
    this.draw();
  }

  draw() {
    const kept = this.range();
    const cuts = [...new Set([0, this.text.length, ...this.marks.flatMap((mark) => [mark.start, mark.end])])];
    cuts.sort((one, other) => one - other);
    const shown = visible(this.text);
    this.element.replaceChildren(...cuts.slice(0, -1).map((start, index) => {
      const piece = shown.slice(start, cuts[index + 1]);
      const over = this.marks.filter((mark) => mark.start <= start && mark.end >= cuts[index + 1]);
      if (!over.length) return document.createTextNode(piece);
      over.sort((one, other) => one.end - one.start - (other.end - other.start));
      const mark = el("mark", { class: over[0].level });
      mark.textContent = piece;
      mark.paths = over.map((found) => found.path);
      return mark;
    }));
    if (kept && document.activeElement === this.element) this.select(kept.start, kept.end);
  }

  // Show which place is that of a value, and bring it into view.
  activate(path) {
    let first = null;
    for (const mark of this.element.querySelectorAll("mark")) {
      const own = path !== null && mark.paths.includes(path);
      mark.classList.toggle("active", own);
      if (own && !first) first = mark;
    }
    if (first) reveal(first, this.element);
  }

  clicked(event) {
    const mark = event.target.closest("mark");
    if (mark && getSelection().isCollapsed) this.pick(mark.paths[0]);
  }

  // Put the caret where a value stands, or at the beginning.
  enter(path) {
    const own = this.marks.find((mark) => mark.path === path);
    this.element.focus();
    this.select(own ? own.start : 0, own ? own.end : 0);
  }

  // The selected part of the text as it is, and not as it is shown; empty if nothing is selected here.
  selected() {
    const range = this.range();
    return range ? this.text.slice(range.start, range.end) : "";
  }

  range() {
    const selection = getSelection();
    if (!selection.rangeCount || !this.element.contains(selection.anchorNode)) return null;
    const range = selection.getRangeAt(0);
    if (!this.element.contains(range.endContainer)) return null;
    return { start: this.offset(range.startContainer, range.startOffset), end: this.offset(range.endContainer, range.endOffset) };
  }

  offset(node, offset) {
    const before = document.createRange();
    before.selectNodeContents(this.element);
    before.setEnd(node, offset);
    return before.toString().length;
  }

  select(start, end) {
    const [from, to] = [this.place(start), this.place(end)];
    if (from && to) getSelection().setBaseAndExtent(from.node, from.offset, to.node, to.offset);
  }

  place(units) {
    const walker = document.createTreeWalker(this.element, NodeFilter.SHOW_TEXT);
    let left = units;
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      if (left <= node.length) return { node, offset: left };
      left -= node.length;
    }
    return null;
  }
}

// From a number of characters to one of UTF-16 units; the same where every character has one unit.
function unitsOf(text) {
  if (!/[\ud800-\udbff]/.test(text)) return (count) => count;
  const starts = [0];
  for (const character of text) starts.push(starts[starts.length - 1] + character.length);
  return (count) => starts[Math.min(count, starts.length - 1)];
}

function reveal(element, within) {
  const [own, outer] = [element.getBoundingClientRect(), within.getBoundingClientRect()];
  if (own.top < outer.top || own.bottom > outer.bottom) {
    within.scrollTop += own.top - outer.top - within.clientHeight / 3;
  }
}
