"use strict";

document.documentElement.classList.add("js");

function order(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  const [x, y] = [String(a), String(b)];
  return x.localeCompare(y, "en", { numeric: true }) || x.localeCompare(y, "en");
}

/* Ascending, descending, as it was. Blanks are last in both directions. */
function sort(table, lines, column, direction) {
  const sorted = lines.slice();
  if (direction) {
    const sign = direction === "ascending" ? 1 : -1;
    sorted.sort((a, b) => {
      const [x, y] = [a.keys[column], b.keys[column]];
      if (x === null || y === null) return (x === null) - (y === null);
      return sign * order(x, y);
    });
  }
  table.append(...sorted.map((line) => line.body));
}

function sortable(table) {
  const lines = [...table.tBodies].map((body) => ({ body, keys: JSON.parse(body.dataset.keys) }));
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const name = heading.querySelector(".name");
    if (!name) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...name.childNodes);
    name.append(button);
    button.addEventListener("click", () => {
      const before = heading.getAttribute("aria-sort");
      const now = before === null ? "ascending" : before === "ascending" ? "descending" : null;
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      if (now) heading.setAttribute("aria-sort", now);
      sort(table, lines, column, now);
    });
  });
}

/* Where all of it is in sight, a box need not scroll, and headings can stay on top. */
function watch(boxes) {
  const observer = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const fits = target.firstElementChild.getBoundingClientRect().width <= target.clientWidth + 1;
      target.classList.toggle("fits", fits);
      if (fits) target.removeAttribute("tabindex");
      else target.tabIndex = 0;
    }
  });
  boxes.forEach((box) => observer.observe(box));
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("table.sortable").forEach(sortable);
  watch(document.querySelectorAll(".scroll"));
});
