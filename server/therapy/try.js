"use strict";
(() => {
  const root = location.pathname.replace(/\/therapy\/?$/, "");
  const token = document.getElementById("token");
  const longest = 500_000; // characters that are set out in lines

  /** JSON in lines; numbers are text here, so that their digits stay. */
  function pretty(text) {
    const parts = text.match(/"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s{}[\],:]+/g) || [];
    let made = "";
    let depth = 0;
    const line = () => "\n" + "  ".repeat(depth);
    parts.forEach((part, at) => {
      const empty = (part === "{" && parts[at + 1] === "}") || (part === "[" && parts[at + 1] === "]");
      const closed = (part === "}" && parts[at - 1] === "{") || (part === "]" && parts[at - 1] === "[");
      if (part === "{" || part === "[") { depth += 1; made += part + (empty ? "" : line()); }
      else if (part === "}" || part === "]") { depth -= 1; made += (closed ? "" : line()) + part; }
      else if (part === ",") made += part + line();
      else made += part === ":" ? ": " : part;
    });
    return made;
  }

  function asked(form) {
    let path = form.dataset.path;
    const query = new URLSearchParams();
    for (const field of form.elements) {
      if (field.dataset.in === "path") path = path.replace(`{${field.name}}`, encodeURIComponent(field.value));
      if (field.dataset.in === "query" && field.value) query.append(field.name, field.value);
    }
    const text = query.toString();
    const headers = { Accept: "application/json" };
    if (token.value) headers.Authorization = `Bearer ${token.value.trim()}`;
    const { body } = form.elements;
    if (body) headers["Content-Type"] = "application/json";
    return [`${root}${path}${text && "?"}${text}`, { method: form.dataset.method, headers, body: body?.value, cache: "no-store" }];
  }

  async function send(form) {
    const button = form.querySelector("button");
    const status = form.querySelector(".status");
    const headers = form.querySelector(".headers");
    const body = form.querySelector(".body");
    if (button.getAttribute("aria-busy")) return;
    button.setAttribute("aria-busy", "true");
    headers.hidden = body.hidden = true;
    status.value = "Sent; waiting for the answer";
    try {
      const answer = await fetch(...asked(form));
      const text = await answer.text();
      const kind = answer.headers.get("Content-Type") || "";
      const set = kind.includes("json") && text.length <= longest;
      status.value = `${answer.status} ${answer.statusText}, ${text.length.toLocaleString("en")} characters`;
      status.classList.toggle("bad", !answer.ok);
      headers.querySelector("pre").textContent = [...answer.headers].map((each) => each.join(": ")).join("\n");
      body.textContent = set ? pretty(text) : text;
      headers.hidden = body.hidden = false;
    } catch {
      status.value = "There was no answer: the server is not reached, or the token holds what no header may";
      status.classList.add("bad");
    } finally {
      button.removeAttribute("aria-busy");
    }
  }

  for (const form of document.forms) {
    form.addEventListener("submit", (event) => { event.preventDefault(); send(form); });
  }
})();
