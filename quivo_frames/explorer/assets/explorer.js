// Improves pages that work without it: "/" goes to the search.
"use strict";
document.addEventListener("keydown", event => {
  const search = document.getElementById("search");
  if (event.key === "/" && search && !/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) {
    event.preventDefault();
    search.focus();
    search.select();
  }
});
// Orders as one types: a list beneath the search, which the arrow keys go through.
(() => {
  const search = document.getElementById("search");
  if (!search) return;
  const list = document.createElement("ul");
  Object.assign(list, { id: "hits", className: "hits", hidden: true });
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Orders");
  search.after(list);
  for (const [name, value] of [["role", "combobox"], ["aria-autocomplete", "list"], ["aria-controls", "hits"]]) search.setAttribute(name, value);
  let chosen = -1, waiting, asked = "";
  const options = () => [...list.querySelectorAll("[data-address]")];
  const show = isShown => {
    list.hidden = !isShown;
    search.setAttribute("aria-expanded", String(isShown));
    choose(-1);
  };
  const choose = place => {
    chosen = place;
    search.removeAttribute("aria-activedescendant");
    options().forEach((option, number) => {
      option.setAttribute("aria-selected", String(number === place));
      if (number === place) {
        search.setAttribute("aria-activedescendant", option.id);
        option.scrollIntoView({ block: "nearest" });
      }
    });
  };
  const ask = async () => {
    const wanted = asked = search.value.trim();
    if (!wanted) return show(false);
    try {
      const answer = await fetch(`/search?q=${encodeURIComponent(wanted)}`);
      const text = answer.ok ? await answer.text() : "";
      if (wanted !== asked || document.activeElement !== search) return;
      list.innerHTML = text; // made and escaped by the server
      show(text !== "");
    } catch { show(false); }
  };
  show(false);
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(ask, 120);
  });
  search.addEventListener("keydown", event => {
    const count = options().length;
    if (event.key === "Escape" && !list.hidden) { event.preventDefault(); show(false); }
    else if (list.hidden || !count) return;
    else if (event.key === "ArrowDown") { event.preventDefault(); choose(chosen + 1 >= count ? -1 : chosen + 1); }
    else if (event.key === "ArrowUp") { event.preventDefault(); choose(chosen < 0 ? count - 1 : chosen - 1); }
    else if (event.key === "Enter" && chosen >= 0) { event.preventDefault(); location.assign(options()[chosen].dataset.address); }
  });
  search.addEventListener("blur", () => setTimeout(() => { if (!list.contains(document.activeElement)) show(false); }, 200));
})();
