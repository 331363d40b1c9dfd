"use strict";

// What scrolls is reached by the keyboard, and the two columns beside a page have names.
const letScroll = () => {
  for (const part of document.querySelectorAll("article pre, .table-wrapper, .output, .diagram"))
    part.scrollWidth > part.clientWidth ? part.setAttribute("tabindex", "0") : part.removeAttribute("tabindex");
};
document.addEventListener("DOMContentLoaded", () => {
  document.querySelector(".sidebar-drawer")?.setAttribute("aria-label", "All pages");
  document.querySelector(".toc-drawer")?.setAttribute("aria-label", "This page");
  letScroll();
  addEventListener("resize", letScroll);
});

// In the dictionary: a field that leaves the columns whose name, meaning or table has all of the words.
document.addEventListener("DOMContentLoaded", () => {
  const anchors = document.querySelectorAll("article td span[id*='.']");
  if (!/\/dictionary(\.html)?$/.test(location.pathname) || !anchors.length) return;
  const rows = [...anchors].map((anchor) => {
    const row = anchor.closest("tr");
    return { row, section: row.closest("section"), text: `${anchor.id} ${row.textContent}`.toLowerCase() };
  });
  const sections = new Set(rows.map(({ section }) => section));
  const form = document.createElement("form");
  form.className = "column-search";
  form.setAttribute("role", "search");
  form.innerHTML = `<label for="column-words">Find a column</label>
    <input id="column-words" type="search" autocomplete="off" spellcheck="false"> <span role="status"></span>`;
  document.querySelector("article h1").after(form);
  const field = form.querySelector("input");
  const found = form.querySelector("[role=status]");
  const filter = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    const kept = new Set();
    for (const { row, section, text } of rows) {
      const fits = words.every((word) => text.includes(word));
      row.toggleAttribute("data-unmatched", !fits);
      if (fits) { count += 1; kept.add(section); }
    }
    for (const section of sections) section.toggleAttribute("data-unmatched", !kept.has(section));
    found.textContent = words.length ? `${count} of ${rows.length} columns` : "";
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  field.addEventListener("input", filter);
  window.addEventListener("hashchange", () => { field.value = ""; filter(); });
});
