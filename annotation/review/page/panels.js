// What stands below the question, and the dialogs: filters, reasons, summary, keys, reviewer.

import { byId, h, put } from "./elements.js";

// --- below the question -----------------------------------------------------------------------------------------------

/** Return the line above a question: its task and where it comes from. */
export function headline(question, session) {
  const task = session.tasks[question.task] ?? { short: "?", title: question.task };
  const badges = [
    question.review === "needed" && ["needs review", "warn"],
    question.is_disputed && ["models disagree", "warn"],
    question.source && question.source !== "rule" && [`source: ${question.source}`, ""],
  ].filter(Boolean);
  return h(
    "p",
    { class: "task" },
    h("b", {}, task.title),
    h("abbr", {}, task.short),
    badges.map(([text, kind]) => h("span", { class: `badge ${kind}` }, text)),
  );
}

/** Return why the answer is right, in words. */
export function evidencePanel(question) {
  const ids = question.feature_ids;
  return section("Evidence", [
    h("p", { class: "rule" }, question.rule || "no rule named"),
    question.values.length > 0 &&
      h("dl", { class: "values" }, question.values.map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, text)))),
    ids.length > 0 && h("details", {}, h("summary", {}, `${ids.length} labelled ${ids.length === 1 ? "feature" : "features"}`), h("p", { class: "ids" }, ids.join(", "))),
  ]);
}

/** Return what language models did and answered; nothing when none took part. */
export function modelsPanel(question) {
  const models = question.models;
  if (!models) return null;
  const share = models.agreement;
  const notes = (models.notes ?? []).map((note) =>
    h("li", {}, h("b", {}, note.step), ` ${note.result}`, note.answer && h("q", {}, note.answer), note.model && h("span", {}, ` · ${note.model}`), note.prompt && h("code", {}, ` ${note.prompt}`)),
  );
  const former = Object.entries(models.former ?? {}).map(([name, text]) =>
    h("div", {}, h("dt", {}, `${name} before`), h("dd", {}, Array.isArray(text) ? text.join(" · ") : String(text))),
  );
  return section("Models", [
    typeof share === "number" && h("p", { class: share < 1 ? "warn" : "" }, `${Math.round(100 * share)} % of the blind answers were the key`),
    (models.reasons ?? []).length > 0 && h("p", { class: "warn" }, models.reasons.join("; ")),
    (models.doubts ?? []).length > 0 && h("p", {}, "No fact bears out:"),
    (models.doubts ?? []).length > 0 && h("ul", { class: "warn" }, models.doubts.map((text) => h("li", {}, text))),
    notes.length > 0 && h("ul", { class: "notes" }, notes),
    former.length > 0 && h("dl", { class: "values" }, former),
  ]);
}

/** Return the two opinions between which this reviewer decides. */
export function opinionsPanel(opinions) {
  if (!opinions.length) return null;
  const items = opinions.map((opinion, index) =>
    h(
      "li",
      {},
      h("b", {}, `Opinion ${index + 1}`),
      ` ${opinion.verdict}`,
      opinion.reason && h("span", {}, ` · ${opinion.reason}`),
      opinion.verdict === "fixed" && h("p", {}, [opinion.content.question, ...opinion.content.options, opinion.content.answer].join("  ")),
    ),
  );
  return section(`${opinions.length === 2 ? "Two" : opinions.length} reviewers disagree: you decide`, [h("ul", { class: "notes" }, items)], "decide");
}

/** Return what was decided on the question before it changed; nothing when it is new. */
export function formerPanel(former) {
  if (!former) return null;
  const told = (content) => [content.question, ...content.options, content.answer].join("  ");
  const items = former.opinions.map((opinion) =>
    h(
      "li",
      {},
      h("b", {}, opinion.reviewer),
      ` ${opinion.verdict}`,
      opinion.reason && h("span", {}, ` · ${opinion.reason}`),
      h("p", {}, told(opinion.before)),
      opinion.verdict === "fixed" && h("p", {}, `fixed: ${told(opinion.content)}`),
    ),
  );
  const changes = former.changes.length ? `Other than then: ${former.changes.join(", ")}` : "What has changed is not known";
  return section("Decided before it changed: decide again", [h("p", { class: "warn" }, changes), h("ul", { class: "notes" }, items)], "decide");
}

/** Return where the tile lies. */
export function placeLine(question) {
  const gsd = question.gsd === null ? null : `${+question.gsd.toPrecision(3)} m per pixel`;
  const facts = [question.scene, question.split, `${question.width} × ${question.height} px`, gsd].filter(Boolean);
  return h("p", { class: "place" }, facts.join(" · "), h("code", {}, question.question_id));
}

function section(title, children, kind = "") {
  return h("section", { class: kind }, h("h2", {}, title), children);
}

// --- dialogs ----------------------------------------------------------------------------------------------------------

/** Open the dialog and return what its form was sent with; null when it was left, or when another one is open. */
export function ask(title, children, { isWide = false } = {}) {
  const dialog = byId("dialog");
  if (dialog.open) return Promise.resolve(null); // an answer that comes late takes nothing from under who types
  const form = h("form", { method: "dialog" }, h("h2", {}, title), children);
  put(dialog, form);
  dialog.classList.toggle("wide", isWide);
  return new Promise((resolve) => {
    let answer = null;
    form.addEventListener("submit", (event) => {
      answer = { ...Object.fromEntries(new FormData(form)), button: event.submitter?.value };
    });
    dialog.addEventListener("close", () => resolve(answer), { once: true });
    dialog.showModal();
  });
}

/** Ask for the reviewer's name. */
export async function askReviewer(name) {
  const answer = await ask("Who reviews?", [
    h("p", { class: "hint" }, "The store keeps your name with your decisions."),
    h("input", { name: "reviewer", value: name, required: true, maxlength: 40, autofocus: true, autocomplete: "off", "aria-label": "Name" }),
    h("menu", {}, h("button", { class: "primary" }, "Begin")),
  ]);
  return answer?.reviewer.trim() || null;
}

/** Ask why a question is rejected. */
export async function askReason(reasons) {
  const other = h("input", { name: "other", maxlength: 500, autocomplete: "off", placeholder: "Another reason, then Enter", "aria-label": "Another reason" });
  const choices = reasons.map((reason, index) => h("button", { value: reason, type: "submit" }, h("kbd", {}, String(index + 1)), ` ${reason}`));
  const list = h("div", { class: "choices" }, choices);
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) choices.at((choices.indexOf(document.activeElement) + step) % choices.length).focus();
  });
  const answering = ask("Why reject it?", [list, other]);
  const form = byId("dialog").firstElementChild;
  form.addEventListener("keydown", (event) => {
    if (event.target === other && event.key === "Enter") {
      event.preventDefault();
      if (other.value.trim()) form.requestSubmit();
    } else if (event.target !== other && choices[Number(event.key) - 1]) choices[Number(event.key) - 1].click();
  });
  choices[0].focus();
  const answer = await answering;
  return answer && (answer.button || answer.other.trim()) ? answer.button || answer.other.trim() : null;
}

/** Ask which questions are wanted. */
export async function askFilters(filters, { choices, tasks }) {
  const select = (name, title, counts, label = (value) => value) => {
    const options = Object.entries(counts).map(([value, count]) => h("option", { value, selected: filters[name] === value }, `${label(value)} (${count})`));
    return h("label", {}, title, h("select", { name }, h("option", { value: "" }, "all"), options));
  };
  const disputed = h("input", { type: "checkbox", name: "disputed_only", checked: filters.disputed_only, disabled: !choices.num_disputed });
  const answer = await ask("Which questions?", [
    select("task", "Task", choices.tasks, (name) => tasks[name].title),
    select("source", "Source", choices.sources),
    select("split", "Split", choices.splits),
    h("label", { class: "check" }, disputed, `Only where models disagree (${choices.num_disputed})`),
    h("menu", {}, h("button", { value: "clear", formnovalidate: true }, "All questions"), h("button", { class: "primary", value: "apply" }, "Show these")),
  ]);
  if (!answer) return null;
  if (answer.button === "clear") return { task: "", source: "", split: "", disputed_only: false };
  return { task: answer.task, source: answer.source, split: answer.split, disputed_only: Boolean(answer.disputed_only) };
}

/** Show decisions by task. */
export function showSummary(summary, { tasks, role }) {
  const percent = (share) => (share === null ? "–" : `${Math.round(100 * share)} %`);
  const kappa = (value) => (value === null ? "–" : value.toFixed(2));
  const row = (title, task, kind = "") => {
    const { accepted, fixed, rejected, skipped } = task.verdicts;
    const cells = [`${task.done} / ${task.queued}`, accepted, fixed, rejected, skipped, task.num_double, percent(task.agreement), kappa(task.kappa), task.num_several ? `${kappa(task.fleiss)} over ${task.num_several}` : "–", task.num_disputed];
    return h("tr", { class: kind }, h("th", { scope: "row" }, title), cells.map((cell) => h("td", { class: cell === 0 ? "zero" : "" }, String(cell))));
  };
  const heads = ["", "done", "accepted", "fixed", "rejected", "skipped", "double", "agree", "kappa", "Fleiss", "open disputes"];
  const reasons = Object.entries(summary.overall.reasons);
  const people = Object.entries(summary.reviewers);
  return ask(
    role === "annotator" ? "Your decisions per task" : "Decisions per task",
    [
      h(
        "div",
        { class: "scroll" },
        h(
          "table",
          {},
          h("thead", {}, h("tr", {}, heads.map((name) => h("th", { scope: "col" }, name)))),
          h("tbody", {}, Object.entries(summary.tasks).map(([name, task]) => row(tasks[name].title, task))),
          h("tfoot", {}, row("All tasks", summary.overall)),
        ),
      ),
      reasons.length > 0 && h("p", {}, h("b", {}, "Rejected: "), reasons.map(([reason, count]) => `${reason} × ${count}`).join(" · ")),
      people.length > 0 && h("p", {}, h("b", {}, "Reviewers: "), people.map(([name, count]) => `${name} ${count}`).join(" · ")),
      h("menu", {}, h("button", { class: "primary", autofocus: true }, "Close")),
    ],
    { isWide: true },
  );
}

/** Show what each key does. */
export function showKeys(keys) {
  const rows = keys.filter((key) => key.does).map((key) => h("div", {}, h("dt", {}, h("kbd", {}, key.shown ?? key.key.toUpperCase())), h("dd", {}, key.does)));
  return ask("Keys", [h("dl", { class: "keys" }, rows), h("menu", {}, h("button", { class: "primary", autofocus: true }, "Close"))]);
}
