// What stands beside the image: the classes, what is selected with its attributes, the computed questions, the tiles.

import { h, put } from "./elements.js";
import { ask } from "./panels.js";

const LETTERED = /^\(([A-Z])\) ([\s\S]*)$/;
const MANY_CLASSES = 60;

const words = (name) => name.replaceAll("_", " ");
const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

/** The list of classes: search, counts, which is drawn now, and which are declared complete. */
export class ClassPanel {
  constructor(page, colourOf) {
    this.page = page;
    this.colourOf = colourOf;
    this.search = h("input", { type: "search", placeholder: "Find a class", "aria-label": "Find a class", autocomplete: "off", spellcheck: "false" });
    this.search.addEventListener("input", () => this.render());
    this.search.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && this.shown[0]) this.choose(this.shown[0].name);
      if (event.key === "Escape" || event.key === "Enter") this.search.blur();
    });
    this.list = h("ul", { class: "classes" });
    this.part = h("section", { class: "class-panel" }, h("h2", {}, "Classes ", h("kbd", {}, "/")), this.search, this.list);
  }

  choose(name) {
    this.search.value = "";
    this.page.setClass(name);
  }

  render() {
    const { model, className } = this.page;
    const counts = new Map();
    for (const { class_name: name } of model.objects.values()) counts.set(name, (counts.get(name) ?? 0) + 1);
    const wanted = this.search.value.trim().toLowerCase();
    const score = ({ name, singular }) => (singular.toLowerCase().startsWith(wanted) || name.startsWith(wanted) ? 0 : 1);
    const used = ({ name }) => -(counts.get(name) ?? 0);
    this.shown = model.tile.classes
      .filter(({ name, singular, kind }) => [name, singular, kind].some((text) => text.toLowerCase().includes(wanted)))
      .map((info, place) => ({ info, place }))
      .sort((a, b) => (wanted ? score(a.info) - score(b.info) : 0) || used(a.info) - used(b.info) || a.place - b.place)
      .map(({ info }) => info)
      .slice(0, MANY_CLASSES);
    put(this.list, this.shown.map((info) => this.row(info, counts.get(info.name) ?? 0, info.name === className)), !this.shown.length && h("li", { class: "hint" }, "The class table has no such class"));
  }

  row({ name, singular, role }, count, isChosen) {
    const { model } = this.page;
    const isComplete = model.complete.has(name);
    const dot = h("i", { class: "dot" });
    dot.style.background = this.colourOf(name);
    const complete = h("input", { type: "checkbox", checked: isComplete, "aria-label": `Every ${singular} is drawn`, title: `Every ${singular} on the tile is drawn: it may be counted` });
    complete.addEventListener("change", () => this.page.declare(name, complete.checked));
    return h(
      "li",
      { class: isChosen ? "chosen" : "" },
      h("button", { type: "button", "aria-pressed": String(isChosen), onclick: () => this.choose(name) }, dot, h("span", {}, singular), role !== "object" && h("small", {}, role), h("b", {}, count ? String(count) : "")),
      h("label", { class: "complete", title: complete.title }, complete, "all drawn"),
    );
  }
}

/** Return what is selected, with its class and attributes. */
export function selectionPanel(page, attributes) {
  const { selected } = page.model;
  if (!selected.length) return h("section", { class: "selection hint" }, "Nothing selected");
  const names = [...new Set(selected.map((object) => object.class_name))];
  const roles = new Set(names.map((name) => page.model.tile.classes.find((info) => info.name === name)?.role));
  const shared = (read) => (new Set(selected.map(read)).size === 1 ? read(selected[0]) : "");
  const fields = Object.entries(attributes)
    .filter(([, info]) => [...roles].every((role) => info.roles.includes(role)))
    .map(([name, info]) => field(name, info, shared((object) => object.attributes[name] ?? ""), `${name} of ${[...page.model.selection]}`, (value) => page.setAttribute(name, value)));
  const certain = h("input", { type: "checkbox", checked: selected.every((object) => !object.is_certain) });
  certain.addEventListener("change", () => page.setCertain(!certain.checked));
  const title = selected.length > 1 ? `${selected.length} objects` : `${words(selected[0].form)} · ${page.singular(selected[0].class_name)}`;
  return h(
    "section",
    { class: "selection" },
    h("h2", {}, title),
    selected.length === 1 && h("p", { class: "numbers" }, measure(selected[0], page.model.tile.gsd)),
    h("div", { class: "fields" }, fields),
    h("label", { class: "check" }, certain, "Not sure: nothing is asked about it"),
    h(
      "menu",
      {},
      h("button", { type: "button", onclick: () => page.reclass() }, `Make it: ${page.singular(page.className)}`),
      h("button", { type: "button", onclick: () => page.remove() }, "Delete ", h("kbd", {}, "Del")),
    ),
  );
}

function field(name, { values, is_flag: isFlag }, value, key, onValue) {
  const choices = isFlag ? [["yes", true], ["no", false]] : values.map((text) => [text, text]);
  if (!choices.length) {
    const input = h("input", { type: "text", value, maxlength: 200, autocomplete: "off", "data-key": key, "data-late": true });
    input.addEventListener("change", () => onValue(input.value.trim() || null));
    return h("label", {}, words(name), input);
  }
  const select = h("select", {}, h("option", { value: "" }, "not said"), choices.map(([text, said]) => h("option", { value: text, selected: said === value }, text)));
  select.addEventListener("change", () => {
    const chosen = choices.find(([text]) => text === select.value)?.[1] ?? null;
    select.blur(); // the next letter is a key, not another value
    onValue(chosen);
  });
  return h("label", {}, words(name), select);
}

function measure({ form, points }, gsd) {
  const metres = (pixels) => `${Math.round(pixels * 10) / 10} px${gsd ? ` · ${(pixels * gsd).toFixed(1)} m` : ""}`;
  const side = (a, b) => Math.hypot(points[a][0] - points[b][0], points[a][1] - points[b][1]);
  if (form === "box") return `${metres(Math.abs(points[1][0] - points[0][0]))} wide, ${metres(Math.abs(points[1][1] - points[0][1]))} high`;
  if (form === "oriented_box") return `${metres(Math.max(side(0, 1), side(1, 2)))} long, ${metres(Math.min(side(0, 1), side(1, 2)))} wide`;
  if (form === "circle") return `radius ${metres(side(0, 1))}`;
  if (form === "point") return `at ${points[0].map((value) => Math.round(value)).join(", ")}`;
  return plural(points.length, form === "line" ? "point" : "corner");
}

/** Return what a model proposes, each to be accepted as an object or deleted; nothing where it proposes nothing. */
export function proposalsPanel({ open, deleted, picked }, classOf, { onAccept, onDelete, onBringBack, onLook }) {
  if (!open.length && !deleted.length) return null;
  const items = open.map((proposal) => {
    const item = h(
      "li",
      { tabindex: 0, class: proposal.key === picked ? "picked" : "", "data-proposal": proposal.key, "data-key": proposal.key },
      h("p", { class: "text" }, proposal.description || proposal.name),
      h(
        "p",
        { class: "buttons" },
        h("button", { type: "button", onclick: () => onAccept(proposal) }, `Accept as ${classOf(proposal)}`),
        h("button", { type: "button", onclick: () => onDelete(proposal) }, "Delete"),
        h("small", {}, proposal.class_name ? proposal.model : `${proposal.model} · no class “${proposal.name}”`),
      ),
    );
    item.addEventListener("mouseenter", () => onLook(proposal, false));
    item.addEventListener("focusin", () => onLook(proposal, false));
    item.addEventListener("dblclick", () => onLook(proposal, true));
    item.addEventListener("keydown", (event) => {
      const run = { a: onAccept, x: onDelete }[event.key];
      if (!run || event.ctrlKey || event.metaKey) return;
      event.stopPropagation();
      if (event.repeat) return; // a key that is held
      run(proposal);
    });
    return item;
  });
  return h(
    "section",
    { class: "proposals" },
    h("h2", {}, open.length ? `${plural(open.length, "proposal")} of a model, dashed` : "No proposal is left"),
    h("ul", { class: "computed" }, items),
    deleted.length > 0 && h("p", { class: "buttons" }, h("button", { type: "button", onclick: onBringBack }, "Undo the deletion"), h("small", {}, `${plural(deleted.length, "proposal")} deleted`)),
  );
}

/** Return the questions that the rules ask, each to be accepted or discarded, and why other tasks ask nothing. */
export function questionsPanel(answer, tasks, { onJudge, onLook }) {
  if (!answer) return h("section", { class: "hint" }, "Computing questions …");
  const counts = answer.questions.filter((question) => question.verdict === "accepted").length;
  const head = answer.questions.length ? `${plural(answer.questions.length, "question")}, ${counts} accepted` : "No question yet";
  return h(
    "div",
    {},
    h("section", {}, h("h2", {}, head), answer.outdated > 0 && h("p", { class: "warn" }, `${plural(answer.outdated, "accepted question")} do not follow from what is drawn now, and will not be written.`)),
    h("ul", { class: "computed" }, answer.questions.map((question) => questionItem(question, tasks, onJudge, onLook))),
    h(
      "details",
      { class: "silent", open: !answer.questions.length },
      h("summary", {}, "Why other tasks ask nothing"),
      h("dl", { class: "values" }, Object.entries(answer.not_asked).map(([name, why]) => h("div", {}, h("dt", {}, tasks[name]), h("dd", {}, why)))),
    ),
  );
}

function questionItem(question, tasks, onJudge, onLook) {
  const { content, verdict } = question;
  const options = content.options.map((option) => {
    const [, letter, text] = option.match(LETTERED) ?? [null, "?", option];
    return h("li", { class: content.answer.includes(letter) ? "right" : "" }, h("b", {}, letter), ` ${text}`);
  });
  const judge = (name, title) =>
    h("button", { type: "button", "aria-pressed": String(verdict === name), class: verdict === name ? "active" : "", onclick: () => onJudge(question, verdict === name ? "open" : name) }, title);
  const item = h(
    "li",
    { class: verdict, tabindex: 0, "data-key": question.question_id },
    h("p", { class: "task" }, tasks[question.task]),
    h("p", { class: "text" }, content.question),
    options.length > 0 && h("ol", { class: "short" }, options),
    !options.length && h("p", { class: "answer" }, question.form === "box" ? "Answer: the box" : content.answer),
    h("p", { class: "buttons" }, judge("accepted", "Accept"), judge("discarded", "Discard"), h("small", {}, question.rule)),
  );
  item.addEventListener("mouseenter", () => onLook(question, false));
  item.addEventListener("focusin", () => onLook(question, false));
  item.addEventListener("mouseleave", () => onLook(null, false));
  item.addEventListener("dblclick", () => onLook(question, true));
  item.addEventListener("keydown", (event) => {
    const name = { a: "accepted", x: "discarded" }[event.key];
    if (!name || event.ctrlKey || event.metaKey) return;
    event.stopPropagation();
    if (event.repeat) return; // a key that is held
    onJudge(question, verdict === name ? "open" : name);
  });
  return item;
}

/** Ask which tile is wanted; returns its key or null. */
export async function askTile(tiles, key) {
  const rows = tiles.map((tile) =>
    h(
      "button",
      { type: "submit", value: tile.key, class: tile.key === key ? "active" : "", autofocus: tile.key === key },
      h("b", {}, tile.tile_id),
      h("span", {}, [`${tile.width} × ${tile.height} px`, plural(tile.num_objects, "object"), plural(tile.num_questions, "question"), tile.num_accepted && `${tile.num_accepted} new`, tile.people.join(", ")].filter(Boolean).join(" · ")),
    ),
  );
  const search = h("input", { type: "search", placeholder: "Find a tile", "aria-label": "Find a tile", autocomplete: "off" });
  search.addEventListener("input", () => rows.forEach((row, index) => (row.hidden = !tiles[index].tile_id.toLowerCase().includes(search.value.toLowerCase()))));
  search.addEventListener("keydown", (event) => event.key === "Enter" && (event.preventDefault(), rows.find((row) => !row.hidden)?.click()));
  const answer = await ask(`${plural(tiles.length, "tile")}, those without questions first`, [search, h("div", { class: "choices tiles" }, rows)], { isWide: true });
  return answer?.button ?? null;
}
