"use strict";
(() => {
  const form = document.getElementById("filters");
  const unfold = document.getElementById("unfold");
  const articles = [...document.querySelectorAll("article")];
  const texts = new Map(articles.map((each) => [each, each.textContent.toLowerCase()]));
  const sections = [...document.querySelectorAll("section.file")];
  const seen = () => articles.filter((each) => !each.hidden);
  form.hidden = articles.length === 0;

  function show() {
    const asked = new FormData(form);
    const severities = new Set(asked.getAll("severity"));
    const words = asked.get("text").toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const each of articles) {
      const { severity, stage, rule, file } = each.dataset;
      each.hidden = !(
        severities.has(severity) &&
        (!asked.get("stage") || asked.get("stage") === stage) &&
        (!asked.get("rule") || asked.get("rule") === rule) &&
        (!asked.get("file") || asked.get("file") === file) &&
        words.every((word) => texts.get(each).includes(word))
      );
      if (!each.hidden) count += Number(each.dataset.count);
    }
    for (const each of sections) {
      const own = each.querySelectorAll("article");
      each.hidden = own.length > 0 && each.querySelector("article:not([hidden])") === null;
    }
    document.getElementById("shown").value = `${count.toLocaleString("en")} shown`;
  }

  function step(by) {
    const all = seen();
    if (all.length === 0) return;
    const at = all.findIndex((each) => each.contains(document.activeElement));
    const next = at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1);
    all[next].querySelector("summary").focus();
    all[next].scrollIntoView({ block: "center" });
  }

  function reveal() {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    const inner = target.matches("article") ? target.querySelector("details") : null;
    for (let each = inner || target.parentElement; each; each = each.parentElement) {
      if (each.tagName === "DETAILS") each.open = true;
      each.hidden = false;
    }
    target.scrollIntoView({ block: "center" });
  }

  let open = false;
  unfold.addEventListener("click", () => {
    open = !open;
    for (const each of seen()) each.querySelector("details").open = open;
    unfold.textContent = open ? "Fold all" : "Unfold all";
  });
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", reveal);
  window.addEventListener("beforeprint", () => {
    for (const each of document.querySelectorAll("article details")) each.open = true;
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
  show();
  reveal();
})();
