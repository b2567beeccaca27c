// The geometry of drawn objects: bounds, what lies under a point, handles, and how dragging a handle changes the points.

export const FORMS = ["box", "oriented_box", "polygon", "circle", "point", "line"];
const DECIMALS = 1000; // of a pixel; the server keeps as many

const distance = ([ax, ay], [bx, by]) => Math.hypot(ax - bx, ay - by);
export const rounded = (value) => Math.round(value * DECIMALS) / DECIMALS;

/** Return the corners of what is seen, closed or not; a circle has none. */
export function outline({ form, points }) {
  if (form !== "box") return points;
  const [[ax, ay], [bx, by]] = points;
  return [[ax, ay], [bx, ay], [bx, by], [ax, by]];
}

/** Return [x_min, y_min, x_max, y_max]. */
export function boundsOf({ form, points }) {
  if (form === "circle") {
    const [x, y] = points[0];
    const r = distance(points[0], points[1]);
    return [x - r, y - r, x + r, y + r];
  }
  let [xMin, yMin, xMax, yMax] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [x, y] of points) {
    if (x < xMin) xMin = x;
    if (x > xMax) xMax = x;
    if (y < yMin) yMin = y;
    if (y > yMax) yMax = y;
  }
  return [xMin, yMin, xMax, yMax];
}

/** Add what is seen to a canvas path, in pixels of the tile; a point is a ring of `radius`. */
export function trace(path, object, radius) {
  const { form, points } = object;
  if (form === "circle" || form === "point") {
    const r = form === "point" ? radius : distance(points[0], points[1]);
    path.moveTo(points[0][0] + r, points[0][1]);
    path.arc(points[0][0], points[0][1], r, 0, 2 * Math.PI);
    return;
  }
  const corners = outline(object);
  path.moveTo(corners[0][0], corners[0][1]);
  for (let i = 1; i < corners.length; i++) path.lineTo(corners[i][0], corners[i][1]);
  if (form !== "line") path.closePath();
}

/** Return whether a point lies on an object, `reach` pixels of the tile beside it included. */
export function isHit(object, at, reach) {
  const { form, points } = object;
  if (form === "point") return distance(points[0], at) <= 2 * reach;
  if (form === "circle") return distance(points[0], at) <= distance(points[0], points[1]) + reach;
  const corners = outline(object);
  if (form !== "line" && isInside(corners, at)) return true;
  const last = form === "line" ? corners.length - 1 : corners.length;
  for (let i = 0; i < last; i++) if (toSegment(at, corners[i], corners[(i + 1) % corners.length]) <= reach) return true;
  return false;
}

function isInside(corners, [x, y]) {
  let inside = false;
  for (let i = 0, j = corners.length - 1; i < corners.length; j = i++) {
    const [ax, ay] = corners[i];
    const [bx, by] = corners[j];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}

function toSegment([x, y], [ax, ay], [bx, by]) {
  const length = (bx - ax) ** 2 + (by - ay) ** 2;
  const t = length ? Math.max(0, Math.min(1, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length)) : 0;
  return Math.hypot(x - ax - t * (bx - ax), y - ay - t * (by - ay));
}

/** Return the places by which an object is changed: { at, index, kind }, kind "corner" or "middle" (adds a corner). */
export function handles(object) {
  const { form, points } = object;
  const corners = (form === "circle" ? [points[1]] : outline(object)).map((at, index) => ({ at, index, kind: "corner" }));
  if (form !== "polygon" && form !== "line") return corners;
  const pairs = form === "line" ? points.length - 1 : points.length;
  const middles = Array.from({ length: pairs }, (_, index) => {
    const [[ax, ay], [bx, by]] = [points[index], points[(index + 1) % points.length]];
    return { at: [(ax + bx) / 2, (ay + by) / 2], index, kind: "middle" };
  });
  return [...corners, ...middles];
}

/** Return the points of an object after a handle was dragged to a place. */
export function reshaped({ form, points }, { index, kind }, at) {
  if (kind === "middle") return [...points.slice(0, index + 1), at, ...points.slice(index + 1)];
  if (form === "circle") return [points[0], at];
  if (form === "box") {
    const fixed = outline({ form, points })[(index + 2) % 4];
    return [fixed, at];
  }
  if (form !== "oriented_box") return points.with(index, at);
  // the opposite corner and the direction stay; the two beside follow
  const fixed = points[(index + 2) % 4];
  const beside = points[(index + 1) % 4];
  const side = distance(fixed, beside) || 1;
  const [ux, uy] = [(beside[0] - fixed[0]) / side, (beside[1] - fixed[1]) / side];
  const along = (at[0] - fixed[0]) * ux + (at[1] - fixed[1]) * uy;
  const moved = [...points];
  moved[index] = at;
  moved[(index + 1) % 4] = [fixed[0] + along * ux, fixed[1] + along * uy];
  moved[(index + 3) % 4] = [at[0] - along * ux, at[1] - along * uy];
  return moved;
}

/** Return the corners of the box of which one edge runs from a to b and the opposite one through c. */
export function orientedBox(a, b, c) {
  const length = distance(a, b) || 1;
  const [nx, ny] = [-(b[1] - a[1]) / length, (b[0] - a[0]) / length];
  const width = (c[0] - b[0]) * nx + (c[1] - b[1]) * ny;
  const [dx, dy] = [nx * width, ny * width];
  return [a, b, [b[0] + dx, b[1] + dy], [a[0] + dx, a[1] + dy]];
}

/** Return points turned about the middle of their bounds, by an angle in radians. */
export function turned(object, angle) {
  const [xMin, yMin, xMax, yMax] = boundsOf(object);
  const [mx, my] = [(xMin + xMax) / 2, (yMin + yMax) / 2];
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return object.points.map(([x, y]) => [mx + (x - mx) * cos - (y - my) * sin, my + (x - mx) * sin + (y - my) * cos]);
}

/** Return how far objects may be moved so that all their points stay on the tile. */
export function allowedShift(objects, [dx, dy], { width, height }) {
  for (const { points } of objects) {
    for (const [x, y] of points) {
      dx = Math.max(-x, Math.min(width - x, dx));
      dy = Math.max(-y, Math.min(height - y, dy));
    }
  }
  return [dx, dy];
}

export const shifted = (points, [dx, dy]) => points.map(([x, y]) => [rounded(x + dx), rounded(y + dy)]);

/** Finds objects by place: a grid over the tile whose cells list the objects whose bounds meet them. */
export class Grid {
  constructor({ width, height }) {
    this.side = Math.max(64, Math.max(width, height) / 48);
    this.columns = Math.ceil(width / this.side) + 1;
    this.cells = new Map();
    this.bounds = new Map();
  }

  *keys([xMin, yMin, xMax, yMax]) {
    const at = (value) => Math.max(0, Math.min(this.columns * 4, Math.floor(value / this.side)));
    for (let row = at(yMin); row <= at(yMax); row++)
      for (let column = at(xMin); column <= at(xMax); column++) yield row * 4096 + column;
  }

  set(id, bounds) {
    this.delete(id);
    this.bounds.set(id, bounds);
    for (const key of this.keys(bounds)) {
      if (!this.cells.has(key)) this.cells.set(key, new Set());
      this.cells.get(key).add(id);
    }
  }

  delete(id) {
    const bounds = this.bounds.get(id);
    if (!bounds) return;
    this.bounds.delete(id);
    for (const key of this.keys(bounds)) this.cells.get(key)?.delete(id);
  }

  /** Return the ids of objects whose bounds meet an area. */
  find(area) {
    const found = new Set();
    for (const key of this.keys(area)) {
      for (const id of this.cells.get(key) ?? []) {
        const [xMin, yMin, xMax, yMax] = this.bounds.get(id);
        if (xMin <= area[2] && xMax >= area[0] && yMin <= area[3] && yMax >= area[1]) found.add(id);
      }
    }
    return found;
  }
}
