// What the pointer does: draw each form, select, move and reshape objects, and pan and zoom the image.

import { allowedShift, boundsOf, handles, isHit, orientedBox, reshaped, shifted } from "./draw_shapes.js";

const REACH_PX = 6; // on the screen
const CLICK_PX = 4; // a pointer that moves less has clicked
const WHEEL_STEP = 1.0016;
const MIN_SIDE = 1; // pixels of the tile

export const TOOLS = [
  { name: "select", key: "v", title: "Select", hint: "Click an object, drag it or its handles; drag beside objects to move the image, with Shift to select several" },
  { name: "box", key: "b", title: "Box", hint: "Drag from corner to corner" },
  { name: "oriented_box", key: "r", title: "Oriented box", hint: "Click both ends of one side, then the opposite side" },
  { name: "polygon", key: "p", title: "Polygon", hint: "Click the corners; Enter, or the first corner again, closes it; Backspace takes the last one back" },
  { name: "circle", key: "c", title: "Circle", hint: "Drag from the centre to the rim" },
  { name: "point", key: "d", title: "Point", hint: "Click the object" },
  { name: "line", key: "l", title: "Line", hint: "Click along the line; Enter ends it, Backspace takes the last point back" },
];

/** Turns pointer events over the canvas into changes of the model. */
export class Tools {
  /** `page` has model, className, isSnapping, isAllowed(form), add(object) and pickProposal(at, reach). */
  constructor(canvas, page) {
    this.canvas = canvas;
    this.page = page;
    this.tool = "select";
    this.points = []; // of what is being drawn
    const { element } = canvas;
    element.addEventListener("pointerdown", (event) => this.down(event));
    element.addEventListener("pointermove", (event) => this.move(event));
    element.addEventListener("pointerup", (event) => this.up(event));
    element.addEventListener("pointercancel", () => this.cancel());
    element.addEventListener("dblclick", () => this.finish());
    element.addEventListener("contextmenu", (event) => event.preventDefault());
    element.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        canvas.zoomBy(WHEEL_STEP ** -(event.deltaY * (event.deltaMode ? 30 : 1)), event);
      },
      { passive: false },
    );
  }

  choose(tool) {
    this.cancel();
    this.tool = tool;
    this.canvas.element.dataset.tool = tool;
  }

  /** Forget what is half drawn; false when there is nothing. */
  cancel() {
    const had = this.points.length > 0 || Boolean(this.drag);
    this.points = [];
    this.drag = null;
    this.canvas.hidden = null;
    this.canvas.draft = null;
    this.canvas.ask();
    return had;
  }

  /** Return a place inside the tile, on whole pixels where the page snaps. */
  place(event) {
    const at = this.canvas.at(event);
    const { width, height } = this.page.model.tile;
    const inside = [Math.max(0, Math.min(width, at[0])), Math.max(0, Math.min(height, at[1]))];
    return this.page.isSnapping ? inside.map(Math.round) : inside;
  }

  reach() {
    return REACH_PX / this.canvas.placing().scale;
  }

  hit(at) {
    const { model } = this.page;
    const reach = this.reach();
    const [x, y] = at;
    const found = [...model.grid.find([x - 2 * reach, y - 2 * reach, x + 2 * reach, y + 2 * reach])].filter((id) => isHit(model.objects.get(id), at, reach));
    // of several, the smallest: it may lie inside another
    const area = (id) => ((b) => (b[2] - b[0]) * (b[3] - b[1]))(model.grid.bounds.get(id));
    return found.sort((one, other) => area(one) - area(other))[0] ?? null;
  }

  hitHandle(at) {
    const { model } = this.page;
    if (model.selection.size !== 1) return null;
    const reach = 1.5 * this.reach();
    return handles(model.selected[0]).find((handle) => Math.hypot(handle.at[0] - at[0], handle.at[1] - at[1]) <= reach) ?? null;
  }

  down(event) {
    if (!this.page.model || !this.canvas.placing()) return;
    document.activeElement?.blur();
    this.canvas.element.setPointerCapture(event.pointerId);
    this.start = [event.clientX, event.clientY];
    this.last = this.start;
    if (event.button !== 0 || this.page.isPanning) this.drag = { kind: "pan" };
    else if (this.tool === "select") this.drag = this.grab(event);
    else if (!this.page.isAllowed(this.tool)) this.drag = { kind: "pan" };
    else if (this.tool === "box" || this.tool === "circle") this.drag = { kind: "draw", from: this.place(event) };
    else this.drag = { kind: "click" };
  }

  /** Return what a press with the selecting tool begins. */
  grab(event) {
    const { model } = this.page;
    const at = this.canvas.at(event);
    const handle = this.hitHandle(at);
    if (handle) return { kind: "reshape", handle, id: [...model.selection][0] };
    const id = this.hit(at);
    if (!id) this.page.pickProposal(at, this.reach());
    if (!id) return event.shiftKey ? { kind: "several", from: at } : { kind: "pan", clears: true };
    if (event.shiftKey) model.select(model.selection.has(id) ? [...model.selection].filter((other) => other !== id) : [...model.selection, id]);
    else if (!model.selection.has(id)) model.select([id]);
    return { kind: "shift", from: at };
  }

  get hasMoved() {
    return Math.hypot(this.last[0] - this.start[0], this.last[1] - this.start[1]) > CLICK_PX;
  }

  move(event) {
    if (!this.page.model || !this.canvas.placing()) return;
    this.page.pointer = event;
    if (!this.drag) return this.hover(event);
    const [x, y] = this.last;
    this.last = [event.clientX, event.clientY];
    const { kind, from } = this.drag;
    if (kind === "pan") this.canvas.panBy(x - event.clientX, y - event.clientY, true);
    else if (kind === "draw") this.showDraft([this.drawn([from, this.place(event)])], []);
    else if (kind === "several") this.showDraft([{ form: "box", points: [from, this.canvas.at(event)] }], []);
    else if (kind === "shift" && this.hasMoved) this.showShift(event);
    else if (kind === "reshape") this.showReshape(event);
  }

  hover(event) {
    if (this.points.length) this.showPoints(this.place(event));
    else if (this.tool === "select") {
      const at = this.canvas.at(event);
      this.canvas.element.style.cursor = this.hitHandle(at) ? "crosshair" : this.hit(at) ? "move" : "grab";
    } else this.canvas.element.style.cursor = "crosshair";
  }

  showDraft(objects, points) {
    this.canvas.draft = { objects, points };
    this.canvas.ask();
  }

  /** Show what is half drawn, as if the next point were here. */
  showPoints(next) {
    const points = [...this.points, next];
    if (this.tool === "oriented_box" && points.length === 3) this.showDraft([this.drawn(orientedBox(...points))], this.points);
    else this.showDraft([{ form: this.tool === "polygon" && points.length > 2 ? "polygon" : "line", points, class_name: this.page.className }], this.points);
  }

  showShift(event) {
    const { model } = this.page;
    const at = this.canvas.at(event);
    let by = [at[0] - this.drag.from[0], at[1] - this.drag.from[1]];
    if (this.page.isSnapping) by = by.map(Math.round);
    by = allowedShift(model.selected, by, model.tile);
    this.drag.contents = new Map([...model.selection].map((id) => [id, { ...model.objects.get(id), points: shifted(model.objects.get(id).points, by) }]));
    this.showContents();
  }

  showReshape(event) {
    const { id, handle } = this.drag;
    const object = this.page.model.objects.get(id);
    const points = reshaped(object, handle, this.place(event));
    this.drag.contents = new Map([[id, { ...object, points }]]);
    this.showContents();
  }

  showContents() {
    this.canvas.hidden = new Set(this.drag.contents.keys());
    this.showDraft([...this.drag.contents.values()], []);
  }

  up(event) {
    const { drag } = this;
    if (!drag) return;
    this.drag = null;
    this.canvas.hidden = null;
    this.canvas.draft = null;
    this.last = [event.clientX, event.clientY];
    const { model } = this.page;
    if (drag.contents) model.change(drag.contents);
    else if (drag.kind === "pan" && drag.clears && !this.hasMoved) model.select([]);
    else if (drag.kind === "several") this.selectWithin([drag.from, this.canvas.at(event)]);
    else if (drag.kind === "draw") this.end([drag.from, this.place(event)]);
    else if (drag.kind === "click" && !this.hasMoved) this.addPoint(this.place(event));
    this.canvas.ask();
  }

  selectWithin(points) {
    const { model } = this.page;
    const [xMin, yMin, xMax, yMax] = boundsOf({ form: "box", points });
    const inside = [...model.grid.find([xMin, yMin, xMax, yMax])].filter((id) => {
      const bounds = model.grid.bounds.get(id);
      return bounds[0] >= xMin && bounds[1] >= yMin && bounds[2] <= xMax && bounds[3] <= yMax;
    });
    model.select([...model.selection, ...inside]);
  }

  addPoint(at) {
    if (this.tool === "point") return this.end([at]);
    const [first] = this.points;
    if (this.tool === "polygon" && this.points.length >= 3 && Math.hypot(first[0] - at[0], first[1] - at[1]) <= 1.5 * this.reach()) return this.finish();
    this.points.push(at);
    if (this.tool === "oriented_box" && this.points.length === 3) return this.end(orientedBox(...this.points));
    this.showPoints(at);
  }

  /** End a polygon or a line; false when none is being drawn. */
  finish() {
    if (!this.points.length) return false;
    // a double click has set its place twice
    const points = this.points.filter((point, index) => !index || Math.hypot(point[0] - this.points[index - 1][0], point[1] - this.points[index - 1][1]) >= MIN_SIDE);
    if (this.tool === "polygon" && points.length >= 3) this.end(points);
    else if (this.tool === "line" && points.length >= 2) this.end(points);
    return true;
  }

  /** Take the last point back; false when none is set. */
  takeBack() {
    if (!this.points.length) return false;
    this.points.pop();
    if (this.points.length) this.showPoints(this.points.at(-1));
    else this.cancel();
    return true;
  }

  drawn(points) {
    return { class_name: this.page.className, form: this.tool, points, attributes: { ...this.page.attributes }, is_certain: true };
  }

  end(points) {
    const object = this.drawn(points);
    this.cancel();
    const [xMin, yMin, xMax, yMax] = boundsOf(object);
    const isTooSmall = object.form !== "point" && Math.max(xMax - xMin, yMax - yMin) < MIN_SIDE;
    const isFlat = ["box", "oriented_box"].includes(object.form) && (xMax - xMin < MIN_SIDE || yMax - yMin < MIN_SIDE);
    if (!isTooSmall && !isFlat) this.page.add(object);
  }
}
