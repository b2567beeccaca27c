// Questions that people write: a task, a template or free words, options, key, box and evidence; the server answers while they type.

import { newRequestId } from "./api.js";
import { h, put, putAnew } from "./elements.js";
import { boundsOf } from "./draw_shapes.js";

const CHECK_AFTER_MS = 400;
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const POINTED = ["object_orientation", "object_size"]; // their templates name a point, those of others a box

const CIRCLE_NUMBER = "1"; // a question has its marked copy to itself
const YES_NO_TEMPLATES = ["anomaly_detection.presence", "anomaly_detection.overflow"]; // of a task that has other ones too

const words = (name) => name.replaceAll("_", " ");
const title = (name) => words(name).replace(/^./, (first) => first.toUpperCase());
const numbers = (box) => box.map(Math.round).join(", ");
const asBox = (shape) => boundsOf(shape).map(Math.round);
const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** The form and the list of a tile's written questions. */
export class WritingPanel {
  /**
   * `page` has model, post(path, body, model) that shows what is refused, showShapes(), look(box, isNear), say(text), and
   * showDate(later) that shows a second date beside the image, or none.
   */
  constructor(page) {
    this.page = page;
    this.part = h("div", { class: "writing" });
    this.written = [];
    this.taken = []; // what was deleted, to be brought back
    this.early = []; // what was drawn before the form was there
  }

  /** Read what the open tile needs. Until then there is no form: that of another tile would be saved to this one. */
  async open() {
    const { model } = this.page;
    if (this.model !== model) this.leave(model);
    const [about, found] = [await this.post("draw/templates"), await this.post("draw/written")];
    if (!about || !found || this.model !== model) return;
    const isNew = !this.about;
    this.about = about;
    this.written = found.written;
    if (isNew) {
      const kept = localStorage.getItem(this.place);
      this.begin();
      if (kept) this.restore(JSON.parse(kept));
      for (const shape of this.early.splice(0)) this.addShape(shape);
    } else {
      this.render();
      this.showDate();
    }
  }

  /** Let go of the form, what is typed stays in the browser; `model` is of the tile that is open now. */
  leave(model) {
    clearTimeout(this.timer);
    if (this.model?.tile.key !== model.tile.key) this.taken = [];
    this.formerTask = this.draft?.task ?? this.formerTask;
    Object.assign(this, { model, about: null, draft: null, text: "", slots: {}, answer: null, written: [], early: [] });
    this.render();
    this.page.showShapes();
  }

  post(path, body) {
    return this.page.post(path, body, this.model);
  }

  /** Show the second date beside the image while a question about two dates is written. */
  showDate() {
    const { picture } = this.model.tile;
    const { later } = this.about;
    const isTwo = this.task?.num_dates > 1 && later;
    this.page.showDate(isTwo ? { key: `${picture}/${later.number}`, date: later.date, path: `scenes/${picture}/${later.number}/built` } : null);
  }

  get place() {
    return `rsvqa-review/writing/${this.model.reviewer}/${this.model.tile.key}`;
  }

  /** Go on with what was typed about the tile and not saved. */
  restore({ key, before, draft, text, slots }) {
    if (!this.about.tasks.some((task) => task.name === draft.task && task.is_open)) return;
    Object.assign(this, { key, before, draft, text, slots });
    this.changed(true);
    this.page.showShapes();
    this.showDate();
  }

  get task() {
    return this.about.tasks.find((task) => task.name === this.draft.task);
  }

  /** Begin a new question, or change one; the task stays, and what was typed before goes. */
  begin(content = null, thing = null) {
    localStorage.removeItem(this.place);
    const first = this.about.tasks.find((task) => task.is_open);
    this.key = thing?.key ?? newRequestId();
    this.before = thing?.number ?? 0;
    this.answer = null;
    this.isTouched = Boolean(thing);
    this.slots = {};
    const isOpen = (name) => this.about.tasks.some((one) => one.name === name && one.is_open);
    const former = this.draft?.task ?? this.formerTask;
    const task = isOpen(former) ? former : (first?.name ?? "");
    this.draft = content ? { ...sent(content), shapes: [...(content.shapes ?? [])] } : { task, template: "", question: "", options: [], right: [], answer: "", box: null, shapes: [], circle: null };
    this.text = this.draft.question;
    if (!content && this.draft.task) this.fitOptions();
    this.render();
    this.page.showShapes();
    this.showDate();
    if (thing) this.checkSoon();
  }

  setTask(name) {
    this.draft = { ...this.draft, task: name, template: "" };
    const { circle, shapes } = this.draft;
    if (circle && !this.task.is_regional) this.draft = { ...this.draft, circle: null, shapes: [...shapes, circleShape(circle)] };
    this.showDate();
    this.page.showShapes();
    if (this.text.includes("{")) this.text = "";
    this.slots = {};
    this.fitOptions();
    this.changed(true);
  }

  /** Give the options the number that the task wants: as many as are there, if it allows them. */
  fitOptions(wanted = null) {
    const { num_options: allowed, is_yes_no: isYesNo } = this.task;
    const count = wanted ?? (allowed.includes(this.draft.options.length) ? this.draft.options.length : allowed[0]);
    const isYesNoNow = isYesNo && count === 2;
    const wasYesNo = this.draft.options.join() === "Yes,No";
    const texts = Array.from({ length: count }, (_, index) => (wasYesNo ? "" : (this.draft.options[index] ?? "")));
    const options = isYesNoNow ? ["Yes", "No"] : texts;
    this.draft = { ...this.draft, options, right: this.draft.right.filter((place) => place < count), answer: count || this.task.is_box ? "" : this.draft.answer };
  }

  setTemplate(index) {
    const template = this.task.templates[index];
    this.draft = { ...this.draft, template: template?.key ?? "" };
    this.text = template?.text ?? "";
    this.slots = Object.fromEntries((template?.slots ?? []).map((slot) => [slot, this.about.choices[slot]?.[0] ?? ""]));
    if (this.task.num_options.length > 1) this.fitOptions(YES_NO_TEMPLATES.includes(this.draft.template) ? 2 : 4);
    this.changed(true);
  }

  /** Return the question's text: slots that are filled, and the place of the box or point. */
  get question() {
    const where = this.where;
    return this.text.replace(/\{(\w+)\}/g, (slot, name) => (name === "where" ? (where ?? slot) : name === "region" ? CIRCLE_NUMBER : this.slots[name]?.trim() || slot));
  }

  get where() {
    const { box, shapes, task } = this.draft;
    if (POINTED.includes(task)) {
      const point = shapes.find((shape) => shape.form === "point")?.points[0];
      return point && this.about.where_point.replace("{x}", Math.round(point[0])).replace("{y}", Math.round(point[1]));
    }
    return box && this.about.where_box.replace("{box}", `[${box.map(Math.round).join(", ")}]`);
  }

  get namesBox() {
    return this.task?.is_box || (this.text.includes("{where}") && !POINTED.includes(this.draft.task));
  }

  get content() {
    return { ...this.draft, question: this.question };
  }

  /** Take a shape: the first box or circle of a question that wants one is its own, others are evidence. */
  addShape({ form, points }) {
    if (!this.about) return void this.early.push({ form, points });
    if (form === "circle" && this.task?.is_regional && !this.draft.circle) this.draft = { ...this.draft, circle: asCircle(points) };
    else if (form === "box" && this.namesBox && !this.draft.box) this.draft = { ...this.draft, box: asBox({ form, points }) };
    else this.draft = { ...this.draft, shapes: [...this.draft.shapes, { form, points }] };
    this.changed(true);
    this.page.showShapes();
  }

  /** Take the outlines of the objects that are selected. */
  addSelected() {
    const { selected } = this.model;
    this.page.refuse(selected.length ? [] : ["Nothing is selected: V, then click an object"]);
    for (const object of selected) this.addShape(object);
  }

  /** Make a piece of evidence the box of the question, and name it there. */
  useAsBox(shape) {
    const shapes = this.draft.shapes.filter((other) => other !== shape);
    if (!this.task.is_box && !this.text.includes("{where}")) this.text = `${this.text.trim()} {where}`.trim();
    this.draft = { ...this.draft, box: asBox(shape), shapes };
    this.changed(true);
    this.page.showShapes();
  }

  removeCircle() {
    this.draft = { ...this.draft, circle: null };
    this.changed(true);
    this.page.showShapes();
  }

  removeBox() {
    this.draft = { ...this.draft, box: null };
    this.changed(true);
    this.page.showShapes();
  }

  removeShape(shape) {
    this.draft = { ...this.draft, shapes: this.draft.shapes.filter((other) => other !== shape) };
    this.changed(true);
    this.page.showShapes();
  }

  setRight(place) {
    const { right } = this.draft;
    const isSeveral = this.task.is_several;
    const others = isSeveral ? right.filter((other) => other !== place) : [];
    this.draft = { ...this.draft, right: right.includes(place) && isSeveral ? others : [...others, place].sort() };
    this.changed(true);
  }

  /** Change the order of the options by chance; the key goes with them. */
  shuffle() {
    const order = this.draft.options.map((_, index) => index);
    for (let last = order.length - 1; last > 0; last--) {
      const other = Math.floor(Math.random() * (last + 1));
      [order[last], order[other]] = [order[other], order[last]];
    }
    const right = order.flatMap((old, place) => (this.draft.right.includes(old) ? [place] : []));
    this.draft = { ...this.draft, options: order.map((old) => this.draft.options[old]), right };
    this.changed(true);
  }

  /** After each change; `isWhole` builds the form anew, so not while somebody types in it. */
  changed(isWhole = false) {
    this.isTouched = true;
    const { key, before, draft, text, slots } = this;
    localStorage.setItem(this.place, JSON.stringify({ key, before, draft, text, slots }));
    if (isWhole) this.render();
    else this.showPreview();
    this.checkSoon();
  }

  checkSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.check(), CHECK_AFTER_MS);
  }

  async check() {
    const { key, content, model } = this;
    const answer = await this.post("draw/check", { key, content });
    const isSame = () => model === this.model && this.about && key === this.key && isEqual(content, this.content);
    if (!answer || !isSame()) return; // it has changed meanwhile
    this.answer = answer;
    this.showAnswer();
  }

  /** Do one thing after the other: a click that comes before the last answer is about what that answer says. */
  inTurn(work) {
    return this.model.inTurn(work);
  }

  async save() {
    const { content, key, before } = this;
    const stored = await this.post("draw/write", { request_id: newRequestId(), key, before, content });
    await this.reread();
    if (!stored) {
      const standing = this.written.find((thing) => thing.key === key)?.number;
      if (!before && standing) this.key = newRequestId(); // another page has stored the same draft: this is one more
      else this.before = standing ?? before; // somebody else may have changed it
      return this.render();
    }
    if (key === this.key && !isEqual(content, this.content)) {
      this.before = stored.numbers[key]; // what was typed since is a change of it
      this.page.say("The question is saved; what you changed since is not yet");
      return this.changed(true);
    }
    this.page.say("The question is saved");
    if (key !== this.key) return this.render();
    this.begin();
    this.part.querySelector("#write-question")?.focus();
  }

  async remove({ key }) {
    const thing = this.written.find((one) => one.key === key);
    if (!thing) return;
    const stored = await this.post("draw/write", { request_id: newRequestId(), key: thing.key, before: thing.number, content: null });
    if (!stored) return;
    this.taken.push({ ...thing, number: stored.numbers[thing.key] });
    if (thing.key === this.key) this.begin();
    this.page.say("The question is deleted");
    await this.reread();
    this.render();
  }

  /** Bring back what was deleted last. */
  async bringBack() {
    const thing = this.taken.pop();
    if (!thing) return;
    const body = { request_id: newRequestId(), key: thing.key, before: thing.number, content: sent(thing.written) };
    if (!(await this.post("draw/write", body))) return void this.taken.push(thing);
    this.page.say("The question is back");
    await this.reread();
    this.render();
  }

  async reread() {
    this.written = (await this.post("draw/written"))?.written ?? this.written;
  }

  // --- what is shown ----------------------------------------------------------------------------------------------------

  render() {
    if (!this.about) return put(this.part, h("p", { class: "hint" }, "Reading the templates …"));
    if (!this.task) return put(this.part, h("p", { class: "hint" }, "None of the tasks that are yours can be written here."), this.list());
    putAnew(this.part, this.form(), this.list());
    this.showPreview();
    this.showAnswer();
  }

  form() {
    const { task } = this;
    return h(
      "section",
      { class: "form" },
      h("h2", {}, this.before ? "Change the question" : "A new question"),
      h("label", {}, "Task", this.taskSelect()),
      h("label", {}, "Template", this.templateSelect()),
      this.slotFields(),
      h("label", {}, this.draft.template ? "Question, with the template's slots" : "Question", this.textField()),
      h("p", { class: "preview" }),
      task.num_options.length > 1 && this.countChoice(),
      this.draft.options.length > 0 && this.optionFields(),
      !this.draft.options.length && !task.is_box && h("label", {}, "Answer", this.answerField()),
      this.evidence(),
      this.verdict(),
    );
  }

  verdict() {
    return h(
      "div",
      { class: "verdict" },
      h("ul", { class: "faults", role: "status" }),
      h(
        "menu",
        {},
        (this.before > 0 || this.isTouched) && h("button", { type: "button", onclick: () => this.begin() }, this.before ? "Leave it as it was" : "Clear"),
        h("button", { type: "button", class: "primary", id: "write-save", disabled: true, onclick: () => this.inTurn(() => this.save()) }, this.before ? "Save the change" : "Save the question", " ", h("kbd", {}, "Ctrl Enter")),
      ),
    );
  }

  taskSelect() {
    const groups = grouped(this.about.tasks);
    const select = h(
      "select",
      { id: "write-task", "data-key": "task" },
      [...groups].map(([group, tasks]) =>
        h("optgroup", { label: group }, tasks.map((task) => h("option", { value: task.name, selected: task.name === this.draft.task, disabled: !task.is_open, title: task.why_not }, task.is_open ? task.title : `${task.title} (${task.why_not})`))),
      ),
    );
    select.addEventListener("change", () => this.setTask(select.value));
    return select;
  }

  templateSelect() {
    const keys = [...new Set(this.task.templates.map((template) => template.key))];
    const short = (text) => (text.length > 90 ? `${text.slice(0, 88)} …` : text);
    const groups = keys.map((key) =>
      h("optgroup", { label: words(key.split(".").slice(1).join(" · ")) }, this.task.templates.map((template, index) => template.key === key && h("option", { value: index, selected: this.draft.template === key && this.text === template.text }, short(template.text.replace(/\{(\w+)\}/g, (_, slot) => `‹${words(slot)}›`))))),
    );
    const isOwn = this.draft.template && !this.task.templates.some(({ text }) => text === this.text);
    const select = h("select", { id: "write-template", "data-key": "template" }, h("option", { value: "" }, isOwn ? "template, in words of your own" : "free: in words of your own"), groups);
    select.addEventListener("change", () => this.setTemplate(select.value === "" ? -1 : Number(select.value)));
    return select;
  }

  slotFields() {
    const names = Object.keys(this.slots).filter((name) => !["where", "region"].includes(name));
    if (!names.length) return null;
    const nouns = this.about.nouns.map((pair) => pair[names.some((name) => ["plural", "others"].includes(name)) ? 1 : 0]);
    const list = h("datalist", { id: "write-nouns" }, nouns.map((noun) => h("option", { value: noun })));
    const fields = names.map((name) => {
      const choices = this.about.choices[name];
      const field = choices
        ? h("select", { name, "data-key": `slot ${name}` }, choices.map((text) => h("option", { value: text, selected: this.slots[name] === text }, text)))
        : h("input", { name, "data-key": `slot ${name}`, value: this.slots[name], list: "write-nouns", autocomplete: "off", maxlength: 300 });
      field.addEventListener("input", () => {
        this.slots = { ...this.slots, [name]: field.value };
        this.changed();
      });
      return h("label", {}, title(name), field);
    });
    return h("div", { class: "fields" }, fields, list);
  }

  textField() {
    const field = h("textarea", { id: "write-question", "data-key": "question", rows: 3, maxlength: 2000, spellcheck: "true" });
    field.value = this.text;
    field.addEventListener("input", () => {
      this.text = field.value;
      this.changed();
    });
    return field;
  }

  answerField() {
    const field = h("textarea", { id: "write-answer", "data-key": "answer", rows: 6, maxlength: 8000, spellcheck: "true" });
    field.value = this.draft.answer;
    field.addEventListener("input", () => {
      this.draft = { ...this.draft, answer: field.value };
      this.changed();
    });
    return field;
  }

  countChoice() {
    const button = (count) => h("button", { type: "button", "aria-pressed": String(this.draft.options.length === count), class: this.draft.options.length === count ? "active" : "", onclick: () => (this.fitOptions(count), this.changed(true)) }, count === 2 ? "Yes or no" : `${count} options`);
    return h("p", { class: "buttons" }, this.task.num_options.map(button));
  }

  optionFields() {
    const rows = this.draft.options.map((text, place) => {
      const isRight = this.draft.right.includes(place);
      const field = h("input", { value: text, maxlength: 1000, autocomplete: "off", "data-key": `option ${place}`, "aria-label": `Option ${LETTERS[place]}` });
      field.addEventListener("input", () => {
        this.draft = { ...this.draft, options: this.draft.options.with(place, field.value) };
        this.changed();
      });
      const letter = h("button", { type: "button", class: "letter", "aria-pressed": String(isRight), title: isRight ? "This is right" : "Make this the right option", onclick: () => this.setRight(place) }, LETTERS[place]);
      return h("li", { class: isRight ? "right" : "" }, letter, field);
    });
    const hint = this.task.is_several ? "Press the letters of all options that are right" : "Press the letter of the right option";
    return h("div", { class: "written-options" }, h("p", { class: "head" }, hint, h("button", { type: "button", class: "again", onclick: () => this.shuffle() }, "Shuffle")), h("ul", {}, rows));
  }

  evidence() {
    const { box, shapes, circle } = this.draft;
    const row = (name, bounds, ...buttons) => {
      const item = h("li", {}, h("span", {}, name), buttons);
      item.addEventListener("mouseenter", () => this.page.look(bounds));
      return item;
    };
    const remove = (run) => h("button", { type: "button", onclick: run, "aria-label": "Remove", title: "Remove" }, "×");
    const rows = [
      circle && row(`Circle ${CIRCLE_NUMBER}: ${numbers(circle.slice(0, 2))}, radius ${circle[2]} px`, boundsOf(circleShape(circle)), remove(() => this.removeCircle())),
      box && row(`${this.task.is_box ? "The answer" : "The box"}: ${numbers(box)}`, box, remove(() => this.removeBox())),
      ...shapes.map((shape) =>
        row(`${title(shape.form)}: ${numbers(shape.form === "point" ? shape.points[0] : boundsOf(shape))}`, boundsOf(shape), shape.form === "box" && !box && h("button", { type: "button", onclick: () => this.useAsBox(shape) }, "Name it in the question"), remove(() => this.removeShape(shape))),
      ),
    ].filter(Boolean);
    const pointed = POINTED.includes(this.draft.task) && this.text.includes("{where}") && !this.where;
    const wanted = this.task.is_regional && !circle ? "Draw the circle that the question is about: C" : this.namesBox && !box ? "Draw the box on the image: B" : pointed ? "Set the point on the image: D" : "Draw on the image where the answer can be seen; or leave it out";
    return h("div", { class: "evidence" }, h("p", { class: "head" }, "Evidence"), rows.length > 0 && h("ul", {}, rows), h("p", { class: "hint" }, wanted, h("button", { type: "button", onclick: () => this.addSelected() }, "Add the selected objects")));
  }

  showPreview() {
    const preview = this.part.querySelector(".preview");
    if (preview) preview.textContent = this.text.includes("{") ? this.question : "";
  }

  /** Show what the server says about the question as it is typed. */
  showAnswer() {
    const faults = this.part.querySelector(".faults");
    if (!faults) return;
    const { problems = [], warnings = [] } = this.answer ?? {};
    const shown = this.isTouched ? problems : [];
    const isFine = this.answer && !problems.length;
    put(
      faults,
      shown.map((text) => h("li", { class: "bad" }, text)),
      warnings.map((text) => h("li", { class: "warn" }, text)),
      isFine && !warnings.length && h("li", { class: "fine" }, "Nothing against it"),
    );
    this.part.querySelector("#write-save").disabled = !isFine;
  }

  list() {
    const items = this.written.map((thing) => this.item(thing)).reverse();
    return h(
      "section",
      {},
      h("h2", {}, items.length ? `${plural(items.length, "question")} written about this tile` : "Nobody has written about this tile yet"),
      this.taken.length > 0 && h("p", { class: "buttons" }, h("button", { type: "button", onclick: () => this.inTurn(() => this.bringBack()) }, "Undo the deletion")),
      h("ul", { class: "computed" }, items),
    );
  }

  item(thing) {
    const { content } = thing;
    const task = this.about.tasks.find(({ name }) => name === thing.task)?.title ?? title(thing.task);
    const options = content.options.map((option) => h("li", { class: content.answer.includes(option[1]) ? "right" : "" }, h("b", {}, option[1]), option.slice(3)));
    const item = h(
      "li",
      { class: thing.key === this.key ? "accepted" : "", tabindex: 0, "data-key": thing.key },
      h("p", { class: "task" }, task, h("span", {}, thing.author)),
      h("p", { class: "text" }, content.question),
      options.length > 0 && h("ol", { class: "short" }, options),
      !options.length && thing.written && h("p", { class: "answer" }, thing.form === "box" ? "Answer: the box" : content.answer),
      !thing.written && h("p", { class: "hint" }, "The key comes after your answer, in the review."),
      thing.may_change && h("p", { class: "buttons" }, h("button", { type: "button", onclick: () => this.begin(thing.written, thing) }, "Change"), h("button", { type: "button", onclick: () => this.inTurn(() => this.remove(thing)) }, "Delete")),
    );
    const { box: own = null, shapes = [], circle = null } = thing.written ?? {};
    const box = own ?? (circle ? boundsOf(circleShape(circle)) : shapes[0] && boundsOf(shapes[0]));
    if (box) item.addEventListener("dblclick", () => this.page.look(box, true));
    return item;
  }

  /** Return what is drawn over the image: the box of the question, and its evidence. */
  get shapes() {
    if (!this.draft) return [];
    const { box, shapes, circle } = this.draft;
    const circled = circle ? [{ ...circleShape(circle), colour: "#ff4d4d" }] : [];
    const boxed = box ? [{ form: "box", points: [box.slice(0, 2), box.slice(2)], colour: "#fff" }] : [];
    return [...circled, ...boxed, ...shapes.map((shape) => ({ ...shape, colour: "#7fd4ff" }))];
  }
}

/** A circle as it is stored, centre and radius, of whole pixels, and as it is drawn. */
const asCircle = ([[x, y], [rimX, rimY]]) => [x, y, Math.hypot(rimX - x, rimY - y)].map(Math.round);
const circleShape = ([x, y, radius]) => ({ form: "circle", points: [[x, y], [x + radius, y]] });

const isEqual = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** Return a stored question as it is sent: the server says which scene its second date is of. */
function sent({ later_scene: _, later_date: __, ...content }) {
  return content;
}

function grouped(tasks) {
  const groups = new Map();
  for (const task of tasks) groups.set(task.group, [...(groups.get(task.group) ?? []), task]);
  return groups;
}
