// The page: one question at a time, decided by key. A decision counts as saved when the server says that it is on disk.

import { newRequestId, post, Refused, UNKNOWN_HERE, Unreachable } from "./api.js";
import { answerBoxes, blindHint, boxInView, missing, ownAnswerPanel } from "./blind.js";
import { askComment, commentsPanel } from "./comments.js";
import { shifted } from "./drawing.js";
import { Editor } from "./editor.js";
import { byId, duration, h, put } from "./elements.js";
import { guidelinesFor, rendered } from "./guidelines.js";
import { watchClicks, watchKeys } from "./keys.js";
import { Look } from "./look.js";
import * as panels from "./panels.js";
import { Viewer } from "./viewer.js";

const RETRY_MS = 2000;
const MAX_EDGE_STEP = 10; // pixels of the tile, with Ctrl

const state = {
  session: null,
  reviewer: localStorage.getItem("rsvqa-review/reviewer") ?? "",
  filters: { task: "", source: "", split: "", disputed_only: false },
  question: null,
  progress: null,
  isBusy: false,
  isShown: false, // what is awaited is only the image of a question that can be read already
  waiting: null,
  unsent: { of: "", text: "" }, // a comment that the server did not take
  isBoxMode: false,
};

const identity = () => ({ reviewer: state.reviewer, filters: state.filters });
const draftKey = (question) => `rsvqa-review/draft/${state.session.name}/${state.reviewer}/${question.question_id}`;

const viewer = new Viewer((box, isDone) => editor.moveBox(box, isDone));
const editor = new Editor({ identity, isHeld: () => isHeld(), onBox: (box) => viewer.drawBox(box), onChange: showChange });

// --- talking to the server --------------------------------------------------------------------------------------------

/** Ask until the server answers; the page stays as it is meanwhile. */
async function insist(path, body) {
  for (;;) {
    try {
      const answer = await post(path, body);
      byId("banner").hidden = true;
      return answer;
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      byId("banner").textContent = `${error.message.replace("the", "The")}. What is on the page is kept, and sent when it is back.`;
      byId("banner").hidden = false;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

/** Say whether an answer of the server is due, so that a key would meet a question that nobody has read. */
const isSending = () => (state.isBusy && !state.isShown) || Boolean(state.waiting);

/** Say whether nothing may be changed: there is no question, or its decision is on its way. */
const isHeld = () => !state.question || isSending();

/**
 * Run one thing at a time; a refusal is shown instead of the problems of the question.
 *
 * What is asked for while an answer is due is left; while only the image is laid out, or something goes that leaves the
 * question where it is, it waits for that.
 */
async function exclusively(work, { isShown = false } = {}) {
  if (isSending()) return;
  if (state.isBusy) {
    state.waiting = work;
    return;
  }
  state.isBusy = true;
  state.isShown = isShown;
  document.body.classList.add("busy");
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    editor.setProblems(error.isWordless ? [`${UNKNOWN_HERE} What you changed is kept.`] : error.problems);
  } finally {
    state.isBusy = state.isShown = false;
    document.body.classList.remove("busy");
  }
  const { waiting } = state;
  state.waiting = null;
  if (waiting) await exclusively(waiting);
}

// --- questions --------------------------------------------------------------------------------------------------------

const next = async () => show(await insist("next", identity()));

/** Show the answer of `next` or `undo`. */
async function show(answer, draft = null) {
  showProgress(answer.progress);
  const question = answer.question;
  state.question = question;
  state.sawOpinions = Boolean(answer.opinions?.length);
  setBoxMode(false);
  document.body.classList.toggle("empty", !question);
  if (!question) return showEnd();
  put(
    byId("body"),
    panels.headline(question, state.session),
    panels.opinionsPanel(answer.opinions ?? []),
    panels.formerPanel(answer.former),
    answer.is_blind && blindHint(question),
    editor.part,
    ownAnswerPanel(answer.own, question),
    !answer.is_blind && panels.evidencePanel(question),
    panels.modelsPanel(question),
    h("div", { id: "comments" }, commentsPanel(answer.comments)),
    guidelinesPanel(question),
    panels.placeLine(question),
  );
  byId("body").scrollTop = 0;
  const showing = showPictures(question, answerBoxes(answer.own, question.guesses, question));
  editor.show(question, draft ?? readDraft(question), { isBlind: answer.is_blind, own: answer.own });
  state.isShown = true;
  await showing;
}

/** Return the project's guidelines for a question's task, folded in; nothing where none are written. */
function guidelinesPanel({ task }) {
  const { short = task, title = task } = state.session.tasks[task] ?? {};
  const text = guidelinesFor(state.session.guidelines, [task, title, short]);
  if (!text) return null;
  const isOpen = localStorage.getItem("rsvqa-review/guidelines") !== "closed";
  const part = h("details", { class: "guidelines", open: isOpen }, h("summary", {}, "Guidelines"), rendered(text));
  part.addEventListener("toggle", () => localStorage.setItem("rsvqa-review/guidelines", part.open ? "open" : "closed"));
  return part;
}

async function comment() {
  const question = state.question;
  const kept = state.unsent.of === question?.question_id ? state.unsent.text : "";
  const text = question && !isSending() && (await askComment(kept));
  if (!text) return;
  state.unsent = { of: question.question_id, text };
  await exclusively(async () => {
    const body = { ...identity(), question_id: question.question_id, text, request_id: newRequestId() };
    const { comments } = await insist("comment", body);
    state.unsent = { of: "", text: "" };
    put(byId("comments"), commentsPanel(comments));
    byId("saved").textContent = "Comment sent";
  }, { isShown: true });
}

function showEnd() {
  const { skipped, total } = state.progress;
  const look = h("button", { type: "button", onclick: () => exclusively(next) }, "Look for more");
  const again = h("button", { type: "button", class: "primary", onclick: () => exclusively(lookAgain) }, `Look at ${skipped} skipped again`);
  put(
    byId("body"),
    h("div", { class: "end" }, h("h2", {}, total ? "Nothing left for you here" : "No question fits the filters"), [
      h("p", {}, "Others may still have questions open. A question that needs a third opinion comes when it is due."),
      h("p", { class: "choose" }, skipped > 0 && again, look),
    ]),
  );
  editor.setProblems([]);
}

async function lookAgain() {
  await insist("forget-skips", identity());
  await next();
}

/** Return the unsaved edit of a question; null without one, or when the question has changed since. */
function readDraft(question) {
  const draft = JSON.parse(localStorage.getItem(draftKey(question)) ?? "null");
  return draft && JSON.stringify(draft.of) === JSON.stringify(question.content) ? draft.content : null;
}

// --- how the scene is seen --------------------------------------------------------------------------------------------

/** Show the images at once where they are seen as they are stored, else when it is known what else can be seen. */
async function showPictures(question, boxes) {
  const known = Look.of(question.pictures[0].key, question.scene, state.reviewer);
  if (Look.isKept(question.scene, state.reviewer)) return viewer.show(question, boxes, await known);
  await viewer.show(question, boxes);
  known.then((look) => state.question === question && viewer.see(look)); // nobody waits for it
}

function askLook() {
  if (!state.question || isSending()) return;
  viewer.look?.ask(() => viewer.see(viewer.look), { hasOther: state.question.pictures.length === 1 });
}

// --- decisions --------------------------------------------------------------------------------------------------------

/** Store a decision, then go on; nothing is shown as saved before the server says so. */
async function decide(action, { question = state.question, reason = "" } = {}) {
  if (!question || state.question !== question) return; // nothing is stored for another one than was read
  if (action === "save" && editor.isBlind) return answerFirst(question);
  const content = action === "save" ? editor.content : null;
  const isFixed = editor.isChanged;
  const body = { ...identity(), question_id: question.question_id, action, content, reason, saw_opinions: state.sawOpinions, request_id: newRequestId() };
  const { progress } = await insist("decide", body);
  if (action !== "skip") localStorage.removeItem(draftKey(question));
  const done = { save: isFixed ? "Fix saved" : "Accepted", reject: `Rejected: ${reason}`, skip: "Skipped" }[action];
  byId("saved").textContent = `${done} · ${question.question_id}`;
  showProgress(progress);
  await next();
}

/** Store the answer to a question whose key is not seen yet, and show it with its key. */
async function answerFirst(question) {
  const problem = missing(question, editor.content);
  if (problem) return editor.setProblems([problem]);
  const { answer, bbox } = editor.content;
  const shown = await insist("answer", { ...identity(), question_id: question.question_id, answer, bbox: question.form === "box" ? bbox : null });
  localStorage.removeItem(draftKey(question));
  byId("saved").textContent = "Answered; now judge the question";
  await show(shown);
}

const save = () => exclusively(() => decide("save"));
const skip = () => exclusively(() => decide("skip"));

async function reject() {
  const { question } = state;
  if (!question || isSending()) return; // the reason would go to the question that comes
  const reason = await panels.askReason(state.session.reasons);
  if (reason) await exclusively(() => decide("reject", { question, reason }));
}

const undo = () =>
  exclusively(async () => {
    const number = state.progress?.last_decision;
    if (!number) return;
    const answer = await insist("undo", { ...identity(), number });
    byId("saved").textContent = `Undone · ${answer.question.question_id}`;
    await show(answer, answer.undone.content);
  });

// --- what is seen -----------------------------------------------------------------------------------------------------

function showChange() {
  const question = state.question;
  if (!question) return;
  const { isChanged, problems, content } = editor;
  byId("save").firstElementChild.textContent = editor.isBlind ? "Answer" : isChanged ? "Save fix" : "Accept";
  byId("save").disabled = problems.length > 0;
  byId("card").classList.toggle("changed", isChanged);
  if (isChanged) localStorage.setItem(draftKey(question), JSON.stringify({ of: question.content, content }));
  else localStorage.removeItem(draftKey(question));
}

function showProgress(progress) {
  state.progress = progress;
  const { total, done, mine, seconds_each: each, seconds_left: left, num_active: active } = progress;
  const share = total ? done / total : 1;
  byId("meter").firstElementChild.style.width = `${100 * share}%`;
  byId("meter").setAttribute("aria-valuenow", Math.round(100 * share));
  const pace = each === null ? [] : [`${duration(each)} each`, `about ${duration(left)} left${active > 1 ? ` with ${active} at work` : ""}`];
  byId("progress").textContent = [`${done} of ${total}`, `${mine} by you`, ...pace].join(" · ");
  byId("undo").disabled = !progress.last_decision;
}

function showFilters() {
  const { task, source, split, disputed_only: isDisputed } = state.filters;
  const names = [task && state.session.tasks[task].title, source, split, isDisputed && "models disagree"].filter(Boolean);
  put(byId("filters-button"), names.join(", ") || "All questions", " ", h("kbd", {}, "F"));
  byId("filters-button").classList.toggle("active", names.length > 0);
}

async function changeFilters() {
  if (isSending()) return;
  const filters = await panels.askFilters(state.filters, state.session);
  if (!filters) return;
  state.filters = filters;
  showFilters();
  await exclusively(async () => {
    await insist("release", identity());
    await next();
  });
}

async function changeReviewer() {
  if (isSending()) return;
  const name = await panels.askReviewer(state.reviewer);
  if (!name) return;
  await exclusively(async () => {
    if (state.question) await insist("release", identity());
    state.reviewer = name;
    localStorage.setItem("rsvqa-review/reviewer", name);
    byId("reviewer-button").textContent = name;
    await next();
  });
}

async function showSummary() {
  await exclusively(async () => void panels.showSummary(await insist("summary", identity()), state.session));
}

// --- the box by keyboard ----------------------------------------------------------------------------------------------

function setBoxMode(isOn) {
  if (isOn && isHeld()) return;
  if (isOn && editor.isBlind && state.question.form === "box" && !editor.content.bbox)
    editor.moveBox(boxInView(viewer.seen(), state.question), true);
  state.isBoxMode = isOn && Boolean(editor.content?.bbox);
  byId("panes").classList.toggle("box-mode", state.isBoxMode);
}

/** Arrow keys pan; in box mode they move the box, with Shift its lower right corner, with Ctrl ten pixels at once. */
function arrow(x, y) {
  return (event) => {
    if (!state.isBoxMode) return viewer.pan(x, y);
    const step = event.ctrlKey ? MAX_EDGE_STEP : 1;
    const sides = event.shiftKey ? [2, 3] : [0, 1, 2, 3];
    editor.moveBox(shifted(editor.pixels, sides, [x * step, y * step], state.question), true);
  };
}

// --- keys and buttons -------------------------------------------------------------------------------------------------

const toggleKey = (letter) => isHeld() || editor.toggleKey(letter);
const edit = () => byId("body").querySelector("textarea")?.focus();
const leave = (event) => {
  if (state.isBoxMode) setBoxMode(false);
  else event.target.blur();
};
const arrows = [["ArrowLeft", -1, 0], ["ArrowRight", 1, 0], ["ArrowUp", 0, -1], ["ArrowDown", 0, 1]];
const KEYS = [
  { key: "a", does: "accept, or save the fix", run: save, once: true },
  { key: "Enter", withControl: true, shown: "Ctrl Enter", does: "the same, while writing", run: save, inText: true, once: true },
  { key: "r", does: "reject, with a reason", run: reject, once: true },
  { key: "s", does: "skip for now", run: skip, once: true },
  { key: "u", does: "undo the last decision", run: undo, once: true },
  { key: "e", does: "edit the question; Tab goes to the options", run: edit },
  { key: "1", shown: "1 – 9", does: "set the right option (all that apply: on and off)", run: () => toggleKey("A") },
  ..."BCDEFGHI".split("").map((letter, index) => ({ key: String(index + 2), run: () => toggleKey(letter) })),
  { key: "b", does: "move the box by arrow keys; Shift: its lower right corner, Ctrl: by ten", run: () => setBoxMode(!state.isBoxMode) },
  { key: "z", withControl: true, shown: "Ctrl Z", does: "take back the last change", run: () => !isHeld() && editor.back() },
  { key: "Escape", shown: "Esc", does: "leave a field or the box", run: leave, inText: true },
  { key: "z", does: "whole tile, and back to the evidence", run: () => viewer.toggleWhole() },
  { key: "+", shown: "+ –", does: "zoom", run: () => viewer.zoom(1) },
  { key: "=", run: () => viewer.zoom(1) },
  { key: "-", run: () => viewer.zoom(-1) },
  ...arrows.map(([key, x, y]) => ({ key, run: arrow(x, y), ...(key === "ArrowLeft" && { shown: "← → ↑ ↓", does: "move the view" }) })),
  ...arrows.map(([key, x, y]) => ({ key, withControl: true, run: arrow(x, y) })),
  { key: "o", does: "outlines on and off", run: () => viewer.toggleLines() },
  { key: "d", does: "two dates: side by side, or swipe", run: () => viewer.toggleDates() },
  { key: "i", does: "how the scene is seen: bands, stretch, gamma, surroundings, another date", run: askLook },
  { key: "c", does: "comment on the question, for who leads", run: comment, once: true },
  { key: "f", does: "filter the questions", run: changeFilters },
  { key: "g", does: "summary of decisions", run: showSummary },
  { key: "?", does: "these keys", run: () => panels.showKeys(KEYS) },
];

const BUTTONS = {
  save,
  reject,
  skip,
  undo,
  "whole-button": () => viewer.toggleWhole(),
  "lines-button": () => viewer.toggleLines(),
  "dates-button": () => viewer.toggleDates(),
  "look-button": askLook,
  "filters-button": changeFilters,
  "summary-button": showSummary,
  "help-button": () => panels.showKeys(KEYS),
  "reviewer-button": changeReviewer,
};

async function begin() {
  const first = state.reviewer && !location.hash ? insist("next", identity()) : null; // both at once, by who came last
  first?.catch(() => null); // told where it is waited for
  state.session = await insist("session");
  if (!state.session.num_queued) return location.replace("draw.html"); // nothing to judge: people come to draw
  document.title = `${state.session.name} · review`;
  byId("name").textContent = state.session.name;
  for (const [id, run] of Object.entries(BUTTONS)) byId(id).addEventListener("click", run);
  watchKeys(KEYS);
  watchClicks();
  setInterval(() => {
    const { question } = state;
    if (!question) return;
    const isStill = () => state.question === question && !state.isBusy; // an older answer would undo the wrong decision
    post("renew", { ...identity(), question_id: question.question_id }).then((answer) => isStill() && showProgress(answer.progress), () => {});
  }, (state.session.claim_s * 1000) / 4);
  if (state.session.person) {
    state.reviewer = state.session.person; // by the link: nobody changes it
    byId("reviewer-button").disabled = true;
  }
  while (!state.reviewer) state.reviewer = (await panels.askReviewer("")) ?? "";
  localStorage.setItem("rsvqa-review/reviewer", state.reviewer);
  byId("reviewer-button").textContent = state.reviewer;
  byId("lead-link").hidden = state.session.role !== "lead";
  byId("lead-link").textContent = state.session.person ? "Lead" : "List"; // who is alone leads nobody
  await exclusively(() => begun(first));
}

/** Open the question that the address names, as the lead's page does, else the next one. */
async function begun(first) {
  const named = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
  if (!named) return show(await (first ?? insist("next", identity())));
  await show(await insist("open", { ...identity(), question_id: named }));
}

begin();
