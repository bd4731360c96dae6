"use strict";
(() => {
  const form = document.getElementById("filters");
  const expand = document.getElementById("expand");
  const articles = [...document.querySelectorAll("article")];
  const texts = new Map(articles.map((article) => [article, article.textContent.toLowerCase()]));
  const sections = [...document.querySelectorAll("section.file")];
  const visible = () => articles.filter((article) => !article.hidden);
  form.hidden = articles.length === 0;

  function filter() {
    const chosen = new FormData(form);
    const severities = new Set(chosen.getAll("severity"));
    const words = chosen.get("text").toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const article of articles) {
      const { severity, stage, rule, file } = article.dataset;
      article.hidden = !(
        severities.has(severity) &&
        (!chosen.get("stage") || chosen.get("stage") === stage) &&
        (!chosen.get("rule") || chosen.get("rule") === rule) &&
        (!chosen.get("file") || chosen.get("file") === file) &&
        words.every((word) => texts.get(article).includes(word))
      );
      if (!article.hidden) count += Number(article.dataset.count);
    }
    for (const section of sections) {
      const own = section.querySelectorAll("article");
      section.hidden = own.length > 0 && section.querySelector("article:not([hidden])") === null;
    }
    document.getElementById("shown").value = `${count.toLocaleString("en")} shown`;
  }

  function step(by) {
    const all = visible();
    if (all.length === 0) return;
    const current = all.findIndex((article) => article.contains(document.activeElement));
    const next = current < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(current + by, 0), all.length - 1);
    all[next].querySelector("summary").focus();
    all[next].scrollIntoView({ block: "center" });
  }

  function reveal() {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    const inner = target.matches("article") ? target.querySelector("details") : null;
    for (let node = inner || target.parentElement; node; node = node.parentElement) {
      if (node.tagName === "DETAILS") node.open = true;
      node.hidden = false;
    }
    target.scrollIntoView({ block: "center" });
  }

  let open = false;
  expand.addEventListener("click", () => {
    open = !open;
    for (const article of visible()) article.querySelector("details").open = open;
    expand.textContent = open ? "Collapse all" : "Expand all";
  });
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", reveal);
  window.addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("article details")) details.open = true;
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input[type=search], select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.key === "/") { event.preventDefault(); form.elements.text.focus(); }
    if (event.key === "j") step(1);
    if (event.key === "k") step(-1);
  });
  filter();
  reveal();
})();
