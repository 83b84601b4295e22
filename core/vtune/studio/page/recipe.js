// Steps 3 to 5: consent, engine, the recipe, the plan.
import { $, busy, element, get, jobOf, on, post, render, state } from "./dom.js";
import { currentSource } from "./recordings.js";

let choices = [];
let shownRecipe = "";

function size(parameters) {
  if (parameters === null) return "size not known";
  return parameters >= 1e9 ? `${(parameters / 1e9).toFixed(1)} billion parameters` : parameters >= 1e6
    ? `${(parameters / 1e6).toFixed(0)} million parameters` : `${parameters.toLocaleString("en")} parameters`;
}

function drawChoice(choice, index) {
  const fits = choice.fits === true ? ["good", `Fits this machine: ${choice.because}.`]
    : choice.fits === false ? ["bad", `Does not fit this machine: ${choice.because}`] : ["doubt", `Not known whether it fits: ${choice.because}`];
  const radio = element("input", { type: "radio", name: "choice", value: String(index) });
  return element("label", { className: "choice" }, radio, element("span", {},
    element("b", {}, choice.title),
    element("small", {}, [choice.engine, choice.base && `base ${choice.base}`, size(choice.parameters)].filter(Boolean).join(" · ")),
    element("small", { className: fits[0] }, fits[1]),
    element("small", {}, `Licence: ${choice.licence_id && choice.licence_id !== "other" ? `${choice.licence_id}. ` : ""}${choice.licence}`)));
}

// The list grows while the studio looks at each engine.
export async function loadChoices() {
  const { choices: known, complete, problem } = await get("/api/choices");
  for (const [index, choice] of known.entries()) if (index >= choices.length) $("choices").append(drawChoice(choice, index));
  choices = known;
  if (!chosen()) choose();
  $("choices-wait").hidden = complete;
  $("choices-problem").textContent = problem || "";
  if (!complete) setTimeout(() => loadChoices().catch(() => {}), 1000);
}

function chosen() {
  const radio = document.querySelector("input[name=choice]:checked");
  return radio ? choices[Number(radio.value)] : null;
}

function choose() {
  const engine = state.data?.recipe?.engine;
  const index = choices.findIndex((choice) => choice.engine === engine);
  for (const radio of document.querySelectorAll("input[name=choice]")) radio.checked = Number(radio.value) === index;
}

function drawProblems(problems) {
  render($("recipe-problems"), problems, (lines) => lines.length
    ? lines.map((line) => element("li", { className: "bad" }, line)) : element("li", { className: "good" }, "No problems."));
}

function showRecipe(file, text, problems) {
  $("recipe-box").hidden = false;
  $("recipe-file").textContent = file;
  $("recipe-text").value = shownRecipe = text;
  drawProblems(problems);
}

export function setUpRecipe() {
  on("write-recipe", "click", async () => {
    const choice = chosen();
    if (!choice) throw new Error("Choose an engine first.");
    if (!currentSource()) throw new Error("Name the recordings first.");
    const answer = await post("recipe", {
      project: state.project, source: currentSource(), engine: choice.engine, template: choice.template,
      base: $("base").value.trim(), language: $("language").value.trim(), person: $("person").value.trim(),
      statement: $("statement").value.trim().replace(/\s+/g, " "),
    });
    showRecipe(answer.file, answer.text, answer.problems);
  });
  on("save-recipe", "click", async () => {
    const answer = await post("recipe-text", { project: state.project, text: $("recipe-text").value });
    showRecipe(answer.file, answer.text, answer.problems);
  });
  on("make-plan", "click", () => post("plan", { project: state.project }));
}

export function openRecipe() {
  const { recipe } = state.data;
  $("recipe-box").hidden = !recipe;
  shownRecipe = "";
  $("person").value = recipe?.consent?.person || "";
  $("statement").value = recipe?.consent?.statement || "";
  choose();
}

export function drawRecipe() {
  const { recipe, plan } = state.data;
  const edited = $("recipe-text").value !== shownRecipe;
  if (recipe && recipe.text !== shownRecipe && !(edited && shownRecipe)) showRecipe(recipe.file, recipe.text, recipe.problems);
  $("make-plan").disabled = Boolean(busy("plan"));
  $("make-plan").textContent = busy("plan") ? "Planning …" : "Make the plan";
  render($("plan-lines"), { plan, failed: jobOf("plan")?.state === "failed" }, ({ plan, failed }) => (plan || []).flatMap((line) => {
    const match = /^([a-z]+) {2,}(.*)$/.exec(line);
    const wrong = failed || /DOES NOT FIT/.test(line);
    return match ? [element("dt", {}, match[1]), element("dd", { className: wrong ? "bad" : "" }, match[2])]
      : [element("dt", {}, ""), element("dd", { className: wrong ? "bad" : "quiet" }, line)];
  }));
}
