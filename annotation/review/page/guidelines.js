// The project's guidelines, a Markdown file, as elements: headings, paragraphs, lists, quotes, bold, italic and code.
// Nothing of it is ever markup of the page: unknown signs stay the text that they are.

import { h } from "./elements.js";

/** Return what is said for all tasks and for one: below a heading that is its name, its title or its short name. */
export function guidelinesFor(text, names) {
  const wanted = names.map((name) => name.toLowerCase());
  const parts = text.split(/^(?=# |## )/m).map((part) => [part.match(/^#{1,2} (.*)/)?.[1].trim().toLowerCase() ?? "", part]);
  const general = parts.filter(([heading]) => !heading || heading === "all tasks").map(([, part]) => part);
  return [...general, ...parts.filter(([heading]) => wanted.includes(heading)).map(([, part]) => part)].join("\n").trim();
}

/** Return Markdown as elements. */
export function rendered(text) {
  return text
    .split(/\n\s*\n/)
    .flatMap(blocksOf)
    .filter(Boolean);
}

function blocksOf(block) {
  const lines = block.split("\n").filter((line) => line.trim());
  const heading = lines[0]?.match(/^#{1,6} (.*)/);
  if (heading) return [h("h3", {}, inline(heading[1])), ...(lines.length > 1 ? blocksOf(lines.slice(1).join("\n")) : [])];
  if (lines.length && lines.every((line) => /^\s*[-*] /.test(line))) return [h("ul", {}, lines.map((line) => h("li", {}, inline(line.replace(/^\s*[-*] /, "")))))];
  if (lines.length && lines.every((line) => /^\s*\d+[.)] /.test(line))) return [h("ol", {}, lines.map((line) => h("li", {}, inline(line.replace(/^\s*\d+[.)] /, "")))))];
  if (lines.length && lines.every((line) => line.startsWith(">"))) return [h("blockquote", {}, inline(lines.map((line) => line.replace(/^> ?/, "")).join(" ")))];
  const first = lines.findIndex((line) => /^\s*([-*]|\d+[.)]) /.test(line));
  if (first > 0) return [...blocksOf(lines.slice(0, first).join("\n")), ...blocksOf(lines.slice(first).join("\n"))];
  return lines.length ? [h("p", {}, inline(lines.join(" ")))] : [];
}

const INLINE = /(\*\*[^*]+\*\*|\*[^*\s][^*]*\*|`[^`]+`)/;

function inline(text) {
  return text.split(INLINE).map((part) => {
    if (/^\*\*.+\*\*$/.test(part)) return h("b", {}, part.slice(2, -2));
    if (/^\*.+\*$/.test(part)) return h("i", {}, part.slice(1, -1));
    if (/^`.+`$/.test(part)) return h("code", {}, part.slice(1, -1));
    return part;
  });
}
