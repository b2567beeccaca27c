// The page for drawing: opens a tile, wires tools, panels and keys to what is drawn, and shows what follows from it.

import { newRequestId, Refused } from "./api.js";
import { Canvas } from "./draw_canvas.js";
import { insist, Model } from "./draw_model.js";
import { askTile, ClassPanel, proposalsPanel, questionsPanel, selectionPanel } from "./draw_panels.js";
import { allowedShift, isHit, shifted, turned } from "./draw_shapes.js";
import { Tools, TOOLS } from "./draw_tools.js";
import { WritingPanel } from "./draw_writing.js";
import { byId, h, put, putAnew } from "./elements.js";
import { watchClicks, watchKeys } from "./keys.js";
import { Look } from "./look.js";
import { askReviewer, showKeys } from "./panels.js";

const FAR_PX = 10; // with Shift
const COMPUTE_AFTER_MS = 600;
const ZOOM_STEP = 1.6;
const TURN = Math.PI / 180;

const canvas = new Canvas();

/** What the tools and panels know of the page. */
const page = {
  model: null,
  className: "",
  attributes: {},
  isSnapping: true,
  isPanning: false,
  pointer: null,

  singular: (name) => page.model.tile.classes.find((info) => info.name === name)?.singular ?? name,
  role: (name) => page.model.tile.classes.find((info) => info.name === name)?.role,

  isAllowed(form) {
    if (state.tab === "write") return true; // evidence is of no class
    const role = page.role(page.className);
    if (state.about.forms[form].includes(role)) return true;
    const fitting = TOOLS.filter(({ name }) => state.about.forms[name]?.includes(role)).map(({ title }) => title.toLowerCase());
    showProblems([`${page.singular(page.className)} is a class of ${role} things: draw one of ${fitting.join(", ")}`]);
    return false;
  },

  add(object) {
    showProblems([]);
    if (state.tab === "write") return writing.addShape(object);
    page.model.add([object]);
  },

  setClass(name) {
    page.className = name;
    page.attributes = {};
    const fits = (form) => state.about.forms[form]?.includes(page.role(name));
    if (tools.tool !== "select" && !fits(tools.tool)) choose(TOOLS.find((tool) => fits(tool.name)).name);
    showProblems([]);
    showObjects();
  },

  change(update) {
    const { model } = page;
    if (model.selection.size) model.change(new Map([...model.selection].map((id) => [id, update(model.objects.get(id))])));
  },

  setAttribute(name, value) {
    page.change((object) => {
      const { [name]: _, ...others } = object.attributes;
      return { ...object, attributes: value === null ? others : { ...others, [name]: value } };
    });
  },

  setCertain: (isCertain) => page.change((object) => ({ ...object, is_certain: isCertain })),

  reclass() {
    const forms = new Set(page.model.selected.map((object) => object.form));
    const role = page.role(page.className);
    if ([...forms].every(page.isAllowed))
      page.change((object) => ({
        ...object,
        class_name: page.className,
        attributes: Object.fromEntries(Object.entries(object.attributes).filter(([name]) => state.about.attributes[name].roles.includes(role))),
      }));
  },

  remove() {
    const ids = [...page.model.selection];
    if (ids.length) page.model.change(new Map(ids.map((id) => [id, null])));
  },

  /** Say that every object of a class is drawn, or not; without `isComplete`, the other than it is. */
  async declare(name, isComplete = null) {
    const { model } = page;
    const is = await guarded(() => model.declare(name, isComplete));
    if (page.model !== model) return;
    if (is !== null) page.say(`${page.singular(name)}: ${is ? "all drawn" : "not all drawn"}`);
    showObjects();
    computeSoon();
  },

  /** Point out the proposal at a place of the tile, where there is one. */
  pickProposal(at, reach) {
    const found = state.tab === "objects" && openProposals().find((proposal) => isHit(shapeOf(proposal), at, reach));
    if (found) pick(found);
  },

  post: (path, body, model = page.model) => guarded(() => model.post(path, body)),
  refuse: (problems) => showProblems(problems),
  showShapes: () => showOverlays(),
  showDate: (later) => canvas.showLater(state.tab === "write" ? later : null),
  say: (text) => (byId("saved").textContent = text),
  look: (box, isNear = false) => isNear && canvas.show(box),
};
const tools = new Tools(canvas, page);
const classes = new ClassPanel(page, (name) => canvas.colour(name));
const writing = new WritingPanel(page);
const state = { about: null, reviewer: localStorage.getItem("rsvqa-review/reviewer") ?? "", tab: "objects", questions: null, copied: [], proposals: [], deleted: [], picked: null, opening: 0, wanted: null, computing: 0 };

const banner = (text) => {
  byId("banner").textContent = text;
  byId("banner").hidden = !text;
};

function showProblems(problems) {
  put(byId("problems"), problems.map((problem) => h("li", {}, problem)));
}

/** Run something that the server may refuse, and show why. */
async function guarded(work) {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    showProblems(error.problems);
    return null;
  }
}

// --- tiles ------------------------------------------------------------------------------------------------------------

const events = {
  changed() {
    showOverlays();
    showObjects();
    computeSoon();
  },
  saved(isSaved) {
    byId("saved").textContent = isSaved ? "All that is drawn is saved" : "Saving …";
  },
  refused(problems) {
    if (tools.drag) tools.cancel(); // what is dragged may be what is not as it was
    showProblems(problems);
  },
  banner,
};

/**
 * Open a tile when the server has all that was done on the one before: what is read is then what was drawn.
 *
 * Of several that are asked for the last one is opened, whichever answer comes last.
 */
async function open(key) {
  const turn = ++state.opening;
  state.wanted = key;
  let tile = null;
  do {
    await page.model?.settled();
    tile = await guarded(() => insist("draw/tile", { reviewer: state.reviewer, tile: key }, banner));
    if (!tile || turn !== state.opening) return;
  } while (page.model && !page.model.isSaved);
  tools.cancel();
  page.model = new Model(tile, state.reviewer, events);
  writing.leave(page.model);
  if (!tile.classes.some(({ name }) => name === page.className)) page.className = tile.classes[0].name;
  state.questions = null;
  state.proposals = [];
  showProblems([]);
  byId("name").textContent = tile.tile_id;
  localStorage.setItem("rsvqa-review/tile", key);
  const { model } = page;
  await openPicture(tile);
  if (page.model !== model) return;
  showTab(state.tab);
  events.saved(model.isSaved);
  await readProposals();
}

/** Show the image at once where it is seen as it is stored, else when it is known what else can be seen. */
async function openPicture(tile) {
  const { model } = page;
  const known = Look.of(tile.picture, tile.scene, state.reviewer);
  if (Look.isKept(tile.scene, state.reviewer)) state.look = await known;
  else {
    await canvas.open(model);
    known.then((look) => page.model === model && canvas.see((state.look = look)));
    return;
  }
  if (page.model === model) await canvas.open(model, state.look);
}

const askLook = () => state.look?.ask(() => canvas.see(state.look), { hasOther: true });

// --- what a model proposes ----------------------------------------------------------------------------------------------

const PROPOSED = "#ffd7f5";
const shapeOf = ({ box }) => ({ form: "box", points: [box.slice(0, 2), box.slice(2)] });
const classOf = (proposal) => proposal.class_name || page.className;

async function readProposals() {
  const { model } = page;
  const found = await page.post("draw/proposals");
  if (!found || page.model !== model) return;
  state.proposals = found.proposals;
  state.deleted = found.deleted;
  showOverlays();
  showObjects();
}

/** Return the proposals that are neither deleted nor objects by now. */
function openProposals() {
  if (!state.proposals.length) return [];
  const taken = new Set([...page.model.objects.values()].map((object) => object.proposal));
  return state.proposals.filter(({ key }) => !taken.has(key) && !state.deleted.includes(key));
}

function showOverlays() {
  canvas.overlays =
    state.tab === "write" ? writing.shapes : openProposals().map((proposal) => ({ ...shapeOf(proposal), colour: PROPOSED, isDashed: true, isStrong: proposal.key === state.picked }));
  canvas.circleBeside(state.tab === "write" ? (writing.draft?.circle ?? null) : null);
  canvas.ask();
}

function pick(proposal, isNear = false) {
  state.picked = proposal?.key ?? null;
  showOverlays();
  for (const item of document.querySelectorAll("[data-proposal]")) item.classList.toggle("picked", item.dataset.proposal === state.picked);
  document.querySelector(".proposals .picked")?.scrollIntoView({ block: "nearest" });
  if (isNear) canvas.show(proposal.box);
}

/** Make a proposal an object, selected so that it can be mended at once. */
function accept(proposal) {
  if (proposal.class_name) page.setClass(proposal.class_name);
  if (!page.isAllowed("box")) return;
  choose("select");
  page.add({ class_name: page.className, ...shapeOf(proposal), attributes: {}, is_certain: true, proposal: proposal.key });
}

async function turnDown(proposal, isDeleted = true) {
  const { model } = page;
  const body = { request_id: newRequestId(), proposal: proposal.key, is_deleted: isDeleted };
  if (!(await guarded(() => model.inTurn(() => model.post("draw/proposal", body)))) || page.model !== model) return;
  state.deleted = isDeleted ? [...state.deleted.filter((key) => key !== proposal.key), proposal.key] : state.deleted.filter((key) => key !== proposal.key);
  showOverlays();
  showObjects();
}

const proposalActions = {
  onAccept: accept,
  onDelete: turnDown,
  onBringBack: () => turnDown({ key: state.deleted.at(-1) }, false),
  onLook: pick,
};

async function changeTile() {
  await refreshTiles();
  const key = await askTile(state.about.tiles, page.model?.tile.key);
  if (key) await open(key);
}

async function step(by) {
  const keys = state.about.tiles.map((tile) => tile.key);
  const next = keys[(keys.indexOf(state.wanted) + by + keys.length) % keys.length];
  if (next !== state.wanted) await open(next);
}

async function refreshTiles() {
  state.about = (await guarded(() => insist("draw/tiles", {}, banner))) ?? state.about;
}

// --- what is beside the image -----------------------------------------------------------------------------------------

const TABS = ["objects", "questions", "write"];

function showTab(tab) {
  state.tab = tab;
  for (const name of TABS) byId(`${name}-tab`).setAttribute("aria-selected", String(name === tab));
  canvas.highlighted = new Set();
  showOverlays();
  if (tab !== "write") page.showDate(null);
  if (tab === "objects") showObjects();
  else if (tab === "write") {
    writing.render();
    put(byId("body"), writing.part);
    writing.open();
  } else {
    showQuestions();
    compute();
  }
}

function showObjects() {
  const { model } = page;
  const { size } = model.objects;
  byId("progress").textContent = `${size.toLocaleString("en")} object${size === 1 ? "" : "s"} · ${page.singular(page.className)}`;
  if (state.tab !== "objects") return;
  classes.render();
  const body = byId("body");
  if (!body.contains(classes.part)) put(body, h("div", { id: "selection" }), h("div", { id: "proposals" }), classes.part);
  putAnew(byId("selection"), selectionPanel(page, state.about.attributes));
  const proposed = { open: openProposals(), deleted: state.deleted, picked: state.picked };
  putAnew(byId("proposals"), proposalsPanel(proposed, (proposal) => page.singular(classOf(proposal)), proposalActions));
}

function showQuestions() {
  if (state.tab !== "questions") return;
  putAnew(byId("body"), questionsPanel(state.questions, state.about.tasks, { onJudge: judge, onLook: look }));
}

function computeSoon() {
  clearTimeout(state.timer);
  if (state.tab === "questions") state.timer = setTimeout(compute, COMPUTE_AFTER_MS);
}

/** Have the questions computed from what the server has; again, when something was drawn or judged meanwhile. */
async function compute() {
  const { model } = page;
  if (!model.isSaved) return computeSoon();
  const { stamp, judged } = model;
  const turn = ++state.computing;
  const answer = await guarded(() => model.post("draw/questions"));
  if (page.model !== model || !answer || turn !== state.computing) return;
  const isJudgedSince = judged !== model.judged || model.waiting > 0;
  if (!isJudgedSince) state.questions = answer;
  showQuestions();
  if (isJudgedSince || stamp !== model.stamp) computeSoon();
}

async function judge({ question_id: id }, verdict) {
  const { model } = page;
  if (!(await guarded(() => model.judge(id, verdict))) || page.model !== model) return;
  const question = state.questions?.questions.find((one) => one.question_id === id); // the list may be another one by now
  if (question) question.verdict = verdict;
  showQuestions();
}

/** Show what a question rests on; `isNear` zooms to it. */
function look(question, isNear) {
  canvas.highlighted = new Set(question?.objects.filter((id) => page.model.objects.has(id)) ?? []);
  if (question && isNear && question.focus) canvas.show(question.focus);
  canvas.ask();
}

// --- keys and buttons -------------------------------------------------------------------------------------------------

function choose(name) {
  tools.choose(name);
  for (const button of byId("tools").children) button.setAttribute("aria-pressed", String(button.value === name));
  byId("hint").textContent = TOOLS.find((tool) => tool.name === name).hint;
}

function nudge(x, y) {
  return (event) => {
    const { model } = page;
    const far = event.shiftKey ? FAR_PX : 1;
    if (!model.selection.size) return canvas.panBy(x * 120, y * 120);
    const by = allowedShift(model.selected, [x * far, y * far], model.tile);
    page.change((object) => ({ ...object, points: shifted(object.points, by) }));
  };
}

function turn(by) {
  const { width, height } = page.model.tile;
  page.change((object) => {
    const points = turned(object, by * TURN);
    const isInside = points.every(([x, y]) => x >= 0 && y >= 0 && x <= width && y <= height);
    return object.form === "box" || !isInside ? object : { ...object, points };
  });
}

const copy = () => (state.copied = page.model.selected);

/** Put what was copied under the pointer. */
function paste() {
  if (!state.copied.length) return;
  const { model } = page;
  const at = page.pointer ? tools.place(page.pointer) : [model.tile.width / 2, model.tile.height / 2];
  const xs = state.copied.flatMap((object) => object.points.map(([x]) => x));
  const ys = state.copied.flatMap((object) => object.points.map(([, y]) => y));
  const middle = [(Math.min(...xs) + Math.max(...xs)) / 2, (Math.min(...ys) + Math.max(...ys)) / 2];
  const snapped = (value) => (page.isSnapping ? Math.round(value) : value);
  const by = allowedShift(state.copied, [snapped(at[0] - middle[0]), snapped(at[1] - middle[1])], model.tile);
  const known = state.copied.filter((object) => model.tile.classes.some(({ name }) => name === object.class_name));
  model.add(known.map(({ proposal: _, ...object }) => ({ ...object, points: shifted(object.points, by) })));
}

function toggleSnap() {
  page.isSnapping = !page.isSnapping;
  byId("snap-button").setAttribute("aria-pressed", String(page.isSnapping));
}

const leave = (event) => {
  if (event.target !== document.body) event.target.blur();
  if (tools.cancel()) return;
  if (tools.tool !== "select") choose("select");
  else page.model.select([]);
};
const removeOrTakeBack = () => tools.takeBack() || page.remove();
const all = () => page.model.select([...page.model.objects].filter(([, object]) => object.class_name === page.className).map(([id]) => id));
const declareAll = () => page.declare(page.className);

const ARROWS = [["ArrowLeft", -1, 0], ["ArrowRight", 1, 0], ["ArrowUp", 0, -1], ["ArrowDown", 0, 1]];
const KEYS = [
  ...TOOLS.map(({ name, key }) => ({
    key,
    run: () => choose(name),
    ...(name === "select" && { does: "select, move and reshape" }),
    ...(name === "box" && { shown: "B R P C D L", does: "draw a box, oriented box, polygon, circle, point (dot), line" }),
  })),
  { key: "Enter", does: "end the polygon or line", run: () => tools.finish() },
  { key: "Escape", shown: "Esc", does: "leave: what is half drawn, the tool, the selection", run: leave, inText: true },
  { key: "/", does: "find a class; Enter takes the first", run: () => (showTab("objects"), classes.search.focus()) },
  { key: "m", does: "every object of the class is drawn, or not: then it may be counted", run: declareAll, once: true },
  { key: "Delete", shown: "Del", does: "delete what is selected", run: () => page.remove() },
  { key: "Backspace", run: removeOrTakeBack },
  { key: "c", withControl: true, shown: "Ctrl C, V", does: "copy, and paste under the pointer", run: copy },
  { key: "v", withControl: true, run: paste },
  { key: "a", withControl: true, shown: "Ctrl A", does: "select all of the class", run: all },
  { key: "z", withControl: true, shown: "Ctrl Z, Y", does: "undo, and do again", run: () => page.model.undo() },
  { key: "y", withControl: true, run: () => page.model.redo() },
  ...ARROWS.map(([key, x, y]) => ({ key, run: nudge(x, y), ...(key === "ArrowLeft" && { shown: "← → ↑ ↓", does: "move the selection by a pixel, with Shift by ten; or the view" }) })),
  { key: "<", shown: "< >", does: "turn the selection by a degree", run: () => turn(-1) },
  { key: ">", run: () => turn(1) },
  { key: "s", does: "snap to whole pixels, or not", run: toggleSnap },
  { key: "z", does: "whole tile", run: () => canvas.whole() },
  { key: "+", shown: "+ –", does: "zoom; the wheel does too", run: () => canvas.zoomBy(ZOOM_STEP) },
  { key: "=", run: () => canvas.zoomBy(ZOOM_STEP) },
  { key: "-", run: () => canvas.zoomBy(1 / ZOOM_STEP) },
  { key: " ", shown: "Space", does: "hold it to move the image with any tool", run: (event) => event.target === document.body && (page.isPanning = true) },
  { key: "i", does: "how the scene is seen: bands, stretch, gamma, surroundings, another date", run: askLook },
  { key: "w", does: "objects and classes", run: () => showTab("objects") },
  { key: "q", does: "questions: A accepts, X discards the one in focus, a double click shows it", run: () => showTab("questions") },
  { key: "e", does: "write a question; what is drawn then is its evidence", run: () => showTab("write") },
  { key: "Enter", withControl: true, shown: "Ctrl Enter", does: "save the question that is written", run: () => state.tab === "write" && document.getElementById("write-save")?.click(), inText: true },
  { key: "t", does: "tiles", run: changeTile },
  { key: "n", does: "next tile", run: () => step(1), once: true },
  { key: "?", does: "these keys", run: () => showKeys(KEYS) },
];

function makeTools() {
  put(
    byId("tools"),
    TOOLS.map(({ name, key, title, hint }) =>
      h("button", { type: "button", value: name, "aria-pressed": "false", title: hint, onclick: () => choose(name) }, title, " ", h("kbd", {}, key.toUpperCase())),
    ),
  );
}

async function changeReviewer() {
  const name = await askReviewer(state.reviewer);
  if (!name) return;
  await page.model?.settled(); // what somebody drew is stored under his own name
  state.reviewer = name;
  localStorage.setItem("rsvqa-review/reviewer", name);
  byId("reviewer-button").textContent = name;
  if (page.model) await open(page.model.tile.key);
}

async function begin() {
  state.about = await insist("draw/tiles", {}, banner);
  makeTools();
  const buttons = { "tiles-button": changeTile, "help-button": () => showKeys(KEYS), "reviewer-button": changeReviewer, "whole-button": () => canvas.whole(), "snap-button": toggleSnap, "look-button": askLook };
  for (const [id, run] of Object.entries(buttons)) byId(id).addEventListener("click", run);
  for (const name of TABS) byId(`${name}-tab`).addEventListener("click", () => showTab(name));
  if (state.about.person) {
    state.reviewer = state.about.person; // by the link: nobody changes it
    byId("reviewer-button").disabled = true;
  }
  byId("lead-link").hidden = state.about.role !== "lead";
  byId("lead-link").textContent = state.about.person ? "Lead" : "List"; // who is alone leads nobody
  byId("review-link").hidden = !state.about.num_queued; // it would lead back here
  while (!state.reviewer) await changeReviewer();
  byId("reviewer-button").textContent = state.reviewer;
  const former = localStorage.getItem("rsvqa-review/tile");
  const { tiles } = state.about;
  if (!tiles.length) return showProblems([`No tile ${state.about.person ? "that is yours" : "of the data set"} has an image without marks`]);
  await open((tiles.find((tile) => tile.key === former) ?? tiles[0]).key);
  choose("select");
  if (!state.about.num_queued) page.say("Nothing waits for a review: draw, or write questions");
  watchKeys(KEYS);
  watchClicks();
  document.addEventListener("keyup", (event) => event.key === " " && (page.isPanning = false));
  window.addEventListener("beforeunload", (event) => page.model.isSaved || event.preventDefault());
  window.rsvqaDraw = { page, canvas, tools }; // for tests: a canvas has no elements to look at
}

begin();
