// Step 6: the run, live, whoever has started it; and the queue of every command.
import { $, busy, element, get, jobOf, on, player, post, render, state } from "./dom.js";

const WIDTH = 360, HEIGHT = 150, LEFT = 46, BOTTOM = 22;
let openLog = null;

function svg(tag, properties, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(properties)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function number(value) {
  return Math.abs(value) >= 100 ? value.toFixed(0) : Number(value.toPrecision(3)).toString();
}

// One figure for a metric; the validation's values of the same metric are dashed. The last value stands in the caption.
function curve([name, points, others]) {
  const all = [...points, ...(others || [])];
  const [steps, values] = [all.map((point) => point[0]), all.map((point) => point[1])];
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const last = Math.max(...steps);
  const x = (step) => LEFT + (WIDTH - LEFT - 8) * (last ? step / last : 0);
  const y = (value) => 8 + (HEIGHT - BOTTOM - 8) * (most > least ? (most - value) / (most - least) : 0.5);
  const line = (list, kind) => svg("g", { class: kind },
    svg("polyline", { points: list.map(([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`).join(" ") }),
    ...list.slice(-1).map(([step, value]) => svg("circle", { cx: x(step).toFixed(1), cy: y(value).toFixed(1), r: 3.5 })));
  const said = (list) => `${number(list.at(-1)[1])} at step ${list.at(-1)[0]}`;
  const described = `${name}: ${[points.length ? said(points) : "", others?.length ? `validation ${said(others)}` : ""].filter(Boolean).join("; ")}`;
  return element("figure", {},
    svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": described },
      svg("line", { x1: LEFT, x2: WIDTH - 8, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM }),
      svg("text", { x: 0, y: 16 }, number(most)),
      ...(most > least ? [svg("text", { x: 0, y: HEIGHT - BOTTOM }, number(least))] : []),
      svg("text", { x: LEFT, y: HEIGHT - 4 }, "0"), svg("text", { x: WIDTH - 8, y: HEIGHT - 4, "text-anchor": "end" }, `step ${last}`),
      line(points, "first"), ...(others?.length ? [line(others, "second")] : [])),
    element("figcaption", {}, described));
}

function drawCurves(curves) {
  const names = Object.keys(curves).filter((name) => !name.startsWith("eval_") || !(name.slice(5) in curves));
  const order = (name) => (name === "loss" ? 0 : name.startsWith("eval_") ? 1 : 2);
  return names.sort((a, b) => order(a) - order(b)).slice(0, 6)
    .map((name) => curve([name.replace(/^eval_/, ""), curves[name], curves[`eval_${name}`] || []]));
}

function drawHeard({ project, training, heard }) {
  if (!heard.length) return null;
  const latest = heard.slice(-4).reverse();
  return [element("h3", { className: "quiet" }, "What the checkpoints say"), ...latest.map((checkpoint) => element("div", {},
    element("b", {}, `Step ${checkpoint.step}`),
    ...checkpoint.files.slice(0, 3).map((file, index) => player(`/sound/heard/${project}/${training}/${checkpoint.folder}/${file}`,
      `step ${checkpoint.step}, sentence ${index + 1}`))))];
}

const STATES = {
  waiting: "waits for the jobs before it", running: "is running", done: "is done", failed: "has failed", stopped: "was stopped; start it to go on",
};

export function setUpTraining() {
  on("start-run", "click", () => post("run", { project: state.project }));
  on("stop-run", "click", async () => { const job = busy("run"); if (job) await post("stop", { number: job.number }); });
  on("try", "click", async () => {
    await post("run", { project: "quickstart" });
    $("project").value = "quickstart";
    $("choose").requestSubmit();
  });
}

export async function drawTraining() {
  const { run } = state.data;
  const job = jobOf("run");
  const active = busy("run");
  $("start-run").disabled = Boolean(active);
  $("start-run").textContent = job?.state === "stopped" || (!job && run.training) ? "Go on" : "Start";
  $("stop-run").disabled = !active;
  const recent = run.changed && Date.now() / 1000 - run.changed < 90;
  $("run-state").textContent = job ? `The run ${STATES[job.state]}.` : recent ? "A run in a terminal is working on this voice." : "";
  render($("curves"), run.curves, drawCurves);
  render($("heard"), { project: state.project, training: run.training, heard: run.heard }, drawHeard);
  if (job) await fill($("log"), job.number);
  // The run says why its checkpoints speak nothing.
  const why = job && !run.heard.length ? /^Checkpoints cannot be chosen.*$/m.exec($("log").textContent) : null;
  render($("unheard"), why ? why[0] : "", (text) => text);
}

async function fill(place, number) {
  const { text } = await get(`/api/log/${number}`);
  if (place.textContent === text) return;
  const atEnd = place.scrollTop + place.clientHeight >= place.scrollHeight - 30;
  place.textContent = text;
  if (atEnd) place.scrollTop = place.scrollHeight;
}

function button(text, label, act) {
  const made = element("button", { type: "button", "aria-label": label }, text);
  made.addEventListener("click", act);
  return made;
}

function drawJob(job) {
  const kind = { failed: "bad", done: "good", running: "", waiting: "quiet", stopped: "doubt" }[job.state];
  const active = job.state === "running" || job.state === "waiting";
  return element("li", {}, element("code", {}, job.command), element("span", { className: kind }, job.state),
    active ? button("Stop", `Stop ${job.command}`, () => post("stop", { number: job.number }))
      : button("Again", `Run again: ${job.command}`, () => post("again", { number: job.number })),
    button("Log", `Log of ${job.command}`, () => { openLog = job.number; $("job-log").hidden = false; $("job-log").open = true; drawQueue(); }));
}

export async function drawQueue() {
  const shown = state.jobs.slice(0, 30).map(({ number, command, state }) => ({ number, command, state }));
  render($("jobs"), shown, (jobs) => (jobs.length ? jobs.map(drawJob) : element("li", { className: "quiet" }, "Nothing was started here yet.")));
  if (openLog === null) return;
  $("job-number").textContent = String(openLog);
  await fill($("job-text"), openLog);
}
