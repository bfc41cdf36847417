/* A place for files: dropped, or chosen with its button. It sends their bytes to Python, a message a file, and judges nothing. */

const make = (tag, attributes, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

let places = 0;

function render({ model, el }) {
  const id = `lr-drop-${++places}`;
  const button = make("input", { id, type: "file", multiple: "", accept: ".txt,.log,text/plain", "aria-describedby": `${id}-said` });
  const zone = make("div", { class: "lr-drop" }, make("label", { for: id }, model.get("label")), button);
  const said = make("div", { id: `${id}-said`, class: "lr-drop-said" });
  const refused = make("div", { role: "alert" }), taken = make("p", { role: "status" });
  said.append(refused, taken);
  el.append(zone, said);

  const send = async (file, index, of) => {
    const about = { name: file.name, size: file.size, index, of };
    if (file.size > model.get("largest")) return model.send(about);
    try {
      model.send({ ...about, read: true }, undefined, [await file.arrayBuffer()]);
    } catch {
      model.send(about);
    }
  };
  const take = async (files) => {
    taken.textContent = files.length ? "Reading…" : "";
    if (!files.length) model.send({ of: 0 });
    for (const [index, file] of files.entries()) await send(file, index, files.length);
  };
  const hold = (event, over) => {
    event.preventDefault();
    event.stopPropagation();
    zone.classList.toggle("lr-drop-over", over);
  };
  zone.addEventListener("dragenter", (event) => hold(event, true));
  zone.addEventListener("dragover", (event) => hold(event, true));
  zone.addEventListener("dragleave", (event) => hold(event, false));
  zone.addEventListener("drop", (event) => { hold(event, false); take([...event.dataTransfer.files]); });
  button.addEventListener("change", () => { const files = [...button.files]; button.value = ""; if (files.length) take(files); });

  const beside = (event) => event.preventDefault(); // a browser would leave the page for a file that misses the zone
  const missed = document.body.dataset.voila === undefined ? [] : ["dragover", "drop"];
  for (const name of missed) document.addEventListener(name, beside);

  const show = () => {
    const { sentences, added } = model.get("answer");
    refused.replaceChildren(...sentences.map((sentence) => make("p", {}, sentence)));
    taken.textContent = added;
    button.setAttribute("aria-invalid", sentences.length > 0);
  };
  model.on("change:answer", show);
  show();
  return () => {
    model.off("change:answer", show);
    for (const name of missed) document.removeEventListener(name, beside);
  };
}

export default { render };
