// Comments on a question: what one has said oneself, what a lead has returned it with, and for leads everything.

import { h } from "./elements.js";
import { ask } from "./panels.js";

/** Return the comments below a question; nothing where there are none. */
export function commentsPanel(comments) {
  if (!comments.length) return null;
  const items = comments.map(({ author, recipient, text, is_settled: isSettled }) =>
    h("li", { class: isSettled ? "settled" : "" }, h("b", {}, recipient ? `${author} to ${recipient}` : author), ` ${text}`),
  );
  return h("section", { class: "comments" }, h("h2", {}, "Comments"), h("ul", { class: "notes" }, items));
}

/** Ask for a comment; `text` is one that could not be sent. */
export async function askComment(text) {
  const answer = await ask("Say something about this question", [
    h("p", { class: "hint" }, "Who leads the review reads it. The question stays open."),
    h("input", { name: "text", value: text, required: true, maxlength: 2000, autofocus: true, autocomplete: "off", "aria-label": "Comment" }),
    h("menu", {}, h("button", { class: "primary" }, "Send")),
  ]);
  return answer?.text.trim() || null;
}
