// Answering before the key is seen, and what people and models answered beside the key afterwards.

import { h } from "./elements.js";

/** Return what is said above a question that is to be answered first. */
export function blindHint(question) {
  const how = {
    several_of: "Choose all that apply, then answer.",
    text: "Write your answer, then answer.",
    box: "Put a box where the object is (B), drag its sides, then answer.",
  };
  return h("p", { class: "blind" }, h("b", {}, "Your answer first. "), how[question.form] ?? "Choose an option, then answer.", " The key comes after it.");
}

/** Return what an answer still lacks; null when it can be sent. */
export function missing({ form }, { options, answer, bbox }) {
  if (form === "box") return bbox ? null : "draw a box first";
  if (options.length) return answer ? null : "choose an option first";
  return answer.trim() ? null : "write an answer first";
}

/** Return the person's own answer beside the key; nothing where none was given. */
export function ownAnswerPanel(own, question) {
  if (!own) return null;
  const told = own.bbox ? "Your box is drawn dashed." : `You answered ${own.answer}.`;
  const verdict = own.is_key === null ? "Compare it with the key." : own.is_key ? "It is the key." : `The key is ${question.content.answer}.`;
  return h("p", { class: own.is_key === false ? "own differs" : "own" }, h("b", {}, told), ` ${verdict}`);
}

/** Return the marks beside an option: who chose it. */
export function optionMarks(letter, own, guesses) {
  const mine = own?.answer.includes(letter) && !own.bbox && h("em", { class: "mine" }, "you");
  const models = guesses.filter((guess) => guess.letters.includes(letter)).map((guess) => guess.model || "model");
  return [mine, models.length > 0 && h("em", { class: "model", title: models.join(", ") }, models.length === 1 ? "model" : `${models.length} models`)];
}

/** Return the boxes that people and models gave, in pixels of the tile, for the drawing. */
export function answerBoxes(own, guesses, { width, height }) {
  const boxes = guesses.filter((guess) => guess.box).map(({ box, is_key: isKey }) => ({ box, kind: isKey ? "guess" : "guess differs" }));
  if (own?.bbox) boxes.push({ box: own.bbox.map((share, index) => share * (index % 2 ? height : width)), kind: "guess mine" });
  return boxes;
}

/** Return a box in the middle of what is seen, in pixels of the tile. */
export function boxInView({ x, y, width, height }, tile) {
  const inside = (value, most) => Math.round(Math.min(most, Math.max(0, value)));
  const box = [inside(x + width / 3, tile.width), inside(y + height / 3, tile.height), inside(x + (2 * width) / 3, tile.width), inside(y + (2 * height) / 3, tile.height)];
  return box[2] - box[0] > 1 && box[3] - box[1] > 1 ? box : [0, 0, tile.width, tile.height];
}
