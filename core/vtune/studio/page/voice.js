// Steps 7 to 9: listen, speak, share.
import { $, busy, element, get, on, player, post, render, state } from "./dom.js";

let spoken = null; // what was asked for last: job, address of the sound, text

export function setUpVoice(targets) {
  for (const [name, description] of targets) $("target").append(element("option", { value: name }, `${name}: ${description}`));
  on("evaluate", "click", () => post("evaluate", { project: state.project }));
  on("compare", "click", () => post("compare", { project: state.project, texts: [] }));
  on("say-form", "submit", async () => {
    const text = $("text").value;
    spoken = { ...await post("say", { project: state.project, text, seed: Number($("seed").value) }), text };
    $("spoken").textContent = "Speaking …";
  });
  on("serve", "click", () => post("serve"));
  on("export-form", "submit", () => post("export", { project: state.project, target: $("target").value, directory: $("directory").value.trim() }));
  on("push-form", "submit", () => post("push", {
    project: state.project, repository: $("repository").value.trim(), target: $("target").value === "space" ? "space" : "voice", public: $("public").checked,
  }));
}

export function openVoice() {
  spoken = null;
  $("spoken").replaceChildren();
  $("directory").value = `exports/${state.project}`;
}

function drawScores(voice) {
  if (!voice) return element("p", { className: "quiet" }, "There is no finished voice of this name yet.");
  if (voice.problem) return element("p", { className: "bad" }, voice.problem);
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...["", ...voice.columns].map((name) => element("th", { scope: "col" }, name)))),
    element("tbody", {}, ...voice.scores.map(([title, ...cells]) => element("tr", {}, element("th", { scope: "row" }, title), ...cells.map((cell) => element("td", {}, cell))))));
  const skipped = Object.entries(voice.skipped).map(([name, why]) => element("p", { className: "quiet" }, `Not measured: ${name}: ${why}`));
  return [voice.scores.length ? element("div", { className: "scroll", tabIndex: 0 }, table) : null, ...skipped];
}

function drawSamples({ project, samples }) {
  return samples.map((file) => player(`/sound/sample/${project}/${file}`, file.includes("_base") ? `sentence ${parseInt(file, 10)}, the untuned base` : `sentence ${parseInt(file, 10)}, the voice`));
}

async function drawSpoken() {
  const job = state.jobs.find((one) => one.number === spoken?.job);
  if (!job || !["done", "failed"].includes(job.state) || spoken.shown) return;
  spoken.shown = true;
  if (job.state === "done") {
    const made = player(spoken.sound, spoken.text);
    $("spoken").replaceChildren(made, element("a", { href: spoken.sound, download: `${state.project}.wav` }, "Save the file"));
    made.querySelector("audio").play().catch(() => {});
  } else {
    const { text } = await get(`/api/log/${job.number}`);
    $("spoken").replaceChildren(element("p", { className: "bad" }, text.trim().split("\n").pop()));
  }
}

export async function drawVoice() {
  const { voice, comparison, server } = state.data;
  const usable = Boolean(voice && !voice.problem);
  render($("scores"), voice, drawScores);
  render($("samples"), { project: state.project, samples: usable ? voice.samples : [] }, drawSamples);
  for (const id of ["evaluate", "compare"]) $(id).disabled = !usable || Boolean(busy(id));
  $("compare").textContent = busy("compare") ? "Speaking for the blind test …" : "Make a blind test against its base";
  $("listen-link").hidden = !(usable && voice.page);
  $("listen-link").href = `/listen/${state.project}`;
  $("blind-link").hidden = !comparison;
  $("blind-link").href = `/comparison/${state.project}`;
  $("server-link").hidden = !server;
  if (server) $("server-link").href = server;
  const consent = usable && voice.consent;
  $("share-consent").textContent = !usable ? "There is no finished voice of this name yet."
    : consent ? `${consent.person}. ${consent.statement}` : "This voice does not say whose it is and on what consent. State it above, write the recipe, and run it again: nothing is trained anew.";
  $("share-consent").className = consent ? "" : "doubt";
  for (const form of ["export-form", "push-form"]) $(form).querySelector("button").disabled = !consent;
  await drawSpoken();
}
