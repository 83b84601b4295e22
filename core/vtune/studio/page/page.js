// The page: which voice is open, which steps are done, and a look at the server every second and a half.
import { $, element, get, render, show, state } from "./dom.js";
import { currentSource, drawRecordings, openRecordings, setUpRecordings } from "./recordings.js";
import { drawRecipe, loadChoices, openRecipe, setUpRecipe } from "./recipe.js";
import { drawQueue, drawTraining, setUpTraining } from "./training.js";
import { drawVoice, openVoice, setUpVoice } from "./voice.js";

const INTERVAL = 1500;
const sections = [...document.querySelectorAll("main > section[data-title]")];

function isDone(id) {
  const { data } = state;
  return {
    recordings: Boolean(data.source), review: Boolean(data.findings), consent: Boolean(data.recipe?.consent), engine: Boolean(data.recipe && !data.recipe.problems.length),
    plan: Boolean(data.plan), run: Boolean(data.voice), listen: data.comparison, speak: false, share: false, queue: false,
  }[id];
}

function drawContents() {
  $("contents").replaceChildren(...sections.filter((section) => !section.hidden).map((section) => {
    const done = state.data ? isDone(section.id) : false;
    return element("li", {}, element("a", { href: `#${section.id}` }, element("span", { className: "mark", "aria-hidden": "true" }, done ? "✓" : ""),
      element("span", {}, section.dataset.title), ...(done ? [element("span", { className: "skip" }, ", done")] : [])));
  }));
  mark();
}

function mark() {
  const middle = window.innerHeight / 3;
  const current = sections.filter((section) => !section.hidden && section.getBoundingClientRect().top < middle).at(-1);
  for (const link of document.querySelectorAll("nav a")) {
    if (current && link.hash === `#${current.id}`) link.setAttribute("aria-current", "step");
    else link.removeAttribute("aria-current");
  }
}

// The commands that do in a terminal what a step does; those about recordings name what stands in the field.
function commandsOf(section) {
  const typed = currentSource();
  const named = !typed ? "RECORDINGS" : /^[\w./:-]+$/.test(typed) ? typed : `'${typed.replaceAll("'", "'\\''")}'`;
  const own = { examine: `vtune doctor ${named}`, review: `vtune review ${named}`, cut: `vtune prepare ${named} clips/${state.project}` };
  return (section.dataset.step || "").split(" ").filter(Boolean).map((step) => own[step] || state.data.commands[step]);
}

function commandRow(command) {
  const copy = element("button", { type: "button", "aria-label": `Copy the command ${command}` }, "Copy");
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(command);
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy"; }, 1200);
  });
  return element("p", { className: "command" }, element("code", {}, command), copy);
}

function drawCommands() {
  for (const section of sections) {
    const place = section.querySelector(".commands");
    if (place) render(place, commandsOf(section), (commands) => commands.map(commandRow));
  }
}

async function draw() {
  drawRecordings();
  drawRecipe();
  drawCommands();
  drawContents();
  await Promise.all([drawTraining(), drawVoice()]);
}

async function refresh() {
  const overview = await get("/api/state");
  state.jobs = overview.jobs;
  $("folder").textContent = `Folder: ${overview.folder}`;
  const names = overview.projects.map((name) => element("option", { value: name }));
  if ($("projects").children.length !== names.length) $("projects").replaceChildren(...names);
  if (state.project) {
    const data = await get(`/api/project/${state.project}`);
    if (data.name === state.project) state.data = data;
    await draw();
  }
  await drawQueue();
}

async function open(name) {
  show("");
  if (!/^[A-Za-z0-9][\w-]{0,63}$/.test(name)) {
    show("A name has letters, digits, - and _, and begins with a letter or a digit.");
    return;
  }
  state.project = name;
  history.replaceState(null, "", `/?voice=${encodeURIComponent(name)}${location.hash}`);
  $("project").value = name;
  try {
    state.data = await get(`/api/project/${name}`);
    layOut();
    openRecipe();
    openVoice();
    await openRecordings();
    await refresh();
  } catch (error) {
    show(error.message);
  }
}

function layOut() {
  for (const section of sections) section.hidden = !state.project && section.id !== "queue";
  $("start").hidden = Boolean(state.project);
  drawContents();
}

async function loop() {
  try {
    if (!document.hidden) await refresh();
    if ($("problem").dataset.lost) { delete $("problem").dataset.lost; show(""); }
  } catch {
    $("problem").dataset.lost = "1";
    show("The studio does not answer; is it still running in the terminal?");
  }
  setTimeout(loop, INTERVAL);
}

$("choose").addEventListener("submit", (event) => { event.preventDefault(); open($("project").value.trim()); });
window.addEventListener("scroll", mark, { passive: true });
setUpRecordings();
setUpRecipe();
setUpTraining();
layOut();
get("/api/targets").then(setUpVoice).catch((error) => show(error.message));
loadChoices().catch((error) => show(error.message));
const asked = new URLSearchParams(location.search).get("voice");
if (asked) open(asked).then(loop);
else loop();
