"use strict";
// Sorting and filtering of the table of tasks; the page is whole without.
(() => {
  const table = document.getElementById("tasks");
  const body = table.tBodies[0];
  const heads = Array.from(table.tHead.rows[0].cells);
  const rows = Array.from(body.rows);
  const compareText = new Intl.Collator(undefined, { numeric: true }).compare;

  heads.forEach((head, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const keyed = rows.map((row) => [row.cells[at].dataset.v, row.cells[at].textContent, row]);
      keyed.sort((a, b) => (a[0] !== undefined ? a[0] - b[0] : compareText(a[1], b[1])) * (descending ? -1 : 1));
      body.append(...keyed.map((entry) => entry[2]));
    });
  });

  const filter = document.getElementById("filter");
  const problems = document.getElementById("problems");
  const texts = rows.map((row) => Array.from(row.cells, (cell) => cell.textContent).join("\n").toLowerCase());
  const apply = () => {
    const wanted = filter.value.trim().toLowerCase();
    let shown = 0;
    rows.forEach((row, at) => {
      const hit = texts[at].includes(wanted) && !(problems.checked && row.className === "success");
      row.hidden = !hit;
      shown += hit ? 1 : 0;
    });
    document.getElementById("shown").textContent = shown === rows.length ? "" : `${shown} of ${rows.length}`;
  };
  filter.addEventListener("input", apply);
  problems.addEventListener("change", apply);
  document.getElementById("tools").hidden = rows.length < 2;
})();
