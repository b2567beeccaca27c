// How a person looks at a scene: bands, stretch, gamma, surroundings, another date. Kept in the browser, per person and scene.
// Where the scene is at hand the server makes the picture anew from it; else a filter over the stored image stretches it.

import { post } from "./api.js";
import { byId, h, put, svg } from "./elements.js";

const STRETCHES = [["0–100 %", 0, 1000], ["0.5–99.5 %", 5, 995], ["1–99 %", 10, 990], ["2–98 %", 20, 980], ["5–95 %", 50, 950]];
const PLAIN = { bands: null, stretch: null, gamma: 100, around: true, other: 0 };
const FILTER = "look-filter";

/** One person's look at the scene of one picture. */
export class Look {
  /** Return the look of a person at the scene of a picture, as he left it. */
  static async of(picture, scene, reviewer) {
    const view = await post("view", { picture }).catch(() => ({ bands: [], shown: [], around: null, others: [] }));
    const look = new Look();
    Object.assign(look, { picture, view, key: `rsvqa-review/look/${reviewer}/${scene}` });
    const kept = JSON.parse(localStorage.getItem(look.key) ?? "{}");
    look.set = { ...PLAIN, ...kept };
    if (look.set.bands?.some((band) => band > view.bands.length)) look.set.bands = null; // another build of the scene
    if (look.set.other > view.others.length) look.set.other = 0;
    return look;
  }

  /** Return whether a person has chosen how a scene is seen. */
  static isKept(scene, reviewer) {
    return localStorage.getItem(`rsvqa-review/look/${reviewer}/${scene}`) !== null;
  }

  get isFromScene() {
    return this.view.bands.length > 0;
  }

  get isPlain() {
    return !this.set.bands && !this.set.stretch && this.set.gamma === 100;
  }

  /** Return the word of the look in addresses. */
  word(bandsOf = this.view) {
    if (this.isPlain) return "built";
    const shown = this.view.shown.length === 3 ? this.view.shown : Array(3).fill(this.view.shown[0]);
    const bands = (this.set.bands ?? shown).map((band) => Math.min(band, bandsOf.bands.length));
    const [low, high] = this.set.stretch ?? [20, 980];
    return `b${bands.join("-")}_p${low}-${high}_g${this.set.gamma}`;
  }

  /** Return where the picture's tiles come from; nothing for the stored ones. */
  get path() {
    return this.isFromScene && !this.isPlain ? `scenes/${this.picture}/0/${this.word()}` : null;
  }

  /** Return the other date as a picture beside this one, or null. */
  get other() {
    const found = this.view.others[this.set.other - 1];
    return found ? { key: `${this.picture}/${found.number}`, date: found.date ?? found.scene, path: `scenes/${this.picture}/${found.number}/${this.word(found)}` } : null;
  }

  keep(change) {
    Object.assign(this.set, change);
    localStorage.setItem(this.key, JSON.stringify(this.set));
  }

  /** Stretch what is stored, where the scene is not at hand: a filter on the element of the picture. */
  async filter(element) {
    const isOn = !this.isFromScene && !this.isPlain;
    element.style.filter = isOn ? `url(#${FILTER})` : "";
    if (!isOn) return;
    const ends = await this.ends();
    const exponent = 100 / this.set.gamma;
    const channels = ["R", "G", "B"];
    const part = (kind, attributes) => svg("feComponentTransfer", {}, ...channels.map((name, index) => svg(`feFunc${name}`, { type: kind, ...attributes(index) })));
    const filter = svg(
      "filter",
      { id: FILTER, "color-interpolation-filters": "sRGB", x: 0, y: 0, width: 1, height: 1 },
      part("linear", (index) => ({ slope: 1 / (ends[index][1] - ends[index][0]), intercept: -ends[index][0] / (ends[index][1] - ends[index][0]) })),
      part("gamma", () => ({ amplitude: 1, exponent, offset: 0 })),
    );
    byId(FILTER)?.closest("svg").remove();
    document.body.append(svg("svg", { class: "filters", width: 0, height: 0, "aria-hidden": "true" }, filter));
  }

  /** Return what becomes black and full of each channel, 0–1, by a small copy of the image. */
  async ends() {
    if (!this.set.stretch) return [[0, 1], [0, 1], [0, 1]];
    if (this.histogram === undefined) this.histogram = await histogram(this.picture);
    return this.histogram === null ? [[0, 1], [0, 1], [0, 1]] : this.histogram.map((counts) => percentiles(counts, this.set.stretch));
  }

  /** Ask how the scene is to be seen; `onChange` is called with each change, and the dialog stays. */
  ask(onChange, { hasOther }) {
    const dialog = byId("dialog");
    if (dialog.open) return;
    const change = (entries) => {
      this.keep(entries);
      show();
      onChange();
    };
    const select = (label, options, chosen, run, isDisabled = false) =>
      h("label", {}, label, h("select", { name: label, disabled: isDisabled, onchange: (event) => run(Number(event.target.value)) },
        ...options.map(([text, value]) => h("option", { value, selected: value === chosen }, text))));
    const show = () => {
      const { bands, stretch, gamma, around, other } = this.set;
      const shown = this.view.shown.length === 3 ? this.view.shown : Array(3).fill(this.view.shown[0]);
      const chosen = bands ?? shown;
      const named = this.view.bands.map((name, index) => [name.startsWith("band ") ? name : `${index + 1} ${name}`, index + 1]);
      const at = stretch ? STRETCHES.findIndex(([, low, high]) => low === stretch[0] && high === stretch[1]) : -1;
      const focused = document.activeElement?.name;
      put(
        dialog,
        h("form", { method: "dialog", class: "look" },
          h("h2", {}, "How the image is shown"),
          this.isFromScene
            ? h("div", { class: "three" }, ["Red", "Green", "Blue"].map((name, index) =>
                select(name, named, chosen[index], (band) => change({ bands: chosen.map((old, at) => (at === index ? band : old)) }))))
            : h("p", { class: "hint" }, "The scene is not at hand, so there are no other bands: what is stretched is the stored image."),
          select("Stretch", [["as built", -1], ...STRETCHES.map(([text], index) => [text, index])], at, (index) => change({ stretch: index < 0 ? null : STRETCHES[index].slice(1) })),
          h("label", {}, `Gamma ${(gamma / 100).toFixed(2)}`, h("input", { type: "range", name: "gamma", min: 40, max: 250, step: 5, value: gamma, onchange: (event) => change({ gamma: Number(event.target.value) }) })),
          this.view.around && h("label", { class: "check" }, h("input", { type: "checkbox", name: "around", checked: around, onchange: (event) => change({ around: event.target.checked }) }), "Show what lies around the tile"),
          hasOther && this.view.others.length > 0 &&
            select("Beside it", [["nothing", 0], ...this.view.others.map(({ number, scene, date }) => [date ? `${date} · ${scene}` : scene, number])], other, (number) => change({ other: number })),
          h("p", { class: "hint" }, "Kept for you in this browser. Nothing of the data set changes."),
          h("menu", {},
            h("button", { type: "button", disabled: this.isPlain, onclick: () => change({ bands: null, stretch: null, gamma: 100 }) }, "As built"),
            h("button", { class: "primary" }, "Done"))),
      );
      if (focused) dialog.querySelector(`[name="${focused}"]`)?.focus();
    };
    show();
    dialog.classList.remove("wide"); // of the dialog before
    dialog.showModal();
  }
}

/** What lies around the tile, behind the picture: an image that follows the view. */
export class Around {
  constructor(parent, placing) {
    this.placing = placing;
    this.element = h("img", { class: "around", alt: "", hidden: true });
    parent.prepend(this.element);
  }

  show(look) {
    this.area = look?.set.around ? look.view.around : null;
    this.element.hidden = !this.area;
    if (!this.area) return;
    const address = `scenes/${look.picture}/${look.word()}/around.jpg`;
    if (this.element.getAttribute("src") !== address) this.element.src = address;
    this.place();
  }

  place() {
    const placing = this.area && this.placing();
    if (!placing) return;
    const [x, y, width, height] = this.area;
    const { style } = this.element;
    style.width = `${width * placing.scale}px`;
    style.height = `${height * placing.scale}px`;
    style.transform = `translate(${placing.x + x * placing.scale}px, ${placing.y + y * placing.scale}px)`;
  }
}

/** Keep views on the same part of the tile: the one that somebody moves leads. `isShown` tells of the second one. */
export function together(first, second, isShown) {
  let leader = first;
  for (const [own, other] of [[first, second], [second, first]]) {
    for (const event of ["canvas-enter", "canvas-press", "canvas-scroll"]) own.addHandler(event, () => (leader = own));
    own.addHandler("viewport-change", () => {
      if (leader === own && isShown() && other.world.getItemCount()) other.viewport.fitBounds(own.viewport.getBounds(true), true);
    });
  }
  return { lead: () => (leader = first) };
}

async function histogram(picture) {
  const response = await fetch(`tiles/${picture}/8/0_0.jpg`); // at most 256 px
  if (!response.ok) return null; // the image is smaller
  const image = await createImageBitmap(await response.blob());
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, image.width, image.height);
  const counts = [0, 1, 2].map(() => new Uint32Array(256));
  for (let at = 0; at < data.length; at += 4) for (let band = 0; band < 3; band++) counts[band][data[at + band]]++;
  return counts;
}

function percentiles(counts, permilles) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const [low, high] = permilles.map((permille) => {
    let seen = 0;
    const value = counts.findIndex((count) => (seen += count) >= (total * permille) / 1000);
    return value / 255;
  });
  return [low, Math.max(high, low + 1 / 255)];
}
