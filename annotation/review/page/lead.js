// The lead's page: find any question, return or reopen what was decided, reject a broken label, see how people work.

import { newRequestId, post, Refused, Unreachable } from "./api.js";
import { byId, duration, h, put } from "./elements.js";
import { watchClicks } from "./keys.js";
import { ask } from "./panels.js";

const SEARCH_AFTER_MS = 250;
const STATES = { "": "any state", open: "open", decided: "decided", contested: "opinions differ", commented: "commented", gold: "gold" };
const VERDICTS = ["", "accepted", "fixed", "rejected", "skipped"];

const state = { session: null, reviewer: localStorage.getItem("rsvqa-review/reviewer") || "lead", people: [], found: null, asked: 0, note: "" };
const search = { text: "", task: "", person: "", verdict: "", state: "", label: "", offset: 0 };

/** Ask the server; what it refuses is shown, and null comes back. */
async function wish(path, body = {}) {
  put(byId("problems"));
  try {
    return await post(path, { reviewer: state.reviewer, ...body });
  } catch (error) {
    if (!(error instanceof Refused || error instanceof Unreachable)) throw error;
    put(byId("problems"), h("li", {}, error.message));
    return null;
  }
}

const said = (text) => (byId("saved").textContent = text);
const percent = (share) => (share === null ? "–" : `${Math.round(100 * share)} %`);
const share = (part, count) => (part === null ? "–" : `${percent(part)} of ${count}`);
const titleOf = (task) => state.session.tasks[task]?.title ?? task;

// --- questions --------------------------------------------------------------------------------------------------------

/** Show what fits the search. Of several answers the one to what was asked last is shown, whichever comes last. */
async function find() {
  clearTimeout(timer);
  const asked = ++state.asked;
  const wanted = { ...search };
  const found = await wish("lead/find", wanted);
  if (!found || asked !== state.asked) return;
  state.found = { ...found, label: isOnlyLabel(wanted) ? wanted.label : "" };
  put(byId("rows"), found.rows.map(row), !found.rows.length && h("tr", {}, h("td", { colspan: 5, class: "none" }, "No question fits the search")));
  const [first, last] = [Math.min(found.total, search.offset + 1), Math.min(found.total, search.offset + found.page)];
  byId("range").textContent = `${first} – ${last} of ${found.total}`;
  byId("before").disabled = search.offset === 0;
  byId("after").disabled = last >= found.total;
  byId("reject-label").hidden = !state.found.label || !found.total;
  byId("reject-label").textContent = `Reject all ${found.total} questions with this label`;
}

/** Say whether a search is for all questions with a label: a broken label is rejected with all of them. */
const isOnlyLabel = ({ label, offset: _, ...others }) => label && !Object.values(others).some(Boolean);

function row(question) {
  const { question_id: id, is_gold: isGold } = question;
  const status = isGold ? "gold" : question.is_contested ? "opinions differ" : !question.is_queued ? "not in the queue" : question.missing ? "open" : "decided";
  const decisions = question.decisions.map((one) =>
    h(
      "li",
      { class: one.verdict },
      h("b", {}, one.reviewer),
      ` ${one.verdict}`,
      one.reason && `: ${one.reason}`,
      one.seconds !== null && h("span", {}, ` · ${duration(one.seconds)}`),
      one.is_gold && h("span", {}, " · to gold"),
      " ",
      h("button", { type: "button", class: "small", onclick: () => giveBack([one.number], one.reviewer) }, "Return"),
    ),
  );
  const comments = question.comments.map((one) =>
    h(
      "li",
      { class: one.is_settled ? "settled" : "" },
      h("b", {}, one.recipient ? `${one.author} to ${one.recipient}` : one.author),
      ` ${one.text} `,
      !one.is_settled && h("button", { type: "button", class: "small", onclick: () => change("lead/settle", { number: one.number }, "Settled") }, "Settle"),
    ),
  );
  const labels = question.labels.slice(0, 3).map((label) => h("button", { type: "button", class: "label", title: "Questions with this label", onclick: () => searchFor({ label }) }, label));
  return h(
    "tr",
    {},
    h("td", {}, h("a", { href: `./#${encodeURIComponent(id)}` }, id), h("span", { class: "soft" }, titleOf(question.task))),
    h("td", { class: "text" }, question.text, labels.length > 0 && h("span", { class: "labels" }, labels, question.labels.length > 3 && ` and ${question.labels.length - 3} more`)),
    h("td", {}, h("span", { class: `badge ${question.is_contested ? "warn" : ""}` }, status)),
    h("td", {}, h("ul", { class: "notes" }, decisions, comments)),
    h(
      "td",
      { class: "acts" },
      question.decisions.length > 0 && h("button", { type: "button", class: "small", onclick: () => reopen(id) }, "Reopen"),
      (isGold || (!question.missing && question.decisions.length > 0)) &&
        h("button", { type: "button", class: "small", onclick: () => change("lead/gold", { question_id: id, is_gold: !isGold }, isGold ? "No gold any more" : "Gold from now on") }, isGold ? "No gold" : "Gold"),
    ),
  );
}

/** Have something done and look again. */
async function change(path, body, text) {
  const answer = await wish(path, body);
  if (!answer) return;
  state.note = "";
  said(answer.count === undefined ? text : `${text}: ${answer.count}`);
  if (byId("rows")) await find();
}

async function askNote(title, hint, { isNeeded = false, button }) {
  const field = h("input", { name: "note", value: state.note, maxlength: 500, required: isNeeded, autofocus: true, autocomplete: "off", "aria-label": hint, placeholder: hint });
  const answer = await ask(title, [field, h("menu", {}, h("button", { class: "primary", value: "do" }, button))]);
  state.note = answer?.note.trim() ?? ""; // kept until the server has taken it
  return answer && state.note;
}

async function giveBack(numbers, reviewer) {
  const note = await askNote(`Return it to ${reviewer}?`, "What is to be done otherwise", { button: "Return" });
  if (note !== null) await change("lead/give-back", { numbers, note, request_id: newRequestId() }, "Returned");
}

async function reopen(id) {
  const note = await askNote("Withdraw every decision on this question?", "Why, for who leads", { button: "Reopen" });
  if (note !== null) await change("lead/reopen", { question_id: id, note, request_id: newRequestId() }, "Withdrawn");
}

async function rejectLabel() {
  const { total, label } = state.found;
  const reason = await askNote(`Reject ${total} questions with label ${label}?`, "What is wrong with the label", { isNeeded: true, button: `Reject ${total}` });
  if (reason) await change("lead/reject-label", { label, reason, request_id: newRequestId() }, "Rejected");
}

function searchFor(parts) {
  Object.assign(search, { text: "", task: "", person: "", verdict: "", state: "", label: "", offset: 0 }, parts);
  showQuestions();
}

let timer = null;

function field(name, title) {
  const input = h("input", { name, value: search[name], placeholder: title, "aria-label": title, type: "search", autocomplete: "off" });
  input.addEventListener("input", () => {
    Object.assign(search, { [name]: input.value.trim(), offset: 0 });
    byId("reject-label").hidden = true; // it is about what is listed
    clearTimeout(timer);
    timer = setTimeout(find, SEARCH_AFTER_MS);
  });
  return input;
}

function choice(name, title, options) {
  const select = h("select", { name, "aria-label": title }, options.map(([value, text]) => h("option", { value, selected: search[name] === value }, text)));
  select.addEventListener("change", () => {
    Object.assign(search, { [name]: select.value, offset: 0 });
    find();
  });
  return select;
}

function turn(by) {
  search.offset = Math.max(0, search.offset + by * state.found.page);
  find();
}

async function showQuestions() {
  press("questions-tab");
  const tasks = Object.keys(state.session.choices.tasks).map((name) => [name, titleOf(name)]);
  put(
    byId("main"),
    h(
      "div",
      { class: "tools" },
      field("text", "Id or words of the question"),
      choice("task", "Task", [["", "all tasks"], ...tasks]),
      choice("state", "State", Object.entries(STATES)),
      choice("person", "Person", [["", "anybody"], ...state.people.map((name) => [name, name])]),
      choice("verdict", "Verdict", VERDICTS.map((name) => [name, name || "any verdict"])),
      field("label", "Id of a label"),
      h("button", { id: "reject-label", type: "button", hidden: true, onclick: rejectLabel }),
      h("span", { class: "pages" }, h("button", { id: "before", type: "button", class: "again", onclick: () => turn(-1) }, "←"), h("span", { id: "range" }), h("button", { id: "after", type: "button", class: "again", onclick: () => turn(1) }, "→")),
    ),
    h(
      "div",
      { class: "scroll" },
      h("table", { class: "list" }, h("thead", {}, h("tr", {}, ["Question", "Text", "State", "Decisions and comments", ""].map((name) => h("th", { scope: "col" }, name)))), h("tbody", { id: "rows" })),
    ),
  );
  await find();
}

// --- people -----------------------------------------------------------------------------------------------------------

const COLUMNS = [
  ["decided", (one) => one.decided],
  ["accepted", (one) => one.accepted],
  ["fixed", (one) => (one.fixed ? `${one.fixed} (${percent(one.fix_rate)})` : 0)],
  ["rejected", (one) => one.rejected],
  ["skipped", (one) => one.skipped],
  ["time each", (one) => (one.seconds === null ? "–" : duration(one.seconds))],
  ["in all", (one) => duration(one.hours * 3600)],
  ["too quick", (one) => one.hasty],
  ["gold", (one) => share(one.gold_agreement, one.num_gold)],
  ["answered the key", (one) => share(one.blind_agreement, one.num_blind)],
  ["kappa", (one) => (one.kappa === null ? "–" : `${one.kappa.toFixed(2)} over ${one.num_double}`)],
];

async function showPeople() {
  press("people-tab");
  clearTimeout(timer);
  const asked = ++state.asked;
  const seen = await wish("lead/people");
  if (!seen || asked !== state.asked) return;
  const roles = Object.fromEntries(seen.people.map(({ name, role }) => [name, role]));
  const rows = seen.work.map((one) =>
    h(
      "tr",
      { class: one.task ? "task-row" : "person-row" },
      h("th", { scope: "row" }, one.task ? titleOf(one.task) : one.person, !one.task && roles[one.person] && h("span", { class: "soft" }, roles[one.person])),
      COLUMNS.map(([name, tell]) => h("td", { class: name === "too quick" && one.hasty ? "warn" : "" }, String(tell(one)))),
    ),
  );
  const tasks = Object.entries(seen.summary.tasks).map(([name, { done, queued, num_disputed: disputed }]) =>
    h("tr", {}, h("th", { scope: "row" }, titleOf(name)), h("td", {}, `${done} / ${queued}`), h("td", {}, h("progress", { value: done, max: Math.max(1, queued), "aria-label": titleOf(name) })), h("td", {}, String(disputed))),
  );
  const left = seen.seconds_left === null ? "no pace yet" : `about ${duration(seen.seconds_left)} of work left`;
  put(
    byId("main"),
    h("div", { class: "tools" }, h("b", {}, `${seen.summary.overall.done} of ${seen.summary.overall.queued} questions · ${left}`), h("a", { href: "work.csv", download: "work.csv" }, "As CSV")),
    h(
      "div",
      { class: "scroll" },
      h("table", {}, h("thead", {}, h("tr", {}, ["", ...COLUMNS.map(([name]) => name)].map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, rows, !rows.length && h("tr", {}, h("td", { class: "none" }, "Nobody has decided anything yet")))),
      h("table", { class: "narrow" }, h("thead", {}, h("tr", {}, ["Task", "done", "", "opinions differ"].map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, tasks)),
    ),
  );
}

function press(id) {
  for (const tab of ["questions-tab", "people-tab"]) byId(tab).setAttribute("aria-pressed", tab === id);
}

async function begin() {
  watchClicks();
  state.session = await wish("session");
  if (!state.session) return;
  if (state.session.person) state.reviewer = state.session.person;
  document.title = `${state.session.name} · lead`;
  if (!state.session.num_queued) Object.assign(byId("lead-link"), { textContent: "Draw", href: "draw.html" }); // nothing to judge
  byId("name").textContent = state.session.name;
  byId("questions-tab").addEventListener("click", showQuestions);
  byId("people-tab").addEventListener("click", showPeople);
  const seen = await wish("lead/people");
  if (!seen) return;
  state.people = [...new Set([...seen.people.map(({ name }) => name), ...seen.work.map(({ person }) => person)])].sort();
  byId("progress").textContent = `${seen.summary.overall.done} of ${seen.summary.overall.queued}`;
  await showQuestions();
}

begin();
