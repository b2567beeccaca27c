// Lists, filters and shows the questions of a run. What models wrote is set as text, never as markup.
"use strict";

const rsvqa = { part: [] };

(() => {
  const ROW = 54; // CSS pixels, as in the style of a row
  const SPARE_ROWS = 8; // drawn beyond the edges of the list
  const MOST_ZOOM = 40;
  const NARROW = 760; // CSS pixels, as in the style
  const MARKS = { right: "✓", wrong: "✕", "no answer": "?", "not scored": "–", "not judged": "·" };
  const KEYS = "j k or ↓ ↑ next and previous · / search · + − 0 or the wheel zoom";
  const SVG = "http://www.w3.org/2000/svg";
  const at = (id) => document.getElementById(id);

  /** Return an element with attributes and children; strings become text. */
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(name, value);
    element.append(...children.filter((child) => child !== null));
    return element;
  }

  /** Return an element of SVG. */
  function shape(tag, attributes, ...children) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  let questions; // what questions.js holds
  let places; // of questions, by id
  let chosen; // names that are pressed, one set per facet
  let words = []; // that are searched
  let hits = []; // places of the questions that are listed, in order
  let current = -1; // place of the question that is shown

  // --- parts ---

  const loads = []; // a promise per part
  const texts = []; // that are searched, per question; absent until its part is there

  function load(number) {
    loads[number] ??= new Promise((resolve, reject) => {
      const name = `part-${String(number).padStart(4, "0")}.js`;
      const script = make("script", { src: name });
      script.onerror = () => reject(new Error(`${name} is missing beside this page: run rsvqa browse again.`));
      script.onload = () => (rsvqa.part[number] ? resolve(keep(number)) : script.onerror());
      document.head.append(script);
    });
    return loads[number];
  }

  function keep(number) {
    rsvqa.part[number].forEach((card, index) => {
      const parts = [card.sample_id, card.question, ...card.options.map((option) => option.text), ...card.references];
      for (const answer of card.answers) parts.push(answer?.reply ?? answer?.failure ?? "");
      texts[number * questions.partSize + index] = parts.join("\n").toLowerCase();
    });
    return rsvqa.part[number];
  }

  // --- filters ---

  /** Find what is listed, and count what each button would list. */
  function filter() {
    const { facets, ids } = questions;
    const counts = facets.map((facet) => facet.names.map(() => 0));
    let numUnread = 0;
    hits = [];
    for (let place = 0; place < ids.length; place++) {
      if (words.length && texts[place] === undefined) numUnread += 1;
      if (!words.every((word) => texts[place]?.includes(word))) continue;
      let numFailed = 0;
      let failed = -1;
      for (let number = 0; number < facets.length && numFailed < 2; number++) {
        if (chosen[number].size && !chosen[number].has(facets[number].values[place])) {
          numFailed += 1;
          failed = number;
        }
      }
      if (numFailed === 0) {
        hits.push(place);
        facets.forEach((facet, number) => (counts[number][facet.values[place]] += 1));
      } else if (numFailed === 1) counts[failed][facets[failed].values[place]] += 1;
    }
    showCounts(counts);
    const notice = numUnread ? ` · ${numUnread.toLocaleString("en")} not searched, a part is missing` : "";
    at("found").textContent = `${hits.length.toLocaleString("en")} of ${ids.length.toLocaleString("en")}${notice}`;
    at("clear").hidden = !words.length && chosen.every((names) => !names.size);
    at("rows").style.height = `${hits.length * ROW}px`;
  }

  function showCounts(counts) {
    questions.facets.forEach((facet, number) => {
      const total = counts[number].reduce((sum, count) => sum + count, 0);
      for (const element of at(`facet-${facet.key}`).children) {
        const value = Number(element.value);
        const count = (value < 0 ? total : counts[number][value]).toLocaleString("en");
        if (facet.key === "task") element.textContent = `${value < 0 ? "all tasks" : facet.names[value]} · ${count}`;
        else {
          element.lastChild.textContent = count;
          element.classList.toggle("nil", count === "0");
          element.setAttribute("aria-pressed", String(chosen[number].has(value)));
        }
      }
    });
  }

  /** Filter anew and show the list from where it makes sense. */
  function refresh() {
    filter();
    const place = hits.indexOf(current);
    at("list").scrollTop = Math.max(0, place) * ROW;
    drawRows();
    if (place < 0 && hits.length && !asked()) show(hits[0]);
  }

  function makeFacets() {
    chosen = questions.facets.map(() => new Set());
    questions.facets.forEach((facet, number) => {
      const occurring = [...facet.names.keys()].filter((value) => facet.values.includes(value));
      const id = `facet-${facet.key}`;
      let field;
      if (facet.key === "task") {
        field = make("select", { id, "aria-label": facet.title }, make("option", { value: -1 }));
        field.append(...occurring.map((value) => make("option", { value })));
        field.onchange = () => {
          chosen[number] = new Set(field.value === "-1" ? [] : [Number(field.value)]);
          refreshByHand();
        };
      } else {
        field = make("span", { id, class: "chips", role: "group", "aria-label": facet.title });
        for (const value of occurring) {
          const chip = make("button", { type: "button", value }, facet.names[value], make("small"));
          chip.onclick = () => {
            if (!chosen[number].delete(value)) chosen[number].add(value);
            refreshByHand();
          };
          field.append(chip);
        }
      }
      at("facets").append(make("div", { class: "facet" }, make("span", { class: "name" }, facet.title), field));
    });
  }

  /** A filter was changed: what the address names is no longer asked for when the list does not hold it. */
  function refreshByHand() {
    filter();
    if (asked() && hits.length && !hits.includes(current)) move(hits[0]);
    refresh();
  }

  let searching = 0; // counts searches: an older one that ends late is not shown
  async function search(text) {
    const turn = ++searching;
    const wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
    if (wanted.length) await loadAll(turn);
    if (turn !== searching) return;
    words = wanted;
    refreshByHand();
  }

  /** Load every part; what a missing one held is told by the filter. */
  async function loadAll(turn) {
    let numLeft = Math.ceil(questions.ids.length / questions.partSize);
    const done = () => {
      numLeft -= 1;
      if (turn === searching) at("found").textContent = `reading replies, ${numLeft} parts to go`;
    };
    await Promise.all([...Array(numLeft).keys()].map((number) => load(number).then(done, done)));
  }

  // --- list ---

  function drawRows() {
    const list = at("list");
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - SPARE_ROWS);
    const last = Math.min(hits.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + SPARE_ROWS);
    const rows = [];
    for (let number = first; number < last; number++) rows.push(makeRow(hits[number], number));
    at("rows").replaceChildren(...rows);
  }

  function makeRow(place, number) {
    const marks = questions.outcomes[place].map((name, run) => {
      const title = questions.labels.length > 1 ? `${"AB"[run]}: ${name}` : name;
      return make("span", { class: `mark ${name.replaceAll(" ", "-")}`, title, role: "img", "aria-label": title }, MARKS[name]);
    });
    const id = questions.ids[place];
    const top = make("span", {}, make("abbr", {}, questions.tasks[place]), make("code", {}, id), ...marks);
    const start = make("span", { class: "start" }, questions.starts[place]);
    const row = make("a", { class: "row", href: address(id), "aria-current": String(place === current) }, top, start);
    row.style.top = `${number * ROW}px`;
    return row;
  }

  const address = (id) => `#${encodeURIComponent(id)}`;

  /** Return the id that the address names; null for none. */
  function asked() {
    if (location.hash.length < 2) return null;
    try {
      return decodeURIComponent(location.hash.slice(1));
    } catch {
      return location.hash.slice(1);
    }
  }

  /** Go to a question without a step back in the browser's history. */
  function move(place) {
    history.replaceState(null, "", address(questions.ids[place]));
    follow();
  }

  /** Show what the address names. */
  function follow() {
    const id = asked();
    document.body.classList.toggle("open", id !== null);
    if (id === null) {
      refresh();
    } else if (places.has(id)) show(places.get(id));
    else complain(`This run has no question ${id}.`);
  }

  function step(by) {
    if (!hits.length) return;
    const place = hits.indexOf(current);
    move(hits[place < 0 ? 0 : Math.max(0, Math.min(hits.length - 1, place + by))]);
    const list = at("list");
    const top = hits.indexOf(current) * ROW;
    if (top < list.scrollTop) list.scrollTop = top;
    if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
    drawRows();
  }

  // --- card ---

  function complain(text) {
    current = -1;
    at("card").replaceChildren(navigation(null), make("p", { class: "message", role: "alert" }, text));
    drawRows();
  }

  async function show(place) {
    if (place === current) return;
    current = place;
    drawRows();
    try {
      const cards = await load(Math.floor(place / questions.partSize));
      if (place !== current) return; // another was opened meanwhile
      at("card").replaceChildren(navigation(place), makeCard(cards[place % questions.partSize]), make("p", { class: "keys" }, KEYS));
      at("card").scrollTop = 0;
    } catch (error) {
      if (place === current) complain(error.message);
    }
  }

  function navigation(place) {
    const button = (text, click) => Object.assign(make("button", { type: "button", class: "plain" }, text), { onclick: click });
    const back = button("all questions", () => (location.hash = ""));
    back.id = "back";
    const link = place === null ? "" : make("a", { href: address(questions.ids[place]) }, make("code", {}, questions.ids[place]));
    const steps = [button("previous", () => step(-1)), button("next", () => step(1))];
    return make("nav", { "aria-label": "Question" }, back, link, ...steps);
  }

  function makeCard(card) {
    const isPair = card.answers.length > 1;
    const lang = card.language;
    const views = card.pictures.map((picture, number) => makeFigure(card, picture, number));
    if (!views.length) views.push(make("p", { class: "missing" }, "asked without an image"));
    const qa = make(
      "div",
      { class: "qa" },
      make("p", { class: "path" }, card.task, " ", make("abbr", {}, card.short)),
      make("p", { class: "question", lang }, card.question),
      makeOptions(card),
      ...card.references.map((text) => make("blockquote", { lang }, text)),
    );
    const answers = make("div", { class: "answers" }, ...card.answers.map((answer, number) => makeAnswer(answer, isPair ? number : null)));
    const article = make("article", { class: isPair ? "pair" : "" }, make("div", { class: "views" }, ...views), qa);
    (isPair ? article : qa).append(answers);
    return article;
  }

  function makeOptions(card) {
    if (!card.options.length) return null;
    const items = card.options.map((option) => {
      const by = card.answers.flatMap((answer, run) => (answer?.letters.includes(option.letter) ? ["AB"[run]] : []));
      const replied = card.answers.length > 1 ? `replied by ${by.join(" and ")}` : "replied";
      const marks = [...(option.is_right ? ["right"] : []), ...(by.length ? [replied] : [])].join(" · ");
      const kind = option.is_right ? "right" : by.length ? "said" : "";
      return make("li", { class: kind }, make("b", {}, option.letter), make("span", {}, option.text), marks ? make("em", {}, marks) : null);
    });
    return make("ol", { class: "options", lang: card.language }, ...items);
  }

  function makeAnswer(answer, run) {
    const section = make("section", { style: "margin:0" });
    if (run !== null) section.append(make("h2", {}, `${"AB"[run]}: ${questions.labels[run]}`));
    if (!answer) {
      section.append(make("p", { class: "label" }, "This run was not asked the question."));
      return section;
    }
    const verdicts = answer.verdicts.map((text) => {
      const kind = /: right/.test(text) ? " right" : /: wrong/.test(text) ? " wrong" : "";
      return make("span", { class: `verdict${kind}` }, text);
    });
    section.append(make("p", { class: "label" }, "Reply ", ...verdicts));
    if (answer.reply === null) section.append(make("p", { class: "none" }, `no reply: ${answer.failure ?? "no reason recorded"}`));
    else section.append(make("pre", {}, answer.reply || make("i", {}, "nothing")));
    const note = answer.boxes_rewritten ? ", boxes rewritten" : "";
    section.append(fold(`Prompt as sent${note}`, [answer.prompt]));
    if (answer.looks.length) {
      const title = `${answer.looks.length} call${answer.looks.length > 1 ? "s" : ""} to look`;
      section.append(fold(title, answer.looks.flatMap((look) => [look.sent, look.text])));
    }
    if (answer.facts.length) section.append(make("p", { class: "place" }, answer.facts.join(" · ")));
    return section;
  }

  const fold = (title, blocks) => make("details", {}, make("summary", {}, title), ...blocks.map((text) => make("pre", {}, text)));

  // --- pictures ---

  function makeFigure(card, picture, number) {
    const isPair = card.answers.length > 1;
    const boxes = []; // each with its class and its name
    if (number === 0) {
      for (const box of card.boxes) boxes.push([box, box.kind, questions.boxNames[box.kind]]);
      card.answers.forEach((answer, run) => {
        for (const box of answer?.boxes ?? []) {
          boxes.push([box, box.kind + (run ? " second" : ""), questions.boxNames[box.kind] + (isPair ? `, ${"AB"[run]}` : "")]);
        }
      });
    }
    const views = [...new Set(card.answers.map((answer) => answer?.views[number]).filter(Boolean))];
    let caption = [picture.caption, ...views].join(", ");
    if (!picture.src) caption += " · no thumbnail";
    const names = new Map(boxes.map(([, kind, name]) => [name, kind]));
    const legend = [...names].map(([name, kind]) => make("span", { class: `key ${kind}` }, name));
    const figcaption = make("figcaption", {}, caption, ...legend);
    if (!picture.src && !boxes.length) return make("figure", {}, figcaption);
    const whole = { x: 0, y: 0, width: "100%", height: "100%" };
    const ground = shape("rect", { ...whole, class: "void" });
    const svg = shape("svg", { viewBox: `0 0 ${picture.width} ${picture.height}`, role: "img", "aria-label": caption }, ground);
    if (picture.src) {
      const size = { width: picture.width, height: picture.height, preserveAspectRatio: "none" };
      svg.append(shape("image", { ...size, href: picture.src }));
    }
    const below = boxes.filter(([box]) => box.kind === "looked"); // large, and would hide what is asked about
    const above = boxes.filter(([box]) => box.kind !== "looked");
    for (const [box, kind] of [...below, ...above]) svg.append(...outline(box, kind));
    new Zoom(svg, picture);
    return make("figure", {}, svg, figcaption);
  }

  function outline({ x, y, width, height, ring }, kind) {
    const shapes = [["rect", { x, y, width, height }]];
    if (ring) shapes.push(["circle", { cx: ring[0], cy: ring[1], r: ring[2] }]);
    return shapes.flatMap(([tag, place]) => [shape(tag, { ...place, class: "halo" }), shape(tag, { ...place, class: kind })]);
  }

  /** Zooms a picture by the wheel, moves it by dragging, and shows the whole of it again on a double click. */
  class Zoom {
    constructor(svg, { width, height }) {
      Object.assign(this, { svg, full: { width, height }, x: 0, y: 0, scale: 1 });
      svg.zoom = this;
      svg.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
      svg.addEventListener("pointerdown", (event) => this.scale > 1 && svg.setPointerCapture(event.pointerId));
      svg.addEventListener("pointermove", (event) => this.drag(event));
      svg.addEventListener("dblclick", (event) => (this.scale > 1 ? this.reset() : this.by(4, ...this.point(event))));
    }

    /** Return where the pointer is, in pixels of the image. */
    point(event) {
      const found = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
      return [found.x, found.y];
    }

    wheel(event) {
      if (event.deltaY > 0 && this.scale === 1) return; // the page scrolls on
      event.preventDefault();
      this.by(Math.exp(-Math.max(-100, Math.min(100, event.deltaY)) / 300), ...this.point(event));
    }

    drag(event) {
      if (!event.buttons || this.scale === 1) return;
      const matrix = this.svg.getScreenCTM();
      this.set(this.x - event.movementX / matrix.a, this.y - event.movementY / matrix.d, this.scale);
    }

    by(factor, x = this.x + this.full.width / this.scale / 2, y = this.y + this.full.height / this.scale / 2) {
      const scale = Math.max(1, Math.min(MOST_ZOOM, this.scale * factor));
      const kept = this.scale / scale; // the point under the pointer stays where it is
      this.set(x - (x - this.x) * kept, y - (y - this.y) * kept, scale);
    }

    reset() {
      this.set(0, 0, 1);
    }

    set(x, y, scale) {
      const width = this.full.width / scale;
      const height = this.full.height / scale;
      this.scale = scale;
      this.x = Math.max(0, Math.min(this.full.width - width, x));
      this.y = Math.max(0, Math.min(this.full.height - height, y));
      this.svg.setAttribute("viewBox", `${this.x} ${this.y} ${width} ${height}`);
      this.svg.classList.toggle("near", scale > 1);
    }
  }

  // --- keys ---

  const KEY_ACTIONS = {
    j: () => step(1),
    ArrowDown: () => step(1),
    k: () => step(-1),
    ArrowUp: () => step(-1),
    "/": () => at("search").focus(),
    "+": () => zoomed((zoom) => zoom.by(1.5)),
    "-": () => zoomed((zoom) => zoom.by(1 / 1.5)),
    0: () => zoomed((zoom) => zoom.reset()),
  };

  function zoomed(change) {
    for (const svg of document.querySelectorAll(".views svg")) change(svg.zoom);
  }

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const action = KEY_ACTIONS[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  // --- start ---

  function start(found) {
    questions = found;
    at("filters").open = innerWidth > NARROW;
    places = new Map(questions.ids.map((id, place) => [id, place]));
    makeFacets();
    let frame = 0;
    at("list").onscroll = () => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(drawRows);
    };
    let timer = 0;
    at("search").oninput = (event) => {
      clearTimeout(timer);
      timer = setTimeout(() => search(event.target.value), 120);
    };
    at("clear").onclick = () => {
      at("search").value = "";
      words = [];
      searching += 1;
      chosen = chosen.map(() => new Set());
      if (at("facet-task")) at("facet-task").value = "-1";
      refresh();
    };
    addEventListener("resize", drawRows);
    addEventListener("hashchange", follow);
    addEventListener("keydown", onKey);
    follow();
    if (asked() !== null) refresh();
  }

  Object.defineProperty(rsvqa, "questions", { set: start });
})();
