// Shows the images of a question: one, or two dates side by side or behind a swipe, with a drawing over each.

import { Drawing } from "./drawing.js";
import { byId, h } from "./elements.js";
import { Around, together } from "./look.js";

const FOCUS_MARGIN = 0.6; // of the focus, on each side
const MIN_FOCUS_PX = 260; // a vehicle is shown with its surroundings
const ZOOM_STEP = 1.6;
const PAN_SHARE = 0.25; // of what is visible, a key press

export const OPTIONS = {
  drawer: "canvas",
  showNavigationControl: false,
  animationTime: 0.3,
  springStiffness: 9,
  maxZoomPixelRatio: 12,
  minZoomImageRatio: 0.85,
  visibilityRatio: 0.4,
  imageLoaderLimit: 8,
  timeout: 120000,
  gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
};

/** One image on the page with its drawing. */
class Pane {
  constructor(parent, index, onBox) {
    this.label = h("p", { class: "date" });
    this.element = h("div", { class: "pane", id: `pane-${index}` });
    parent.append(this.element);
    this.osd = window.OpenSeadragon({ ...OPTIONS, element: this.element });
    this.osd.innerTracker.keyHandler = null; // keys belong to the page
    this.osd.innerTracker.keyDownHandler = null;
    this.drawing = new Drawing(this.element, () => this.placing(), onBox);
    this.element.append(this.label);
    this.around = new Around(this.element, () => this.placing());
    this.osd.addHandler("update-viewport", () => {
      this.drawing.place();
      this.around.place();
    });
    this.osd.addHandler("resize", () => this.drawing.place());
  }

  /** Return the first image, or undefined before it is there. */
  get image() {
    return this.osd.world.getItemAt(0);
  }

  /** Return where the image is on the pane: its upper left corner and how many CSS pixels one of its pixels takes. */
  placing() {
    if (!this.image) return null;
    const origin = this.osd.viewport.pixelFromPoint(this.image.imageToViewportCoordinates(0, 0), true);
    const { x: width } = this.image.getContentSize();
    const right = this.osd.viewport.pixelFromPoint(this.image.imageToViewportCoordinates(width, 0), true);
    return { x: origin.x, y: origin.y, scale: (right.x - origin.x) / width };
  }

  /** Load tile sources, the second one on top of the first. */
  open(sources) {
    return new Promise((resolve) => {
      this.osd.addOnceHandler("open", resolve);
      this.osd.addOnceHandler("open-failed", resolve);
      this.osd.open(sources.map((source) => ({ tileSource: source, x: 0, y: 0, width: 1 })));
    });
  }
}

/** All that the page shows of a question's images. */
export class Viewer {
  constructor(onBox) {
    const panes = byId("panes");
    this.panes = [0, 1].map((index) => new Pane(panes, index, onBox));
    this.isSwiped = false;
    this.isWhole = false;
    this.showsLines = true;
    this.swipeAt = 0.5;
    this.pair = together(this.panes[0].osd, this.panes[1].osd, () => !this.panes[1].element.hidden);
    this.watchSwipe();
    for (const { osd } of this.panes) {
      osd.world.addHandler("add-item", ({ item }) => item.addHandler("fully-loaded-change", () => this.showLoading()));
      osd.addHandler("update-viewport", () => this.placeSwipe());
    }
    this.panes[0].osd.addHandler("update-viewport", () => this.showScale());
  }

  /** Return the viewport that keys and buttons move. */
  get viewport() {
    this.pair.lead();
    return this.panes[0].osd.viewport;
  }

  /** Return the pictures as they are looked at: those of the question, and another date that somebody wants to see. */
  get pictures() {
    const { look } = this;
    const isOf = (picture) => look && picture.key === look.picture;
    const own = this.question.pictures.map((picture) => (isOf(picture) ? { ...picture, path: look.path } : picture));
    return own.length === 1 && look?.other ? [...own, look.other] : own;
  }

  /** Return where the pictures come from, in one word. */
  get places() {
    return this.pictures.map(({ key, path }) => path ?? key).join();
  }

  /** Show a question; resolves when its images are known, not when all their tiles are there. */
  async show(question, answers = [], look = null) {
    [this.question, this.look] = [question, look];
    const isSame = this.arranged === this.places;
    for (const pane of this.panes) pane.drawing.show(question, answers);
    if (!isSame) await this.arrange();
    else this.dress();
    this.focus(!isSame, question.opens_whole);
  }

  /** Look at the same place in another way. */
  async see(look) {
    const bounds = this.viewport.getBounds();
    this.look = look;
    if (this.arranged === this.places) return this.dress();
    await this.arrangeAround(bounds);
  }

  /** Stretch what is stored, and show what lies around the tile. */
  dress() {
    this.panes[0].around.show(this.look);
    for (const { osd } of this.panes) if (osd.drawer) this.look?.filter(osd.drawer.canvas);
  }

  /** Say that tiles of what is in view are still on their way. */
  showLoading() {
    const images = this.panes.flatMap(({ osd }) => Array.from({ length: osd.world.getItemCount() }, (_, i) => osd.world.getItemAt(i)));
    byId("loading").hidden = images.length > 0 && images.every((image) => image.getFullyLoaded());
  }

  /** Put the images onto the panes as the mode wants them. */
  async arrange() {
    byId("loading").hidden = false;
    const { pictures } = this;
    this.arranged = this.places;
    const sources = pictures.map((picture) => tileSource(this.question, picture));
    const isPair = sources.length > 1;
    const isSide = isPair && !this.isSwiped;
    this.panes[1].element.hidden = !isSide;
    byId("panes").classList.toggle("side", isSide);
    byId("swipe").hidden = !(isPair && this.isSwiped);
    byId("dates-button").hidden = !isPair;
    byId("dates-button").firstElementChild.textContent = this.isSwiped ? "Side by side" : "Swipe";
    this.panes.forEach((pane, index) => {
      const date = pictures[index]?.date ?? "";
      const name = this.question.pictures.length > 1 ? ["Earlier", "Later"][index] : "";
      pane.label.textContent = [name, date].filter(Boolean).join(" · ");
    });
    if (isPair && this.isSwiped) this.panes[0].label.textContent = "";
    await this.laidOut();
    await Promise.all([
      this.panes[0].open(isSide ? sources.slice(0, 1) : sources),
      isSide ? this.panes[1].open(sources.slice(1)) : this.panes[1].osd.close(),
    ]);
    this.dress();
  }

  /** Wait until the panes have the sizes of the new layout: what is framed before is framed for the old ones. */
  async laidOut() {
    await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    for (const { osd, element } of this.panes) {
      if (element.hidden) continue;
      osd.viewport?.resize(new window.OpenSeadragon.Point(element.clientWidth, element.clientHeight), true);
    }
  }

  /** Change between side by side and swipe; what is seen stays. */
  async toggleDates() {
    if (this.pictures.length < 2) return;
    const bounds = this.viewport.getBounds();
    this.isSwiped = !this.isSwiped;
    await this.arrangeAround(bounds);
  }

  /** Put the images onto the panes anew and show the same place; another question that comes meanwhile has its own. */
  async arrangeAround(bounds) {
    const { question } = this;
    await this.arrange();
    if (this.question === question) this.viewport.fitBounds(bounds, true);
  }

  /** Show or hide the outlines, circle and box. */
  toggleLines() {
    this.showsLines = !this.showsLines;
    byId("lines-button").setAttribute("aria-pressed", this.showsLines);
    byId("panes").classList.toggle("plain", !this.showsLines);
  }

  /** Zoom to the evidence; at once where another image was seen before. */
  focus(isImmediate = false, isWhole = false) {
    this.isWhole = isWhole || !this.question.focus;
    byId("whole-button").disabled = !this.question.focus;
    this.nameWhole();
    if (this.isWhole) return this.whole(isImmediate);
    const image = this.panes[0].image;
    const { x, y, side } = focusSquare(this.question);
    if (image) this.viewport.fitBounds(image.imageToViewportRectangle(x, y, side, side), isImmediate);
  }

  /** Return what is seen, in pixels of the tile. */
  seen() {
    return this.panes[0].image.viewportToImageRectangle(this.viewport.getBounds());
  }

  /** Show the whole tile. */
  whole(isImmediate = false) {
    this.viewport.goHome(isImmediate);
  }

  /** Change between the evidence and the whole tile. */
  toggleWhole() {
    if (!this.question.focus) return this.whole();
    if (this.isWhole) return this.focus();
    this.isWhole = true;
    this.nameWhole();
    this.whole();
  }

  nameWhole() {
    byId("whole-button").firstElementChild.textContent = this.isWhole && this.question.focus ? "Evidence" : "Whole tile";
  }

  zoom(steps) {
    this.viewport.zoomBy(ZOOM_STEP ** steps).applyConstraints();
  }

  pan(x, y) {
    const bounds = this.viewport.getBounds();
    const by = new window.OpenSeadragon.Point(x * PAN_SHARE * bounds.width, y * PAN_SHARE * bounds.height);
    this.viewport.panBy(by).applyConstraints();
  }

  /** Draw the question's box anew, given in pixels of the tile. */
  drawBox(box) {
    for (const pane of this.panes) pane.drawing.drawBox(box);
  }

  /** Cut the later date at the swipe's place, or show all of it. */
  placeSwipe() {
    const pane = this.panes[0];
    const later = pane.osd.world.getItemAt(1);
    if (!later) return;
    const placing = pane.placing();
    const handle = byId("swipe");
    const at = this.swipeAt * pane.element.clientWidth;
    handle.style.transform = `translateX(${at}px)`;
    const size = later.getContentSize();
    const left = Math.min(size.x - 1, Math.max(0, (at - placing.x) / placing.scale));
    const clip = later.getClip();
    if (clip && Math.abs(clip.x - left) < 0.01) return;
    later.setClip(new window.OpenSeadragon.Rect(left, 0, size.x - left, size.y));
  }

  watchSwipe() {
    const handle = byId("swipe");
    handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
    handle.addEventListener("pointermove", (event) => {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      const area = byId("panes").getBoundingClientRect();
      this.swipeAt = Math.min(0.98, Math.max(0.02, (event.clientX - area.left) / area.width));
      this.placeSwipe();
      this.panes[0].osd.forceRedraw();
    });
  }

  showScale() {
    const placing = this.panes[0].placing();
    if (placing && this.question) showScale(placing.scale, this.question.gsd);
  }
}

/** Show how long a round number of metres (or pixels) is. */
export function showScale(scale, gsd) {
  const unit = gsd ?? 1;
  const [line, text] = byId("scale").children;
  const most = (110 / scale) * unit;
  const power = 10 ** Math.floor(Math.log10(most));
  const length = [5, 2, 1].find((step) => step * power <= most) * power;
  line.style.width = `${(length / unit) * scale}px`;
  const name = gsd === null ? "px" : length >= 1000 ? "km" : "m";
  const zoom = scale >= 0.1 ? Math.round(scale * 100) : (scale * 100).toFixed(1);
  text.textContent = `${name === "km" ? length / 1000 : +length.toPrecision(3)} ${name} · ${zoom} %`;
}

/** Return the square of the tile that shows the focus with its surroundings, inside the tile where it fits. */
function focusSquare({ focus, width, height }) {
  const [xMin, yMin, xMax, yMax] = focus;
  const extent = Math.max(xMax - xMin, yMax - yMin);
  const side = Math.min(Math.max(MIN_FOCUS_PX, extent * (1 + 2 * FOCUS_MARGIN)), Math.max(width, height));
  const inside = (middle, size) => Math.max(0, Math.min(middle - side / 2, size - side));
  return { x: inside((xMin + xMax) / 2, width), y: inside((yMin + yMax) / 2, height), side };
}

export function tileSource(question, picture) {
  return {
    width: question.width,
    height: question.height,
    tileSize: question.tile.side,
    tileOverlap: question.tile.overlap,
    minLevel: 8,
    getTileUrl: (level, x, y) => `${picture.path ?? `tiles/${picture.key}`}/${level}/${x}_${y}.jpg`,
  };
}
