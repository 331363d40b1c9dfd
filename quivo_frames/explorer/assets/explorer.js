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
