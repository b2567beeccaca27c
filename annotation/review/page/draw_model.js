// The objects of the open tile: what is drawn, what is selected, undo, and the way to the server's disk.

import { newRequestId, post, Refused, UNKNOWN_HERE, Unreachable } from "./api.js";
import { boundsOf, Grid, rounded } from "./draw_shapes.js";

const RETRY_MS = 2000;
const RETRY_UNKNOWN_MS = 10_000; // each try counts as a guess of an address, and slows others who come from the same place
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
      banner(isStartedAnew ? `${UNKNOWN_HERE} What is drawn here is kept.` : `${error.message.replace("the", "The")}. What is drawn is kept, and sent when it is back.`);
      await new Promise((resolve) => setTimeout(resolve, isStartedAnew ? RETRY_UNKNOWN_MS : RETRY_MS));
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
    this.sending = null; // the promise that all of it is sent
    this.alone = 0; // how many objects are to be sent each for itself: one of them was refused
    this.last = Promise.resolve(); // of what is done in turn
    this.waiting = 0;
    this.judged = 0; // how many computed questions were judged
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

  /** Say whether the server has all that was done on this tile. */
  get isSaved() {
    return !this.unsent.size && !this.sending && !this.waiting;
  }

  /** Wait until the server has it. */
  async settled() {
    while (!this.isSaved) {
      if (this.unsent.size) this.send();
      await Promise.all([this.sending, this.last]);
    }
  }

  /** Tell one state of what the server computes from another. */
  get stamp() {
    return [this.numbers.size, Math.max(0, ...this.numbers.values()), [...this.complete].join()].join();
  }

  /** Do one thing after the other, so that the last word on a thing is the last one on the server too. */
  inTurn(work) {
    this.waiting += 1;
    const done = this.last.then(work).finally(() => (this.waiting -= 1));
    this.last = done.catch(() => null);
    return done;
  }

  /** Send what is not sent yet. */
  send() {
    this.sending ??= this.sendAll().finally(() => {
      this.sending = null;
      this.events.saved(this.isSaved);
    });
    this.events.saved(this.isSaved);
  }

  /** Send one request after the other. What is refused costs itself: the server's state of it is shown, the rest stays. */
  async sendAll() {
    const refused = new Map();
    const problems = new Set();
    while (this.unsent.size || refused.size) {
      while (this.unsent.size) await this.sendSome(refused);
      if (!refused.size) break;
      for (const found of refused.values()) for (const problem of found) problems.add(problem);
      await this.reread([...refused.keys()]);
      refused.clear();
    }
    if (problems.size) this.events.refused([...problems]);
  }

  async sendSome(refused) {
    const objects = [];
    let points = 0;
    const most = this.alone > 0 ? 1 : MAX_SENT;
    for (const [id, content] of this.unsent) {
      points += content?.points.length ?? 0;
      if (objects.length && (objects.length >= most || points > MAX_SENT_POINTS)) break;
      this.unsent.delete(id);
      objects.push({ object_id: id, before: this.numbers.get(id) ?? 0, content });
    }
    this.alone = Math.max(0, this.alone - 1);
    try {
      const { numbers } = await this.post("draw/change", { request_id: newRequestId(), objects });
      for (const [id, number] of Object.entries(numbers)) this.numbers.set(id, number);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (objects.length === 1) return void refused.set(objects[0].object_id, error.problems);
      const again = objects.filter(({ object_id: id }) => !this.unsent.has(id)).map(({ object_id: id, content }) => [id, content]);
      this.unsent = new Map([...again, ...this.unsent]);
      this.alone = again.length;
    }
  }

  /** Take what the server has for what is here; what was changed meanwhile is still to be sent, but for `refused`. */
  async reread(refused) {
    const found = await this.post("draw/tile").catch((error) => {
      if (!(error instanceof Refused)) throw error;
      return null; // the tile is not his any more
    });
    for (const id of refused) this.unsent.delete(id);
    if (!found) return;
    const fresh = new Map(found.objects.map((thing) => [thing.object_id, thing]));
    for (const id of [...this.objects.keys()]) if (!fresh.has(id) && !this.unsent.has(id)) this.put(id, null);
    for (const [id, { number, content }] of fresh) {
      if (!this.unsent.has(id) && (refused.includes(id) || this.numbers.get(id) !== number)) this.put(id, content);
      this.numbers.set(id, number);
    }
    this.complete = new Set(found.complete);
    this.past = [];
    this.future = [];
    this.events.changed();
  }

  /** Say whether every instance of a class is drawn; without `isComplete`, the other than now. */
  declare(name, isComplete = null) {
    return this.inTurn(async () => {
      const is = isComplete ?? !this.complete.has(name);
      await this.post("draw/change", { request_id: newRequestId(), complete: [{ class_name: name, is_complete: is }] });
      if (is) this.complete.add(name);
      else this.complete.delete(name);
      return is;
    });
  }

  /** Say what becomes of a computed question. */
  judge(questionId, verdict) {
    return this.inTurn(async () => {
      const answer = await this.post("draw/judge", { request_id: newRequestId(), question_id: questionId, verdict });
      this.judged += 1;
      return answer;
    });
  }

  post(path, body = {}) {
    return insist(path, { reviewer: this.reviewer, tile: this.tile.key, ...body }, this.events.banner);
  }
}
