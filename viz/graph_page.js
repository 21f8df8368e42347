"use strict";
const said = document.getElementById("said"), insides = document.createElement("div");

async function unpack() {
  const bytes = Uint8Array.from(atob(document.getElementById("insides").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  insides.innerHTML = await new Response(stream).text();
}

function close(box) {
  box.setAttribute("aria-expanded", "false");
  document.getElementById(box.getAttribute("aria-controls"))?.remove(); // gone already with one around it
  said.textContent = "Closed: " + box.getAttribute("aria-label");
}

function open(box) {
  const template = insides.querySelector(`[data-name="${box.dataset.opens}"]`), outer = box.closest("section");
  outer.querySelectorAll('[aria-expanded="true"]').forEach(close);
  const section = document.createElement("section"), heading = document.createElement("h2"),
    button = document.createElement("button");
  section.id = box.getAttribute("aria-controls");
  heading.textContent = template.dataset.title;
  heading.id = section.id + "-title";
  section.setAttribute("aria-labelledby", heading.id);
  button.textContent = "Close";
  button.addEventListener("click", () => { close(box); box.focus(); });
  section.append(heading, button, template.content.cloneNode(true));
  outer.append(section);
  box.setAttribute("aria-expanded", "true");
  said.textContent = "Opened: " + heading.textContent + ". " + section.querySelector("p").textContent;
  section.scrollIntoView({block: "nearest"});
}

function toggle(event) {
  const box = event.target.closest("[data-opens]");
  if (!box) return;
  event.preventDefault();
  if (box.getAttribute("aria-expanded") === "true") close(box); else open(box);
}

unpack().then(() => {
  document.addEventListener("click", toggle);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") toggle(event);
    if (event.key === "Escape") {
      const last = [...document.querySelectorAll('[aria-expanded="true"]')].pop();
      if (last) { close(last); last.focus(); }
    }
  });
  document.body.dataset.ready = "yes";
}, (error) => { said.textContent = "This browser cannot open the boxes: " + error; });
