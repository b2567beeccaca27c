// What is drawn over an image: outlines of the evidence, its circle, and the question's box with handles to drag.

import { svg } from "./elements.js";

// place of each handle on the box, and which of its sides (x_min, y_min, x_max, y_max) it moves
const HANDLES = [
  [0, 0, "nwse", [0, 1]],
  [0.5, 0, "ns", [1]],
  [1, 0, "nesw", [2, 1]],
  [1, 0.5, "ew", [2]],
  [1, 1, "nwse", [2, 3]],
  [0.5, 1, "ns", [3]],
  [0, 1, "nesw", [0, 3]],
  [0, 0.5, "ew", [0]],
  [0.5, 0.5, "move", [0, 1, 2, 3]],
];
const MIN_SIDE = 2; // pixels of the tile

/** The drawing over one pane. */
export class Drawing {
  constructor(parent, placing, onBox) {
    this.placing = placing;
    this.onBox = onBox;
    this.lines = svg("g", { class: "lines" });
    this.region = svg("g", { class: "regions" });
    this.boxes = svg("g", { class: "boxes" });
    this.scaled = svg("g", {}, this.lines, this.region, this.boxes);
    this.number = svg("text", { class: "number" });
    this.handles = svg("g", { class: "handles" });
    this.root = svg("svg", { class: "drawing" }, this.scaled, this.number, this.handles);
    parent.append(this.root);
    HANDLES.forEach(([, , cursor, sides]) => this.addHandle(cursor, sides));
  }

  /** Draw what belongs to a question. */
  show(question, answers = []) {
    this.question = question;
    const paths = question.lines.map(({ points, is_closed: isClosed }) => pathOf(points, isClosed));
    this.lines.replaceChildren(
      ...paths.map((d) => svg("path", { class: "halo", d })),
      ...paths.map((d) => svg("path", { class: "trace", d })),
      ...answers.flatMap(({ box, kind }) => ["halo", kind].map((name) => svg("path", { class: name, d: outlineOf(box) }))),
    );
    const circle = question.region;
    const at = circle && { cx: circle.x, cy: circle.y, r: circle.radius };
    this.region.replaceChildren(...(circle ? ["halo", "region"].map((name) => svg("circle", { class: name, ...at })) : []));
    this.number.textContent = circle ? `circle ${circle.number}` : "";
    this.box = null;
    this.place();
  }

  /** Draw the box, in pixels of the tile; null for none. */
  drawBox(box) {
    this.box = box;
    const at = box && { x: box[0], y: box[1], width: box[2] - box[0], height: box[3] - box[1] };
    this.boxes.replaceChildren(...(box ? ["halo", "box"].map((name) => svg("rect", { class: name, ...at })) : []));
    this.place();
  }

  /** Follow the image; what has a fixed size on the screen is placed one by one. */
  place() {
    const placing = this.placing();
    if (!placing) return;
    const { x, y, scale } = placing;
    this.scaled.setAttribute("transform", `translate(${x} ${y}) scale(${scale})`);
    this.handles.classList.toggle("none", !this.box);
    if (this.question?.region) {
      const { x: cx, y: cy, radius } = this.question.region;
      this.number.setAttribute("x", x + scale * cx);
      this.number.setAttribute("y", y + scale * (cy + radius) + 20);
    }
    if (!this.box) return;
    const [xMin, yMin, xMax, yMax] = this.box;
    HANDLES.forEach(([right, down], index) => {
      const left = x + scale * (xMin + right * (xMax - xMin));
      const top = y + scale * (yMin + down * (yMax - yMin));
      this.handles.children[index].setAttribute("transform", `translate(${left} ${top})`);
    });
  }

  addHandle(cursor, sides) {
    const isMove = cursor === "move";
    const mark = isMove ? svg("circle", { r: 4 }) : svg("rect", { x: -4, y: -4, width: 8, height: 8 });
    const handle = svg("g", { class: `handle ${cursor}` }, svg("circle", { class: "reach", r: 11 }), mark);
    handle.addEventListener("pointerdown", (event) => this.begin(event, handle, sides));
    this.handles.append(handle);
  }

  begin(event, handle, sides) {
    event.preventDefault();
    event.stopPropagation();
    handle.setPointerCapture(event.pointerId);
    const { scale } = this.placing();
    const [startX, startY, before, { question }] = [event.clientX, event.clientY, [...this.box], this];
    const moved = (now) => {
      if (this.question !== question) return; // another one has come under the pointer
      const by = [(now.clientX - startX) / scale, (now.clientY - startY) / scale];
      this.onBox(shifted(before, sides, by, this.question), false);
    };
    const done = () => {
      handle.removeEventListener("pointermove", moved);
      if (this.question === question && this.box.some((value, index) => value !== before[index])) this.onBox(this.box, true);
    };
    handle.addEventListener("pointermove", moved);
    handle.addEventListener("pointerup", done, { once: true });
    handle.addEventListener("pointercancel", done, { once: true });
  }
}

/** Return a box with some of its sides moved, inside the tile; all four move together or stay. */
export function shifted(box, sides, [x, y], { width, height }) {
  const moved = [...box];
  if (sides.length === 4) {
    const dx = Math.min(width - box[2], Math.max(-box[0], x));
    const dy = Math.min(height - box[3], Math.max(-box[1], y));
    return [box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy];
  }
  for (const side of sides) {
    const by = side % 2 ? y : x;
    const [low, high] = side < 2 ? [0, box[side + 2] - MIN_SIDE] : [box[side - 2] + MIN_SIDE, side === 2 ? width : height];
    moved[side] = Math.min(high, Math.max(low, box[side] + by));
  }
  return moved;
}

function outlineOf([xMin, yMin, xMax, yMax]) {
  return `M${xMin} ${yMin}H${xMax}V${yMax}H${xMin}Z`;
}

function pathOf(points, isClosed) {
  const [first, ...rest] = points;
  const tail = rest.length ? rest : [first]; // a point becomes a dot: round ends of a line without length
  return `M${first.join(" ")}${tail.map((point) => `L${point.join(" ")}`).join("")}${isClosed ? "Z" : ""}`;
}
