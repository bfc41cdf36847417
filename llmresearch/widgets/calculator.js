/* The calculator's page: builds the form once, sends what people type, shows what Python answers. It computes nothing. */

const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
};

let pages = 0;
const inVoila = () => document.body.dataset.voila !== undefined;

function entry(control, id, change) {
  const common = { id, name: control.name, "aria-describedby": `${id}-error ${id}-help`, autocomplete: "off", spellcheck: "false" };
  if (control.kind === "pick") {
    const select = make("select", common, ...control.options.map((option) => make("option", { value: option }, option)));
    select.addEventListener("change", () => change(select.value));
    return { row: [select], main: select };
  }
  if (control.kind === "flag") {
    const box = make("input", { ...common, type: "checkbox" });
    box.addEventListener("change", () => change(box.checked));
    return { row: [box], main: box };
  }
  const number = control.kind !== "text";
  const input = make("input", {
    ...common, type: number ? "number" : "text", step: number ? control.step : null, min: control.least, max: control.most,
    list: control.options.length && !number ? `${id}-list` : null, placeholder: control.name === "model" ? null : "default",
  });
  input.addEventListener("input", () => change(input.validity.badInput ? "not a number" : input.value));
  input.addEventListener("paste", (event) => {
    const text = event.clipboardData?.getData("text") ?? "";
    if (text.length > control.longest) { event.preventDefault(); change(text); }
  });
  if (control.kind === "slider") {
    const range = make("input", { type: "range", min: 0, step: 1, "aria-label": `${control.label}, slider` });
    range.addEventListener("input", () => {
      input.value = range.stops[range.value];
      range.setAttribute("aria-valuetext", input.value);
      change(input.value);
    });
    return { row: [range, input], main: input, range };
  }
  const list = make("datalist", { id: `${id}-list` }, ...control.options.map((option) => make("option", { value: option })));
  return { row: number ? [input] : [input, list], main: input };
}

function field(control, prefix, change) {
  const id = `${prefix}-${control.name}`;
  const parts = entry(control, id, (value) => change(control, value));
  const error = make("p", { id: `${id}-error`, class: "lr-error", role: "alert" });
  const help = make("p", { id: `${id}-help`, class: "lr-help" }, control.help);
  const label = make("label", { for: id, title: control.help }, control.label);
  const box = make("div", { class: `lr-field lr-field-${control.kind}`, "data-field": control.name },
    label, make("div", { class: "lr-entry" }, ...parts.row), error, help);
  return { ...parts, box, error };
}

function put(one, state) {
  const { main, range } = one;
  if (main.type === "checkbox") main.checked = state.value === true;
  else if (document.activeElement !== main) {
    if (main.tagName === "SELECT" && ![...main.options].some((option) => option.value === state.value)) {
      main.append(make("option", { value: state.value }, state.value));
    }
    main.value = state.value;
  }
  if (range) {
    range.stops = state.stops;
    range.max = state.stops.length - 1;
    const nearest = state.stops.findLastIndex((stop) => stop <= Number(state.value));
    if (document.activeElement !== range) range.value = Math.max(0, nearest);
    range.setAttribute("aria-valuetext", state.value);
  }
  one.error.textContent = state.error;
  main.setAttribute("aria-invalid", state.error !== "");
  one.box.hidden = state.hidden === true;
}

function copyable(title, name) {
  const text = make("code", { "data-lr": name });
  const button = make("button", { type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(text);
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  button.setAttribute("aria-label", `Copy: ${title}`);
  return { box: make("div", { class: "lr-copy" }, make("h2", {}, title), make("pre", { tabindex: 0, role: "group", "aria-label": title }, text), button), text };
}

function theme(el) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const told = () => inVoila() ? undefined : document.body.dataset.jpThemeLight;
  const apply = () => { el.dataset.theme = (told() === undefined ? system.matches : told() === "false") ? "dark" : "light"; };
  const watcher = new MutationObserver(apply);
  watcher.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  system.addEventListener("change", apply);
  apply();
  return () => { watcher.disconnect(); system.removeEventListener("change", apply); };
}

function render({ model, el }) {
  const prefix = `lr${++pages}`;
  let waiting = {}, busy = false, since = 0;
  const send = () => {
    if (busy || !Object.keys(waiting).length) return;
    busy = true;
    since = performance.now();
    model.send({ set: waiting });
    waiting = {};
  };
  const change = (control, value) => {
    if (value.length > control.longest) return model.send({ long: control.name });
    waiting[control.name] = value;
    send();
  };

  const made = {}, groups = { main: [], experts: [], advanced: [] };
  for (const control of model.get("form")) {
    made[control.name] = field(control, prefix, change);
    groups[control.group].push(made[control.name].box);
  }
  const mixture = make("div", { class: "lr-mixture" });
  const overhead = make("div", { class: "lr-overhead" });
  const form = make("form", { "aria-label": "Configuration" }, ...groups.main, mixture, ...groups.experts,
    make("details", { class: "lr-advanced" }, make("summary", {}, "Advanced"), ...groups.advanced, overhead));
  form.addEventListener("submit", (event) => event.preventDefault());

  const status = make("div", { role: "status", class: "lr-hidden" });
  const general = make("p", { class: "lr-error", role: "alert" });
  const stale = make("p", { class: "lr-stale" }, "A field cannot be used as it stands: this is the last good answer.");
  const answer = make("div", { "data-lr": "answer" });
  const command = copyable("Start it", "command");
  const none = make("p", { class: "lr-help" });
  const call = copyable("Ask again in Python", "call");
  const link = make("a", { "data-lr": "link" }, "Link to this configuration");
  const out = make("section", { "aria-label": "Answer", class: "lr-answer" }, general, stale, status, answer, command.box, none, call.box, make("p", {}, link));
  el.append(make("div", { class: "lr-calculator" }, form, out));
  el.classList.add("lr-root");

  const show = () => {
    const state = model.get("state"), shown = model.get("shown");
    for (const [name, one] of Object.entries(made)) put(one, state[name]);
    general.textContent = shown.error;
    if (shown.answer !== undefined) {
      const open = new Set([...answer.querySelectorAll("details[open]")].map((one) => one.dataset.part));
      const focused = answer.contains(document.activeElement) ? document.activeElement.parentElement.dataset.part : null;
      answer.innerHTML = shown.answer;
      for (const one of answer.querySelectorAll("details")) {
        one.open = open.has(one.dataset.part);
        if (one.dataset.part === focused) one.firstElementChild.focus();
      }
      overhead.innerHTML = shown.advanced;
      mixture.innerHTML = shown.experts;
      status.textContent = answer.querySelector(".lr-verdict").textContent;
      command.text.textContent = shown.command;
      command.box.hidden = shown.command === "";
      none.textContent = shown.no_command;
      call.text.textContent = shown.call;
      link.href = `?${shown.query}`;
      link.hidden = !inVoila();
      if (inVoila() && since) history.replaceState(null, "", `?${shown.query}`);
    }
    stale.hidden = !shown.stale || shown.answer === undefined;
    if (since) el.dataset.redrawMs = (performance.now() - since).toFixed(1);
    el.dataset.beat = shown.beat;
    busy = false;
    send();
  };
  model.on("change:shown", show);
  const stop = theme(el);
  show();
  return () => { model.off("change:shown", show); stop(); };
}

export default { render };
