// What every step uses: elements, requests, and the state of the page.
export const $ = (id) => document.getElementById(id);

export const state = { project: "", data: null, jobs: [] };

// Texts of files and users are only ever set as text.
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function show(message) {
  $("problem").textContent = message || "";
  if (message) $("problem").scrollIntoView({ block: "nearest" });
}

async function answer(response) {
  const data = await response.json().catch(() => ({ error: `the server answers ${response.status}` }));
  if (!response.ok) throw new Error(data.error || `the server answers ${response.status}`);
  return data;
}

export async function get(path) {
  return answer(await fetch(path));
}

export async function post(action, body = {}) {
  const response = await fetch(`/api/${action}`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  return answer(response);
}

// Run what a control does; a refusal becomes one line at the top of the page.
export function on(id, event, act) {
  $(id).addEventListener(event, async (happened) => {
    if (event === "submit") happened.preventDefault();
    show("");
    try {
      await act(happened);
    } catch (error) {
      show(error.message);
    }
  });
}

export function jobOf(verb, states) {
  return state.jobs.find((job) => job.project === state.project && job.words[0] === verb && (!states || states.includes(job.state)));
}

export function busy(verb) {
  return jobOf(verb, ["waiting", "running"]);
}

export function minutes(seconds) {
  return seconds < 90 ? `${Math.round(seconds)} s` : seconds < 5400 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

// Replace the children of a place only if what they are made of has changed, so that players and focus stay.
export function render(place, content, make) {
  const key = JSON.stringify(content);
  if (place.dataset.key === key) return;
  place.dataset.key = key;
  place.replaceChildren(...[make(content)].flat().filter(Boolean));
}

export function player(url, label) {
  return element("div", { className: "sample" }, element("span", {}, label),
    element("audio", { controls: true, preload: "none", src: url, "aria-label": label }));
}
