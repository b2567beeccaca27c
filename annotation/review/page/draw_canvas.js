// Shows the image as a deep zoom, and draws the objects over it on one canvas: no element per object, so thousands stay fluid.

import { handles, trace } from "./draw_shapes.js";
import { byId } from "./elements.js";
import { OPTIONS, showScale, tileSource } from "./viewer.js";

const PALETTE = ["#ffd21f", "#4cc9f0", "#ff6b6b", "#7ae582", "#c792ea", "#ffa94d", "#f783ac", "#63e6be", "#a5d8ff", "#e9fac8"];
const HALO_MAX = 600; // with more objects in view, halos only blur the picture
const SMALL_PX = 3; // on the screen: what is smaller is a dot
const DOT_PX = 4;

/** The image and the canvas over it. */
export class Canvas {
  constructor() {
    this.element = byId("objects");
    this.context = this.element.getContext("2d");
    this.osd = window.OpenSeadragon({ ...OPTIONS, element: byId("pane"), mouseNavEnabled: false, maxZoomPixelRatio: 24 });
    this.osd.innerTracker.keyHandler = null; // keys belong to the page
    this.osd.innerTracker.keyDownHandler = null;
    this.osd.addHandler("update-viewport", () => this.ask());
    this.osd.addHandler("resize", () => this.ask());
    this.osd.world.addHandler("add-item", ({ item }) =>
      item.addHandler("fully-loaded-change", ({ fullyLoaded }) => (byId("loading").hidden = fullyLoaded)),
    );
    this.highlighted = new Set();
    this.draft = null;
    this.hidden = null; // ids that are being dragged: drawn from the draft
    this.frames = []; // times of the last frames, ms; read by tests/perf
  }

  async open(model) {
    this.model = model;
    const { tile } = model;
    byId("loading").hidden = false;
    const source = tileSource({ width: tile.width, height: tile.height, tile: tile.pyramid }, { key: tile.picture });
    await new Promise((resolve) => {
      this.osd.addOnceHandler("open", resolve);
      this.osd.addOnceHandler("open-failed", resolve);
      this.osd.open({ tileSource: source, x: 0, y: 0, width: 1 });
    });
    this.ask();
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
    const { width, height, ratio } = this.fit();
    const { context } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.element.width, this.element.height);
    if (!placing) return;
    const { x, y, scale } = placing;
    context.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * x, ratio * y);
    context.lineJoin = "round";
    this.drawObjects(scale, [-x / scale, -y / scale, (width - x) / scale, (height - y) / scale]);
    this.drawDraft(scale);
    showScale(scale, this.model.tile.gsd);
  }

  drawObjects(scale, area) {
    const { objects, grid, selection } = this.model;
    const found = grid.find(area);
    const groups = new Map();
    const special = [];
    for (const id of found) {
      if (this.hidden?.has(id)) continue;
      if (selection.has(id) || this.highlighted.has(id)) special.push(id);
      else {
        const { class_name: name } = objects.get(id);
        if (!groups.has(name)) groups.set(name, { outlines: new Path2D(), dots: new Path2D() });
        this.addTo(groups.get(name), id, scale);
      }
    }
    for (const [name, { outlines, dots }] of groups) {
      if (found.size <= HALO_MAX) this.stroke(outlines, "rgb(0 0 0 / .55)", 3.5, scale);
      this.stroke(outlines, this.colour(name), 1.6, scale);
      this.context.fillStyle = this.colour(name);
      this.context.fill(dots);
    }
    for (const id of special) this.drawSpecial(objects.get(id), scale, selection.has(id));
    if (selection.size === 1 && !this.hidden) this.drawHandles(this.model.selected[0], scale);
  }

  addTo({ outlines, dots }, id, scale) {
    const [xMin, yMin, xMax, yMax] = this.model.grid.bounds.get(id);
    const object = this.model.objects.get(id);
    if (object.form !== "point" && Math.max(xMax - xMin, yMax - yMin) * scale >= SMALL_PX) trace(outlines, object, 0);
    else dots.rect((xMin + xMax - DOT_PX / scale) / 2, (yMin + yMax - DOT_PX / scale) / 2, DOT_PX / scale, DOT_PX / scale);
    if (object.form === "point") trace(outlines, object, 5 / scale);
  }

  stroke(path, style, width, scale) {
    this.context.strokeStyle = style;
    this.context.lineWidth = width / scale;
    this.context.stroke(path);
  }

  drawSpecial(object, scale, isSelected) {
    const path = new Path2D();
    trace(path, object, 6 / scale);
    this.context.globalAlpha = 0.22;
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
