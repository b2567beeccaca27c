// The objects of the open tile: what is drawn, what is selected, undo, and the way to the server's disk.

import { newRequestId, post, Refused, Unreachable } from "./api.js";
import { boundsOf, Grid, rounded } from "./draw_shapes.js";

const RETRY_MS = 2000;
const MAX_SENT = 100; // objects per request
const MAX_SENT_POINTS = 4000; // per request: far below what the server takes

/** Ask until the server answers. */
export async function insist(path, body, banner) {
  for (;;) {
    try {
      const answer = await post(path, body);
      banner("");
      return answer;
    } catch (error) {
      const isStartedAnew = error.isWordless; // it knows this address no more: nothing was said about what is drawn
      if (!(error instanceof Unreachable || isStartedAnew)) throw error;
      banner(isStartedAnew ? "The server was started anew: open the address that it printed. What is drawn here is kept." : "The server does not answer. What is drawn is kept, and sent when it is back.");
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

/** What is drawn on one tile. */
export class Model {
  /** `events` has changed(), saved(isSaved), refused(problems) and banner(text). */
  constructor(tile, reviewer, events) {
    this.tile = tile;
    this.reviewer = reviewer;
    this.events = events;
    this.version = 0; // of what is drawn; a canvas that shows this one need not be drawn anew
    this.touched = new Map(); // by id, the version in which an object last changed, until the canvas has it in its layer
    this.objects = new Map(); // by id, contents
    this.numbers = new Map(); // by id, the version that the server has
    this.grid = new Grid(tile);
    this.selection = new Set();
    this.complete = new Set(tile.complete);
    this.past = [];
    this.future = [];
    this.unsent = new Map();
    for (const { object_id: id, number, content } of tile.objects) {
      this.put(id, content);
      this.numbers.set(id, number);
    }
    this.touched.clear();
  }

  put(id, content) {
    this.touched.set(id, ++this.version);
    if (content) {
      this.objects.set(id, content);
      this.grid.set(id, boundsOf(content));
    } else {
      this.objects.delete(id);
      this.grid.delete(id);
      this.selection.delete(id);
    }
  }

  get selected() {
    return [...this.selection].map((id) => this.objects.get(id));
  }

  select(ids) {
    this.selection = new Set([...ids].filter((id) => this.objects.has(id)));
    this.events.changed();
  }

  /** Add objects and select them; returns their ids. */
  add(contents) {
    const ids = contents.map(() => newRequestId());
    this.change(new Map(ids.map((id, index) => [id, contents[index]])));
    this.select(ids);
    return ids;
  }

  /** Change objects, given by id; null takes one away. One step of undo. */
  change(contents) {
    const before = new Map([...contents.keys()].map((id) => [id, this.objects.get(id) ?? null]));
    this.past.push(before);
    this.future = [];
    this.apply(contents);
  }

  apply(contents) {
    for (const [id, content] of contents) {
      this.put(id, content && { ...content, points: content.points.map(([x, y]) => [rounded(x), rounded(y)]) });
      this.unsent.set(id, this.objects.get(id) ?? null);
    }
    this.events.changed();
    this.send();
  }

  undo() {
    this.goBack(this.past, this.future);
  }

  redo() {
    this.goBack(this.future, this.past);
  }

  goBack(from, to) {
    const contents = from.pop();
    if (!contents) return;
    to.push(new Map([...contents.keys()].map((id) => [id, this.objects.get(id) ?? null])));
    this.apply(contents);
  }

  get isSaved() {
    return !this.unsent.size && !this.isSending;
  }

  /** Send what is not sent yet, one request after the other; what was refused is undone by opening the tile anew. */
  async send() {
    this.events.saved(this.isSaved);
    if (this.isSending) return;
    this.isSending = true;
    try {
      while (this.unsent.size) await this.sendSome();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.unsent.clear();
      this.isSending = false;
      return this.events.refused(error.problems);
    } finally {
      this.isSending = false;
    }
    this.events.saved(true);
  }

  async sendSome() {
    const objects = [];
    let points = 0;
    for (const [id, content] of this.unsent) {
      points += content?.points.length ?? 0;
      if (objects.length && (objects.length >= MAX_SENT || points > MAX_SENT_POINTS)) break;
      this.unsent.delete(id);
      objects.push({ object_id: id, before: this.numbers.get(id) ?? 0, content });
    }
    const { numbers } = await this.post("draw/change", { request_id: newRequestId(), objects });
    for (const [id, number] of Object.entries(numbers)) this.numbers.set(id, number);
  }

  /** Say that every instance of a class is drawn, or take that back. */
  async declare(name, isComplete) {
    const complete = [{ class_name: name, is_complete: isComplete }];
    await this.post("draw/change", { request_id: newRequestId(), complete });
    if (isComplete) this.complete.add(name);
    else this.complete.delete(name);
    this.events.changed();
  }

  post(path, body = {}) {
    return insist(path, { reviewer: this.reviewer, tile: this.tile.key, ...body }, this.events.banner);
  }
}
