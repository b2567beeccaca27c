// The question as it can be edited: text, options, key, box. Every change is checked by the server at once.

import { post } from "./api.js";
import { optionMarks } from "./blind.js";
import { byId, h, put } from "./elements.js";

const CHECK_AFTER_MS = 200;
const LETTERED = /^\(([A-Z])\) ([\s\S]*)$/;
const FITS_BY_ITSELF = CSS.supports("field-sizing", "content"); // not in every browser
const HINTS = {
  one_of: "",
  yes_no: "",
  several_of: "All that apply",
  text: "Free text",
  box: "Answer: the box",
};

/** The open question's content. */
export class Editor {
  /** `isHeld` tells that a decision is on its way: what is changed then would be lost, or meet the question that comes. */
  constructor({ identity, isHeld, onBox, onChange }) {
    this.identity = identity;
    this.isHeld = isHeld;
    this.onBox = onBox;
    this.onChange = onChange;
    this.part = h("div", { class: "content" });
    this.problems = [];
  }

  /** Open a question with `content`, which may differ from what the data set holds. */
  show(question, content, { isBlind = false, own = null } = {}) {
    this.question = question;
    this.isBlind = isBlind; // only the answer can be given, and nothing is checked
    this.own = own;
    this.original = question.content;
    this.past = [];
    this.dragged = null;
    this.set(content ?? question.content);
    if (this.isChanged) this.check();
  }

  get isChanged() {
    return JSON.stringify(this.content) !== JSON.stringify(this.original);
  }

  /** Return the box in pixels of the tile, or null. */
  get pixels() {
    const { width, height } = this.question;
    const box = this.content.bbox;
    return box && [box[0] * width, box[1] * height, box[2] * width, box[3] * height];
  }

  set(content) {
    this.content = content;
    this.setProblems([]);
    this.render();
    this.onBox(this.pixels);
    this.onChange();
  }

  /** Change a part of the content and have it checked; the former content can be brought back. */
  change(part, { isTyped = false, isDone = true } = {}) {
    if (this.isHeld()) return;
    if (isDone) this.remember(isTyped);
    this.content = { ...this.content, ...part };
    if (!isTyped) this.render();
    if ("bbox" in part) this.onBox(this.pixels);
    this.onChange();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.check(), CHECK_AFTER_MS);
  }

  remember(isTyped) {
    if (isTyped && this.wasTyped) return; // a run of key presses is one step
    this.past.push(this.content);
    this.wasTyped = isTyped;
  }

  /** Move the box, given in pixels of the tile; `isDone` when the pointer is let go. */
  moveBox(pixels, isDone) {
    if (this.isHeld()) return;
    const { width, height } = this.question;
    this.dragged ??= this.content;
    const bbox = pixels.map((value, index) => round(value / (index % 2 ? height : width)));
    this.content = { ...this.content, bbox };
    this.onBox(this.pixels);
    this.renderBox();
    if (!isDone) return;
    this.past.push(this.dragged);
    this.dragged = null;
    this.wasTyped = false;
    this.change({ bbox }, { isDone: false });
  }

  /** Take back the last change; false when there is none. */
  back() {
    const before = !this.isHeld() && this.past.pop();
    if (!before) return false;
    this.wasTyped = false;
    this.set(before);
    if (this.isChanged) this.check();
    return true;
  }

  /** Make an option right or wrong; without several right ones, the only right one. */
  toggleKey(letter) {
    if (!this.content.options.some((option) => option[1] === letter)) return;
    const isSeveral = this.question.form === "several_of";
    const has = this.content.answer.includes(letter);
    const letters = isSeveral && has ? [...this.content.answer].filter((l) => l !== letter) : [...this.content.answer, letter];
    this.change({ answer: isSeveral ? letters.sort().join("") : letter });
  }

  /** Ask the server whether the content may stand, and for what follows from a moved box. */
  async check() {
    clearTimeout(this.timer);
    if (this.isBlind) return;
    const { question, content } = this;
    const answer = await post("check", { ...this.identity(), question_id: question.question_id, content }).catch(() => null);
    if (!answer || this.question !== question || this.content !== content) return;
    this.content = answer.content;
    if (JSON.stringify(answer.content) !== JSON.stringify(content) && !this.part.contains(document.activeElement)) this.render();
    this.setProblems(answer.problems);
    this.onChange();
  }

  setProblems(problems) {
    this.problems = problems;
    put(byId("problems"), problems.map((problem) => h("li", {}, problem)));
  }

  // --- elements -------------------------------------------------------------------------------------------------------

  render() {
    const { form, language } = this.question;
    const hint = HINTS[form] && h("p", { class: "hint" }, HINTS[form]);
    const parts = [this.field("question", this.content.question, (question) => this.change({ question }, { isTyped: true }))];
    if (this.content.options.length) parts.push(hint, h("ol", { class: "options", lang: language }, this.options()));
    else if (form === "text")
      parts.push(hint, this.field("answer", this.content.answer, (answer) => this.change({ answer }, { isTyped: true })));
    else parts.push(hint);
    this.boxLine = h("p", { class: "numbers" });
    put(this.part, parts, this.content.bbox && this.boxLine);
    this.part.lang = language;
    this.part.querySelectorAll("textarea").forEach(fit);
    this.renderBox();
  }

  renderBox() {
    if (!this.content.bbox) return;
    const [xMin, yMin, xMax, yMax] = this.pixels.map(Math.round);
    const size = `${xMax - xMin} × ${yMax - yMin} px`;
    put(this.boxLine, h("b", {}, "Box"), `${xMin}, ${yMin} – ${xMax}, ${yMax}`, h("span", {}, size), h("kbd", {}, "B"));
  }

  options() {
    return this.content.options.map((option, index) => {
      const [, letter, text] = option.match(LETTERED) ?? [null, "?", option];
      const isRight = this.content.answer.includes(letter);
      const change = (words) => {
        const options = this.content.options.with(index, `(${letter}) ${words}`);
        this.change({ options }, { isTyped: true });
      };
      const key = h(
        "button",
        { type: "button", class: "letter", "aria-pressed": String(isRight), title: this.isBlind ? "Your answer" : "Right answer", onclick: () => this.toggleKey(letter) },
        letter,
      );
      return h("li", { class: isRight ? "right" : "" }, key, this.field("option", text, change), isRight && h("em", {}, this.isBlind ? "chosen" : "right"), optionMarks(letter, this.own, this.question.guesses));
    });
  }

  field(name, text, onText) {
    const field = h("textarea", { class: name, rows: 1, spellcheck: "true", "aria-label": name, readonly: this.isBlind && name !== "answer" });
    field.value = text;
    field.addEventListener("beforeinput", (event) => this.isHeld() && event.preventDefault());
    field.addEventListener("input", () => {
      fit(field);
      onText(field.value);
    });
    field.addEventListener("blur", () => (this.wasTyped = false));
    return field;
  }
}

/** Make a field as high as its text. */
function fit(field) {
  if (FITS_BY_ITSELF) return;
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + 2}px`; // with its border
}

function round(share) {
  return Math.round(share * 10000) / 10000;
}
