"use strict";
(() => {
  const root = location.pathname.replace(/\/therapy\/?$/, "");
  const token = document.getElementById("token");
  const maxIndented = 500_000; // characters

  /** Indent JSON without parsing it: numbers stay texts and keep their digits. */
  function indent(text) {
    const parts = text.match(/"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s{}[\],:]+/g) || [];
    let result = "";
    let depth = 0;
    const newline = () => "\n" + "  ".repeat(depth);
    parts.forEach((part, at) => {
      const opensEmpty = (part === "{" && parts[at + 1] === "}") || (part === "[" && parts[at + 1] === "]");
      const closesEmpty = (part === "}" && parts[at - 1] === "{") || (part === "]" && parts[at - 1] === "[");
      if (part === "{" || part === "[") { depth += 1; result += part + (opensEmpty ? "" : newline()); }
      else if (part === "}" || part === "]") { depth -= 1; result += (closesEmpty ? "" : newline()) + part; }
      else if (part === ",") result += part + newline();
      else result += part === ":" ? ": " : part;
    });
    return result;
  }

  function buildRequest(form) {
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
    status.value = "Request sent, waiting for the response";
    try {
      const response = await fetch(...buildRequest(form));
      const text = await response.text();
      const type = response.headers.get("Content-Type") || "";
      const isIndented = type.includes("json") && text.length <= maxIndented;
      status.value = `${response.status} ${response.statusText}, ${text.length.toLocaleString("en")} characters`;
      status.classList.toggle("bad", !response.ok);
      headers.querySelector("pre").textContent = [...response.headers].map((pair) => pair.join(": ")).join("\n");
      body.textContent = isIndented ? indent(text) : text;
      headers.hidden = body.hidden = false;
    } catch {
      status.value = "No response: the server is unreachable, or the access token has characters that a header cannot have";
      status.classList.add("bad");
    } finally {
      button.removeAttribute("aria-busy");
    }
  }

  for (const form of document.forms) {
    form.addEventListener("submit", (event) => { event.preventDefault(); send(form); });
  }
})();
