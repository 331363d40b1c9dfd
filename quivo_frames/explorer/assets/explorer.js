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

// What is still being worked out: the page is loaded again when it is there.
if (document.querySelector("[data-working]")) {
  const before = document.querySelector("[data-working]").textContent;
  const look = async () => {
    try {
      const answer = await fetch(location.href, {headers: {Accept: "text/html"}});
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (page.querySelector("[data-working]")?.textContent !== before) {
        location.reload();
        return;
      }
    } catch {
      // the explorer has ended, or is busy
    }
    setTimeout(look, 2000);
  };
  setTimeout(look, 2000);
}

// On a phone, filters that nothing was chosen from are closed.
if (matchMedia("(max-width: 56rem)").matches) {
  for (const part of document.querySelectorAll(".facets details:not(:has([aria-current]))")) {
    part.open = false;
  }
}

// The page of one order: opens what is folded around the place that an address names, where the browser does not.
function openAround() {
  let around = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const place = around;
  for (; around; around = around.parentElement) if (around.tagName === "DETAILS" && around !== place) around.open = true;
  if (place) place.scrollIntoView();
}
addEventListener("hashchange", openAround);
if (location.hash) addEventListener("load", openAround);
