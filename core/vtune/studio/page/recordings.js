// Steps 1 and 2: what the recordings are, and their words.
import { $, busy, element, get, jobOf, minutes, on, post, render, show, state } from "./dom.js";

let looked = null;

function source() {
  return $("source").value.trim();
}

async function look() {
  $("looked").textContent = "Looking …";
  try {
    looked = await post("look", { project: state.project, source: source() });
  } catch (error) {
    $("looked").textContent = "";
    throw error;
  }
  drawLooked();
}

function drawLooked() {
  if (!looked) return;
  const words = looked.has_words ? `${looked.rows} clips with words` : `${looked.rows} recordings without words`;
  const who = looked.speakers.length > 1 ? ` of ${looked.speakers.length} speakers: ${looked.speakers.join(", ")}` : "";
  const faults = looked.problems ? `; ${looked.problems} cannot be used` : "";
  $("looked").replaceChildren(
    element("p", {}, element("b", {}, `${words}, ${minutes(looked.seconds)}${who}${faults}.`)),
    element("ul", {}, ...looked.description.map((line) => element("li", { className: "quiet" }, line))),
  );
  $("words-state").textContent = looked.has_words
    ? "These clips have words. Listen to some and correct what is wrong before you train on it."
    : "These recordings have no words yet: they are cut at pauses into clips, and Whisper writes down what is said.";
  $("cut-form").hidden = looked.has_words;
  $("open-review").disabled = !looked.has_words;
}

async function upload(files) {
  const bar = $("upload");
  bar.hidden = false;
  try {
    for (const [index, file] of [...files].entries()) {
      bar.value = index / files.length;
      const query = new URLSearchParams({ project: state.project, file: file.name });
      const response = await fetch(`/api/upload?${query}`, {
        method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: file,
      });
      const answer = await response.json();
      if (!response.ok) throw new Error(answer.error);
      $("source").value = answer.source;
    }
  } finally {
    bar.hidden = true;
  }
  await look();
}

export function setUpRecordings() {
  on("source-form", "submit", look);
  on("files", "change", () => upload($("files").files));
  on("drop", "dragover", (event) => { event.preventDefault(); $("drop").classList.add("over"); });
  on("drop", "dragleave", () => $("drop").classList.remove("over"));
  on("drop", "drop", async (event) => {
    event.preventDefault();
    $("drop").classList.remove("over");
    await upload(event.dataTransfer.files);
  });
  on("examine", "click", () => post("examine", { project: state.project, source: source() }));
  on("cut-form", "submit", async () => {
    const answer = await post("cut", {
      project: state.project, source: source(), language: $("cut-language").value, model: $("cut-model").value,
    });
    $("source").value = answer.source;
    looked = null;
    $("looked").textContent = `Clips and words will be in ${answer.source}; the queue below shows how far it is.`;
  });
  on("open-review", "click", async () => {
    const page = window.open("about:blank", "_blank");
    try {
      const { url } = await post("review", { project: state.project, source: source() });
      if (page) page.location = url;
      else show(`The browser blocks new windows; open ${url}`);
    } catch (error) {
      page?.close();
      throw error;
    }
  });
}

export async function openRecordings() {
  looked = null;
  for (const id of ["looked", "words-state"]) $(id).replaceChildren();
  $("source").value = state.data.source;
  if (state.data.source) await look().catch(() => {});
}

export function drawRecordings() {
  const { findings } = state.data;
  $("examine").disabled = Boolean(busy("doctor"));
  $("examine").textContent = busy("doctor") ? "Examining …" : "Examine them";
  $("findings-link").hidden = !state.data.findings_page;
  $("findings-link").href = `/findings/${state.project}`;
  const failed = jobOf("doctor")?.state === "failed" ? jobOf("doctor").number : null;
  render($("findings"), { findings, failed }, drawFindings);
  if (failed) get(`/api/log/${failed}`).then(({ text }) => { $("examine-failed") && ($("examine-failed").textContent = text.trim().split("\n").pop()); });
}

function drawFindings({ findings, failed }) {
  if (failed) return element("p", { className: "bad", id: "examine-failed" }, "The examination failed.");
  if (!findings) return null;
  const speakers = Object.entries(findings.speakers).filter(([name]) => name);
  const facts = element("p", {}, `${findings.usable_rows} of ${findings.rows} clips can be used: ${minutes(findings.usable_seconds)}. `,
    speakers.length > 1 ? `Speakers: ${speakers.map(([name, seconds]) => `${name} ${minutes(seconds)}`).join(", ")}.` : "");
  const kinds = element("ul", {}, ...findings.kinds.map((kind) => element("li", {},
    element("span", { className: kind.severity === "error" ? "bad" : kind.severity === "warning" ? "doubt" : "quiet" }, `${kind.severity}: `),
    kind.count > 1 ? `${kind.count} times; the first is ${kind.lines[0]}` : kind.lines[0])));
  const nothing = findings.kinds.length ? null : element("p", { className: "good" }, "Nothing is wrong with them.");
  return [facts, nothing, kinds, ...findings.advice.map((line) => element("p", { className: "quiet" }, line))];
}

export function currentSource() {
  return source();
}
