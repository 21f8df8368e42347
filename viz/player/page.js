"use strict";
const by = id => document.getElementById(id);
const steps = JSON.parse(by("steps").textContent);
const places = [...new Set(steps.flatMap(step => Object.keys(step.shows)))];
const calm = matchMedia("(prefers-reduced-motion: reduce)");
let now = 0, timer = null;

function show(place) {
  now = Math.max(0, Math.min(steps.length - 1, place));
  const step = steps[now];
  document.body.dataset.kind = step.kind;
  draw(step);
  by("title").textContent = step.title;
  by("formulas").replaceChildren(...step.formulas.map(line => {
    const paragraph = document.createElement("p");
    paragraph.textContent = line;
    return paragraph;
  }));
  by("words").textContent = step.words;
  by("slider").value = now + 1;
  by("slider").setAttribute("aria-valuetext", `${now + 1} of ${steps.length}: ${step.title}`);
  by("count").textContent = `${now + 1} / ${steps.length}`;
  for (const id of ["first", "previous"]) by(id).ariaDisabled = now === 0;  // not disabled, which would lose the focus
  for (const id of ["next", "last"]) by(id).ariaDisabled = now === steps.length - 1;
  for (const part of document.querySelectorAll(".parts button")) {
    if (part.dataset.kind === step.kind) part.setAttribute("aria-current", "step");
    else part.removeAttribute("aria-current");
  }
}

function draw(step) {
  const written = Object.assign({}, ...steps.slice(0, now + 1).map(past => past.shows));
  for (const place of places) {
    const element = by(place), text = written[place] || "";
    if (element.tagName === "text") element.textContent = text;
    else element.classList.toggle("told", text !== "");
  }
  for (const element of document.querySelectorAll(".node, .edge")) {
    const node = element.id.split("-")[0];
    element.classList.toggle("reached", Boolean(written[node + "-value"]));
    element.classList.toggle("judged", Boolean(written[node + "-grad"]));
    element.classList.toggle("focus", step.nodes.includes(element.id) || step.edges.includes(element.id));
  }
  follow(step.nodes.map(name => by(name).getBoundingClientRect()));
}

/* Where the picture is larger than its frame, scroll to the middle of what is in focus. */
function follow(boxes) {
  const figure = document.querySelector("figure"), frame = figure.getBoundingClientRect();
  const left = Math.min(...boxes.map(box => box.left)), right = Math.max(...boxes.map(box => box.right));
  const top = Math.min(...boxes.map(box => box.top)), bottom = Math.max(...boxes.map(box => box.bottom));
  figure.scrollBy({
    left: (left + right - frame.left - frame.right) / 2, top: (top + bottom - frame.top - frame.bottom) / 2,
    behavior: calm.matches ? "instant" : "smooth" });
}

function play() {
  if (now === steps.length - 1) show(0);
  timer = setInterval(() => {
    show(now + 1);
    if (now === steps.length - 1) pause();
  }, 2000 / by("speed").value);
  label("Pause (space)", "M6 4h4v16H6zM14 4h4v16h-4z");
}

function pause() {
  clearInterval(timer);
  timer = null;
  label("Play (space)", "M7 4v16l13-8z");
}

function label(text, path) {
  by("play").setAttribute("aria-label", text);
  by("play").title = text;
  by("play").querySelector("path").setAttribute("d", path);
}

const actions = {
  first: () => show(0), previous: () => show(now - 1), next: () => show(now + 1), last: () => show(steps.length - 1),
  play: () => timer === null ? play() : pause() };
for (const [id, action] of Object.entries(actions))
  by(id).addEventListener("click", () => { if (id !== "play") pause(); action(); });
by("slider").addEventListener("input", () => { pause(); show(by("slider").value - 1); });
by("speed").addEventListener("change", () => { if (timer !== null) { pause(); play(); } });
for (const part of document.querySelectorAll(".parts button"))
  part.addEventListener("click", () => { pause(); show(steps.findIndex(step => step.kind === part.dataset.kind)); });

const keys = { ArrowLeft: "previous", ArrowRight: "next", Home: "first", End: "last", " ": "play" };
document.addEventListener("keydown", event => {
  const id = keys[event.key], target = event.target.tagName;
  const own = target === "SELECT" || event.key === " " && (target === "BUTTON" || target === "SUMMARY");
  if (!id || own || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  if (id !== "play") pause();
  actions[id]();
});
show(0);
