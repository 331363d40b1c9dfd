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
