// Shows the image as a deep zoom, and draws the objects over it on one canvas: no element per object.
// All objects are drawn to a layer, a few milliseconds per frame; until it is done, the last one is shown, moved and scaled.
// So thousands of objects stay fluid, whatever the machine.

import { handles, trace } from "./draw_shapes.js";
import { byId, h } from "./elements.js";
import { Around, together } from "./look.js";
import { OPTIONS, showScale, tileSource } from "./viewer.js";

const PALETTE = ["#ffd21f", "#4cc9f0", "#ff6b6b", "#7ae582", "#c792ea", "#ffa94d", "#f783ac", "#63e6be", "#a5d8ff", "#e9fac8"];
const HALO_MAX = 600; // with more objects in view, halos only blur the picture
const LAYER_MS = 250; // between the layers of a view that moves
const SMALL_PX = 3; // on the screen: what is smaller is a dot
const DOT_PX = 4;
const AT_ONCE = 60; // objects per path
const BUDGET_MS = 8; // of a frame for the layer

/** The image and the canvas over it. */
export class Canvas {
  constructor() {
    this.element = byId("objects");
    this.context = this.element.getContext("2d");
    this.osd = window.OpenSeadragon({ ...OPTIONS, element: byId("pane"), mouseNavEnabled: false, maxZoomPixelRatio: 24 });
    this.osd.innerTracker.keyHandler = null; // keys belong to the page
    this.osd.innerTracker.keyDownHandler = null;
    this.around = new Around(byId("pane"), () => this.placing());
    this.osd.addHandler("update-viewport", () => {
      this.ask();
      this.around.place();
    });
    this.osd.addHandler("resize", () => this.ask());
    this.osd.world.addHandler("add-item", ({ item }) =>
      item.addHandler("fully-loaded-change", ({ fullyLoaded }) => (byId("loading").hidden = fullyLoaded)),
    );
    this.highlighted = new Set();
    this.overlays = []; // shapes that are no objects: proposals, and evidence of a question that is written
    this.draft = null;
    this.hidden = null; // ids that are being dragged: drawn from the draft
    this.frames = []; // times of the last frames, ms; read by tests/perf
  }

  async open(model, look = null) {
    this.model = model;
    byId("loading").hidden = false;
    await this.openOn(this.osd, { key: model.tile.picture, path: look?.path });
    await this.see(look);
  }

  openOn(osd, picture) {
    const { width, height, pyramid } = this.model.tile;
    return new Promise((resolve) => {
      osd.addOnceHandler("open", resolve);
      osd.addOnceHandler("open-failed", resolve);
      osd.open({ tileSource: tileSource({ width, height, tile: pyramid }, picture), x: 0, y: 0, width: 1 });
    });
  }

  /** Look at the same place in another way, and at another date beside it. */
  async see(look) {
    const path = look?.path ?? null;
    if (path !== (this.look?.path ?? null) && this.look?.picture === look?.picture) {
      const bounds = this.osd.viewport.getBounds();
      await this.openOn(this.osd, { key: this.model.tile.picture, path });
      this.osd.viewport.fitBounds(bounds, true);
    }
    this.look = look && { path: look.path, picture: look.picture };
    look?.filter(this.osd.drawer.canvas);
    this.around.show(look);
    this.chosen = look?.other ?? null;
    await this.seeOther(this.later ?? this.chosen);
    this.ask();
  }

  /** Show the later date beside the image, or again what was chosen to be beside it. */
  async showLater(later) {
    this.later = later;
    await this.seeOther(later ?? this.chosen ?? null);
  }

  async seeOther(other) {
    if ((other?.path ?? null) === (this.other?.path ?? null)) return;
    this.other = other;
    const bounds = this.osd.viewport.getBounds();
    byId("other-pane").hidden = !other;
    byId("panes").classList.toggle("side", Boolean(other));
    byId("other-date").textContent = other?.date ?? "";
    await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))); // laid out anew
    if (other) {
      this.beside ??= this.makeBeside();
      await this.openOn(this.beside, other);
      this.circleBeside(this.circle);
    }
    this.osd.viewport.fitBounds(bounds, true);
  }

  /** Show the circle of a question, centre and radius, on the image beside this one too; null for none. */
  circleBeside(circle) {
    this.circle = circle;
    if (!this.beside || !this.other) return;
    this.beside.clearOverlays();
    if (!circle) return;
    const [x, y, radius] = circle.map((value) => value / this.model.tile.width);
    this.beside.addOverlay({ element: h("i", { class: "circle" }), location: new window.OpenSeadragon.Rect(x - radius, y - radius, 2 * radius, 2 * radius) });
  }

  makeBeside() {
    const beside = window.OpenSeadragon({ ...OPTIONS, element: byId("other-pane"), maxZoomPixelRatio: 24 });
    beside.innerTracker.keyHandler = null;
    beside.innerTracker.keyDownHandler = null;
    const { lead } = together(this.osd, beside, () => !byId("other-pane").hidden);
    for (const event of ["pointerenter", "pointerdown", "wheel"]) this.element.addEventListener(event, lead);
    return beside;
  }

  /** Return where the image is: its upper left corner on the pane and how many CSS pixels one of its pixels takes. */
  placing() {
    const image = this.osd.world.getItemAt(0);
    if (!image || !this.model) return null;
    const origin = this.osd.viewport.pixelFromPoint(new window.OpenSeadragon.Point(0, 0), true);
    const right = this.osd.viewport.pixelFromPoint(new window.OpenSeadragon.Point(1, 0), true);
    return { x: origin.x, y: origin.y, scale: (right.x - origin.x) / this.model.tile.width };
  }

  /** Return the place on the tile under a pointer event, or null. */
  at(event) {
    const placing = this.placing();
    if (!placing) return null;
    const pane = this.element.getBoundingClientRect();
    return [(event.clientX - pane.left - placing.x) / placing.scale, (event.clientY - pane.top - placing.y) / placing.scale];
  }

  zoomBy(factor, event) {
    const { viewport } = this.osd;
    const pane = this.element.getBoundingClientRect();
    const at = event && viewport.pointFromPixel(new window.OpenSeadragon.Point(event.clientX - pane.left, event.clientY - pane.top), true);
    viewport.zoomBy(factor, at).applyConstraints();
  }

  panBy(dx, dy, isImmediate = false) {
    const { viewport } = this.osd;
    viewport.panBy(viewport.deltaPointsFromPixels(new window.OpenSeadragon.Point(dx, dy), true), isImmediate);
    viewport.applyConstraints(isImmediate);
  }

  /** Show an area of the tile, [x_min, y_min, x_max, y_max], with its surroundings. */
  show([xMin, yMin, xMax, yMax]) {
    const image = this.osd.world.getItemAt(0);
    const side = Math.max(200, 2 * Math.max(xMax - xMin, yMax - yMin));
    const [left, top] = [(xMin + xMax - side) / 2, (yMin + yMax - side) / 2];
    if (image) this.osd.viewport.fitBounds(image.imageToViewportRectangle(left, top, side, side));
  }

  whole() {
    this.osd.viewport?.goHome();
  }

  colour(name) {
    this.colours ??= new Map();
    if (!this.colours.has(name)) {
      const place = this.model.tile.classes.findIndex((known) => known.name === name);
      this.colours.set(name, PALETTE[Math.max(0, place) % PALETTE.length]);
    }
    return this.colours.get(name);
  }

  /** Draw with the next frame. */
  ask() {
    this.asked ??= requestAnimationFrame(() => {
      this.asked = null;
      const start = performance.now();
      this.draw();
      this.frames.push(performance.now() - start);
      if (this.frames.length > 600) this.frames.splice(0, 300);
    });
  }

  fit() {
    const { clientWidth: width, clientHeight: height } = this.element;
    const ratio = window.devicePixelRatio || 1;
    if (this.element.width !== Math.round(width * ratio) || this.element.height !== Math.round(height * ratio)) {
      this.element.width = Math.round(width * ratio);
      this.element.height = Math.round(height * ratio);
    }
    return { width, height, ratio };
  }

  draw() {
    const placing = this.placing();
    const size = this.fit();
    const { context } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.element.width, this.element.height);
    if (!placing) return;
    this.prepare(placing, size);
    if (this.layer) this.lay(placing, size.ratio);
    const { x, y, scale } = placing;
    context.setTransform(size.ratio * scale, 0, 0, size.ratio * scale, size.ratio * x, size.ratio * y);
    this.drawTop(scale);
    this.drawOverlays(scale);
    this.drawDraft(scale);
    if (scale !== this.shownScale) showScale(scale, this.model.tile.gsd);
    this.shownScale = scale;
  }

  /** Go on drawing a layer of all objects, a few milliseconds of it; the last whole one is shown until it is done. */
  prepare(placing, size) {
    const { model } = this;
    const isOf = (layer) => layer?.model === model && layer.version === model.version && ["x", "y", "scale"].every((name) => layer.placing[name] === placing[name]) && layer.width === size.width && layer.height === size.height;
    if (this.layer?.model !== model) this.layer = null;
    if (this.next?.model !== model) this.next = null;
    const isMoving = ["x", "y", "scale"].some((name) => this.lastPlacing?.[name] !== placing[name]);
    this.lastPlacing = placing;
    if (!this.next && isOf(this.layer)) return;
    // a layer of a view that is gone with the next frame is work for nothing, while the last one still shows what is there
    if (!this.next && isMoving && this.layer && performance.now() - this.layer.begunAt < LAYER_MS) return this.ask();
    this.next ??= this.begun(placing, size);
    const end = performance.now() + BUDGET_MS;
    while (!this.next.work.next().done) if (performance.now() > end) return this.ask();
    this.layer = this.next;
    this.next = null;
    for (const [id, version] of model.touched) if (version <= this.layer.version) model.touched.delete(id);
    if (!isOf(this.layer)) this.ask();
  }

  begun(placing, { width, height, ratio }) {
    const canvas = document.createElement("canvas");
    canvas.width = this.element.width;
    canvas.height = this.element.height;
    const { x, y, scale } = placing;
    const context = canvas.getContext("2d", { willReadFrequently: true }); // see `work`
    context.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * x, ratio * y);
    const area = [-x / scale, -y / scale, (width - x) / scale, (height - y) / scale];
    return { model: this.model, version: this.model.version, placing, width, height, canvas, begunAt: performance.now(), work: this.work(context, area, scale) };
  }

  /**
   * Draw all objects of an area, class by class: a step after each few, for one long path takes far more time.
   *
   * A browser may only note down what is to be drawn and draw all of it when the layer is first shown, in one long frame.
   * Reading a pixel makes it draw now.
   */
  *work(context, area, scale) {
    const { objects, grid } = this.model;
    const found = grid.find(area);
    const byClass = new Map();
    for (const id of found) {
      const object = objects.get(id);
      if (!byClass.has(object.class_name)) byClass.set(object.class_name, []);
      byClass.get(object.class_name).push([object, grid.bounds.get(id)]);
    }
    yield;
    for (const [name, own] of byClass) {
      for (let start = 0; start < own.length; start += AT_ONCE) {
        const outlines = new Path2D();
        const dots = new Path2D();
        for (const [object, bounds] of own.slice(start, start + AT_ONCE)) addTo(outlines, dots, object, bounds, scale);
        if (found.size <= HALO_MAX) this.stroke(outlines, "rgb(0 0 0 / .55)", 3.5, scale, context);
        this.stroke(outlines, this.colour(name), 1.6, scale, context);
        context.fillStyle = this.colour(name);
        context.fill(dots);
        context.getImageData(0, 0, 1, 1);
        yield;
      }
    }
  }

  /** Show the layer where its objects are now. */
  lay(placing, ratio) {
    const { canvas, placing: then } = this.layer;
    const k = placing.scale / then.scale;
    this.context.drawImage(canvas, ratio * (placing.x - k * then.x), ratio * (placing.y - k * then.y), k * canvas.width, k * canvas.height);
  }

  /** Draw what is selected or pointed out, and what has changed since the layer was drawn. */
  drawTop(scale) {
    const { objects, selection, touched } = this.model;
    const isShown = (id) => objects.has(id) && !this.hidden?.has(id);
    if (touched.size <= HALO_MAX)
      for (const id of touched.keys()) if (isShown(id) && !selection.has(id)) this.drawSpecial(objects.get(id), scale, false, 0);
    for (const id of this.highlighted) if (isShown(id) && !selection.has(id)) this.drawSpecial(objects.get(id), scale, false);
    for (const id of selection) if (isShown(id)) this.drawSpecial(objects.get(id), scale, true);
    if (selection.size === 1 && !this.hidden) this.drawHandles(this.model.selected[0], scale);
  }

  stroke(path, style, width, scale, context = this.context) {
    context.strokeStyle = style;
    context.lineWidth = width / scale;
    context.stroke(path);
  }

  drawSpecial(object, scale, isSelected, fill = 0.22) {
    const path = new Path2D();
    trace(path, object, 6 / scale);
    this.context.globalAlpha = fill;
    this.context.fillStyle = this.colour(object.class_name);
    if (object.form !== "line") this.context.fill(path);
    this.context.globalAlpha = 1;
    this.stroke(path, "rgb(0 0 0 / .7)", 5, scale);
    this.stroke(path, isSelected ? "#fff" : this.colour(object.class_name), 2.5, scale);
  }

  drawHandles(object, scale) {
    const { context } = this;
    for (const { at, kind } of handles(object)) {
      const side = (kind === "corner" ? 8 : 5) / scale;
      context.fillStyle = kind === "corner" ? "#fff" : "rgb(255 255 255 / .65)";
      context.strokeStyle = "#111";
      context.lineWidth = 1.4 / scale;
      context.fillRect(at[0] - side / 2, at[1] - side / 2, side, side);
      context.strokeRect(at[0] - side / 2, at[1] - side / 2, side, side);
    }
  }

  /** Draw shapes with a colour of their own, dashed ones among them; what is pointed out has a stronger line. */
  drawOverlays(scale) {
    for (const shape of this.overlays) {
      const path = new Path2D();
      trace(path, shape, 6 / scale);
      if (shape.isDashed) this.context.setLineDash([8 / scale, 6 / scale]);
      this.stroke(path, "rgb(0 0 0 / .7)", shape.isStrong ? 6 : 4.5, scale);
      this.stroke(path, shape.colour, shape.isStrong ? 3.5 : 2, scale);
      this.context.setLineDash([]);
    }
  }

  /** Draw what is being drawn or dragged: a list of objects, and the points that are set already. */
  drawDraft(scale) {
    for (const object of this.draft?.objects ?? []) {
      const path = new Path2D();
      trace(path, object, 6 / scale);
      this.stroke(path, "rgb(0 0 0 / .7)", 5, scale);
      this.stroke(path, object.class_name ? this.colour(object.class_name) : "#fff", 2, scale);
    }
    for (const [x, y] of this.draft?.points ?? []) {
      this.context.fillStyle = "#fff";
      this.context.beginPath();
      this.context.arc(x, y, 4 / scale, 0, 2 * Math.PI);
      this.context.fill();
      this.context.strokeStyle = "#111";
      this.context.lineWidth = 1.4 / scale;
      this.context.stroke();
    }
  }
}

function addTo(outlines, dots, object, [xMin, yMin, xMax, yMax], scale) {
  if (object.form === "point") trace(outlines, object, 5 / scale);
  else if (Math.max(xMax - xMin, yMax - yMin) * scale >= SMALL_PX) return trace(outlines, object, 0);
  dots.rect((xMin + xMax - DOT_PX / scale) / 2, (yMin + yMax - DOT_PX / scale) / 2, DOT_PX / scale, DOT_PX / scale);
}
