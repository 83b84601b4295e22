// The page of `vtune review`. Every edit is a POST request, which is answered when the edit is on disk. Words that were
// typed but not saved stay in `drafts`. Clips are identified by number; text from the server is never read as HTML.

const $ = (id) => document.getElementById(id);
const ROW_PIXELS = 54;
const FILTERS = [
  ["all", (c) => c.state !== "dropped"],
  ["flagged", (c) => c.state === "kept" && c.flags !== ""],
  ["unapproved", (c) => c.state === "kept" && !c.approved],
  ["approved", (c) => c.state === "kept" && c.approved],
  ["edited", (c) => c.state === "kept" && c.edited],
  ["dropped", (c) => c.state === "dropped"],
  ["problems", (c) => c.state !== "dropped" && c.problem !== null],
];

const audio = $("audio");
const words = $("words");
const clips = new Map(); // number -> clip
const drafts = new Map(); // number -> { text, error }
let order = []; // numbers, in the order of the source
let shown = []; // numbers that match the filter and the search
let current = 0;
let filter = "all";
let selection = null; // [from, to] in seconds
let peaks = null; // of the current clip: { seconds, peaks }
let image = null; // its spectrogram
let queue = Promise.resolve(); // edits are sent one after the other
let busy = 0;

history.replaceState(null, "", "/"); // the token must not stay in the address

// --- requests to the server

async function ask(path, body) {
  let answer;
  try {
    answer = await fetch(path, body === undefined ? {} : {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    });
  } catch {
    throw new Error("vtune review does not answer; check that it is still running");
  }
  const result = await answer.json().catch(() => ({ error: `the server answered with status ${answer.status}` }));
  if (!answer.ok) throw Object.assign(new Error(result.error), { status: answer.status });
  return result;
}

// Make one edit after all earlier edits; return true when it is on disk, else the error.
function edit(action, body) {
  const done = queue.then(async () => {
    busy += 1;
    showState();
    try {
      const result = await ask(`/api/${action}`, body);
      hideError();
      await apply(result);
      return true;
    } catch (error) {
      showError(error, clips.get(body.clip)?.name);
      return error;
    } finally {
      busy -= 1;
      showState();
    }
  });
  queue = done.then(() => {});
  return done;
}

async function apply(result) {
  if ("undo" in result) showUndo(result.undo);
  if (result.message) say(result.message);
  if (result.clip) {
    clips.set(result.clip.n, result.clip);
    arrange();
    if (result.clip.n === current) showClip();
  } else if ("go" in result) {
    await readAll(result.go);
  }
}

async function readAll(go) {
  const result = await ask("/api/clips");
  clips.clear();
  for (const clip of result.clips) clips.set(clip.n, clip);
  order = result.clips.map((clip) => clip.n);
  for (const n of drafts.keys()) if (!clips.has(n)) drafts.delete(n);
  $("title").textContent = result.title;
  document.title = `${result.title}: vtune review`;
  $("description").textContent = result.description.join("\n");
  showUndo(result.undo);
  if (current === 0 && result.flagged) filter = "flagged";
  arrange();
  const n = clips.has(go) ? go : clips.has(current) ? current : shown[0] ?? order[0] ?? 0;
  open(n, { again: true, quiet: n === current });
}

// --- saving words

function draft() {
  const clip = clips.get(current);
  if (!clip || words.readOnly) return;
  if (words.value === clip.text) drafts.delete(current);
  else drafts.set(current, { text: words.value, error: null });
  showSaved();
  showState();
}

async function save(n = current) {
  const clip = clips.get(n);
  const kept = drafts.get(n);
  if (!clip || !kept) return true;
  if (kept.saving) return kept.saving;
  kept.saving = saveDraft(n, clip, kept);
  return kept.saving;
}

async function saveDraft(n, clip, kept) {
  if (kept.text.split(/\s+/).join(" ").trim() === clip.text) {
    drafts.delete(n);
    if (n === current) showClip();
    return true;
  }
  const done = await edit("words", { clip: n, text: kept.text, was: clip.text });
  if (done === true) {
    if (drafts.get(n) === kept) drafts.delete(n);
  } else if (drafts.get(n) === kept) {
    drafts.set(n, { text: kept.text, error: done.message });
  }
  showRows();
  if (n === current) showClip();
  showState();
  return done === true;
}

// --- what keys and buttons do

// The next clip is shown at once; if the server refuses, the error names the clip.
async function approve() {
  const n = current, after = neighbour(1), clip = clips.get(n);
  if (!clip || $("approve").disabled) return;
  const saved = save(n);
  go(after, n);
  if (await saved) await edit("approve", { clip: n, was: clips.get(n).text });
}

async function doubt() { await edit("doubt", { clip: current }); }

async function drop() {
  const clip = clips.get(current);
  if (!clip || !(await save())) return;
  await edit(clip.state === "dropped" ? "restore" : "drop", { clip: clip.n });
}

async function undo() {
  await save();
  await edit("undo", {});
}

function neighbour(step) {
  const visible = new Set(shown);
  for (let at = order.indexOf(current) + step; at >= 0 && at < order.length; at += step) {
    if (visible.has(order[at])) return order[at];
  }
  return 0;
}

function go(n, from = current) {
  if (n && from === current) open(n);
}

function move(step) {
  save();
  go(neighbour(step));
}

function open(n, { again = false, quiet = false } = {}) {
  if (n === current && !again) return;
  const other = n !== current;
  current = n;
  const clip = clips.get(n);
  $("clip").hidden = !clip;
  $("nothing").hidden = !!clip;
  if (!clip) return;
  if (other || !quiet) load(clip);
  showClip();
  showRows(true);
}

async function load(clip) {
  selection = null;
  peaks = image = null;
  audio.removeAttribute("src");
  $("level").textContent = "";
  if (clip.there) {
    audio.src = `/audio/${clip.n}`;
    audio.playbackRate = Number($("speed").value);
    if ($("autoplay").checked) audio.play().catch(() => {});
  } else {
    audio.load();
  }
  draw();
  if (!clip.there) return;
  try {
    const result = await ask(`/api/peaks/${clip.n}`);
    if (clip.n === current) peaks = result;
    if ($("wide").checked) await loadImage();
    const after = clips.get(neighbour(1));
    if (after && after.there) ask(`/api/peaks/${after.n}`).catch(() => {}); // load the next clip in advance
  } catch (error) {
    if (clip.n === current) $("level").textContent = error.message;
  }
  draw();
}

async function loadImage() {
  const n = current;
  const result = await ask(`/api/spectrogram/${n}`);
  if (n !== current) return;
  const levels = Uint8Array.from(atob(result.levels), (letter) => letter.charCodeAt(0));
  image = document.createElement("canvas");
  image.width = result.columns;
  image.height = result.bands;
  const context = image.getContext("2d");
  const pixels = context.createImageData(result.columns, result.bands);
  const stops = colours("--sheet", "--wave", "--played", "--head").map(rgb);
  for (let x = 0; x < result.columns; x++) {
    for (let y = 0; y < result.bands; y++) {
      const level = levels[x * result.bands + y] / 255 * (stops.length - 1);
      const low = Math.min(stops.length - 2, Math.floor(level));
      const at = ((result.bands - 1 - y) * result.columns + x) * 4;
      for (let part = 0; part < 3; part++) {
        pixels.data[at + part] = stops[low][part] + (stops[low + 1][part] - stops[low][part]) * (level - low);
      }
      pixels.data[at + 3] = 255;
    }
  }
  context.putImageData(pixels, 0, 0);
}

function play() {
  if (!clips.get(current)?.there) return;
  if (!audio.paused) return audio.pause();
  if (selection && (audio.currentTime < selection[0] || audio.currentTime >= selection[1] - 0.01)) {
    audio.currentTime = selection[0];
  }
  audio.play().catch((error) => say(error.message));
}

function replay() {
  audio.currentTime = selection ? selection[0] : 0;
  audio.play().catch((error) => say(error.message));
}

function seek(seconds) {
  audio.currentTime = Math.max(0, Math.min(length(), seconds));
  draw();
}

function speed(step) {
  const choice = $("speed");
  choice.selectedIndex = Math.max(0, Math.min(choice.options.length - 1, choice.selectedIndex + step));
  audio.playbackRate = Number(choice.value);
}

const length = () => peaks?.seconds ?? clips.get(current)?.seconds ?? 0;

// --- splitting

function halves(text, cursor, share) {
  let at = cursor;
  if (at <= 0 || at >= text.length) { // no cursor in the words: take the space nearest to the playhead's share
    const spaces = [...text.matchAll(/\s/g)].map((match) => match.index);
    at = spaces.sort((a, b) => Math.abs(a - share * text.length) - Math.abs(b - share * text.length))[0] ?? text.length;
  }
  return [text.slice(0, at).trim(), text.slice(at).trim()];
}

async function askSplit() {
  const clip = clips.get(current);
  if (!clip || clip.state !== "kept" || !clip.there || !(await save())) return;
  audio.pause();
  const at = selection ? selection[0] : audio.currentTime;
  const text = clips.get(current).text;
  const [first, second] = halves(text, words.selectionStart, at / (length() || 1));
  $("at").textContent = `${at.toFixed(2)} s`;
  $("first").value = first;
  $("second").value = second;
  $("refused").textContent = "";
  $("cut").dataset.at = at;
  $("cut").showModal();
  $("second").focus();
  $("second").setSelectionRange(0, 0);
}

async function doSplit() {
  const body = {
    clip: current, was: clips.get(current).text, at: Number($("cut").dataset.at),
    first: $("first").value, second: $("second").value,
  };
  $("do-split").disabled = true;
  const done = await edit("split", body);
  $("do-split").disabled = false;
  if (done === true) $("cut").close();
  else $("refused").textContent = done.message;
}

function hear(from, to) {
  selection = [from, to];
  audio.pause();
  audio.currentTime = from;
  play();
}

// --- showing

function say(text) {
  $("state").textContent = text;
  $("state").className = "";
}

function showState() {
  const failed = [...drafts.values()].filter((kept) => kept.error).length;
  const state = $("state");
  state.className = failed ? "bad" : "";
  state.textContent = busy ? "Saving…" : failed ? `${failed} edits not saved` : drafts.size ? "Unsaved words" : "All edits saved";
}

function showError(error, name) {
  $("banner").hidden = false;
  $("error").textContent = name ? `${name}: ${error.message}` : error.message;
  $("again").textContent = error.status === 409 ? "Reload" : "Close";
  $("again").onclick = error.status === 409 ? () => edit("reread", {}) : hideError;
}

function hideError() { $("banner").hidden = true; }

function showUndo(what) {
  $("undo").disabled = what === null;
  $("undo").title = what === null ? "There is nothing to undo" : `Undo: ${what}`;
}

function arrange() {
  const query = $("search").value.trim().toLowerCase();
  const counts = new Map();
  const buttons = [];
  const all = order.map((n) => clips.get(n));
  for (const [name, fits] of FILTERS) counts.set(name, all.filter(fits).length);
  FILTERS.forEach(([name], index) => {
    if (!counts.get(name) && ["problems", "dropped"].includes(name) && name !== filter) return;
    const button = element("button", "", name[0].toUpperCase() + name.slice(1));
    button.type = "button";
    button.title = `Key ${index + 1}`;
    button.setAttribute("aria-pressed", String(name === filter));
    button.append(element("span", "", String(counts.get(name))));
    button.onclick = () => choose(name);
    buttons.push(button);
  });
  $("filters").replaceChildren(...buttons);
  const [, fits] = FILTERS.find(([name]) => name === filter);
  shown = all.filter((c) => fits(c) && (!query || `${c.name}\n${c.text}\n${c.flags}`.toLowerCase().includes(query)))
    .map((c) => c.n);
  const usable = all.filter((c) => c.state === "kept" && c.problem === null);
  const approved = usable.filter((c) => c.approved);
  const minutes = (some) => (some.reduce((sum, c) => sum + c.seconds, 0) / 60).toFixed(1);
  const share = usable.length ? 100 * approved.length / usable.length : 0;
  $("done").style.width = `${share}%`;
  $("bar").setAttribute("aria-valuenow", share.toFixed(0));
  $("count").textContent =
    `${approved.length.toLocaleString("en")} / ${usable.length.toLocaleString("en")} clips approved · ` +
    `${minutes(approved)} of ${minutes(usable)} min`;
  const sought = $("search").value.trim();
  $("empty").hidden = shown.length > 0 || !all.length;
  $("why-empty").textContent = sought
    ? `No clip${filter === FILTERS[0][0] ? "" : ` under “${filter}”`} has “${sought}” in its name, its words or its red flags.`
    : `There are no clips under “${filter}”.`;
  showRows();
}

function showAll() {
  $("search").value = "";
  choose(FILTERS[0][0]);
}

function choose(name) {
  filter = name;
  arrange();
  if (!shown.includes(current) && shown.length) open(shown[0]);
  showRows(true);
}

function mark(clip) {
  if (drafts.get(clip.n)?.error) return ["!", "bad", "not saved"];
  if (clip.state === "dropped") return ["×", "quiet", "dropped"];
  if (clip.state === "unnamed") return ["○", "quiet", "not in any table"];
  if (clip.problem) return ["!", "bad", clip.problem];
  if (clip.flags) return ["?", "doubt", "doubtful words"];
  if (clip.approved) return ["✓", "good", "approved"];
  return drafts.has(clip.n) || clip.edited ? ["✎", "quiet", "edited"] : ["", "", ""];
}

function showRows(follow = false) {
  const list = $("list"), at = shown.indexOf(current);
  $("rows").style.height = `${shown.length * ROW_PIXELS}px`;
  if (follow && at >= 0) {
    if (at * ROW_PIXELS < list.scrollTop) list.scrollTop = at * ROW_PIXELS;
    else if ((at + 1) * ROW_PIXELS > list.scrollTop + list.clientHeight) list.scrollTop = (at + 1) * ROW_PIXELS - list.clientHeight;
  }
  const first = Math.max(0, Math.floor(list.scrollTop / ROW_PIXELS) - 6);
  const last = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW_PIXELS) + 6);
  const rows = [];
  for (let index = first; index < last; index++) {
    const clip = clips.get(shown[index]);
    const [sign, kind, hint] = mark(clip);
    const row = element("div", `row ${clip.state}`);
    row.id = `row-${clip.n}`;
    row.style.top = `${index * ROW_PIXELS}px`;
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", String(clip.n === current));
    row.setAttribute("aria-setsize", String(shown.length));
    row.setAttribute("aria-posinset", String(index + 1));
    const signed = element("span", `mark ${kind}`, sign);
    signed.title = hint;
    const top = element("div", "top");
    top.append(element("span", "name", clip.name), element("span", "", clip.there ? `${clip.seconds.toFixed(1)} s` : "no sound"));
    const text = drafts.get(clip.n)?.text ?? clip.text;
    const line = element("div", text ? "text" : "text none", text || "no words");
    line.dir = "auto"; // each text has its own direction
    row.append(signed, top, line);
    row.onclick = () => { save(); open(clip.n); };
    rows.push(row);
  }
  $("rows").replaceChildren(...rows);
  if (at >= 0) list.setAttribute("aria-activedescendant", `row-${current}`);
}

function showClip() {
  const clip = clips.get(current);
  if (!clip) return;
  $("name").textContent = clip.name;
  $("place").textContent = clip.place;
  const badges = [];
  if (clip.state === "dropped") badges.push(element("span", "badge bad", "dropped"));
  if (clip.state === "unnamed") badges.push(element("span", "badge", "not in any table"));
  if (clip.approved) badges.push(element("span", "badge good", "approved"));
  if (clip.edited) badges.push(element("span", "badge", "edited"));
  $("badges").replaceChildren(...badges);
  $("doubts").hidden = !clip.flags;
  $("flags").replaceChildren(...clip.flags.split(";").map((flag) => element("li", "", flag.trim())));
  $("problem").hidden = clip.problem === null;
  $("problem").textContent = clip.problem ?? "";
  $("wave").hidden = !clip.there;
  showImage();
  $("silent").hidden = clip.there;
  $("silent").textContent = "This recording cannot be played.";
  for (const id of ["play", "speed", "wide"]) $(id).disabled = !clip.there;
  const text = drafts.get(current)?.text ?? clip.text;
  if (words.value !== text) words.value = text;
  words.readOnly = clip.state === "dropped" || (clip.state === "unnamed" && !clip.there);
  words.placeholder = clip.state === "unnamed" ? "Type the words to add this recording to the table" : "";
  $("approve").disabled = clip.state !== "kept" || clip.problem !== null;
  $("edit").disabled = words.readOnly;
  $("split").disabled = clip.state !== "kept" || !clip.there;
  $("drop").disabled = clip.state === "unnamed";
  $("drop").firstChild.textContent = clip.state === "dropped" ? "Put back " : "Drop ";
  showSaved();
  draw();
}

function showImage() {
  const hidden = !clips.get(current)?.there || !$("wide").checked;
  $("spectrogram").hidden = hidden;
  $("sound").className = hidden ? "" : "both";
}

function showSaved() {
  const kept = drafts.get(current), clip = clips.get(current);
  words.className = kept?.error ? "failed" : kept ? "unsaved" : "";
  const saved = $("saved");
  saved.className = kept?.error ? "bad" : "quiet";
  $("revert").hidden = !kept;
  saved.textContent = kept?.error ? `Not saved: ${kept.error}` : kept ? "Not saved yet; press Enter or Esc to save" : "";
  const rate = words.value.length / (clip.seconds || Infinity);
  $("rate").textContent = clip.there && words.value ? `${rate.toFixed(1)} characters per second` : "";
}

function element(tag, kind, text = "") {
  const node = document.createElement(tag);
  if (kind) node.className = kind;
  node.textContent = text;
  return node;
}

// --- drawing

const colours = (...names) => {
  const style = getComputedStyle(document.documentElement);
  return names.map((name) => style.getPropertyValue(name).trim());
};

const rgb = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));

function canvas(id) {
  const area = $(id), scale = window.devicePixelRatio || 1;
  const [width, height] = [area.clientWidth, area.clientHeight];
  if (area.width !== Math.round(width * scale) || area.height !== Math.round(height * scale)) {
    area.width = Math.round(width * scale);
    area.height = Math.round(height * scale);
  }
  const context = area.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return [context, width, height];
}

function draw() {
  const clip = clips.get(current);
  if (!clip?.there) return showTime();
  drawWave();
  if (!$("spectrogram").hidden) drawImage();
  showTime();
}

function drawWave() {
  const [context, width, height] = canvas("wave");
  const [wave, played, head, selected, axis] = colours("--wave", "--played", "--head", "--selected", "--axis");
  const seconds = length(), x = (time) => time / (seconds || 1) * width, floor = height - 20, middle = floor / 2;
  context.fillStyle = axis;
  context.font = "11px system-ui, sans-serif";
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120].find((s) => x(s) > 56) ?? 300;
  for (let time = 0; seconds && time <= seconds; time += step) {
    context.fillRect(Math.round(x(time)), floor, 1, 4);
    const label = String(Math.round(time * 10) / 10);
    context.fillText(label, Math.min(x(time) + 3, width - 18), height - 5);
  }
  if (peaks) {
    const values = peaks.peaks, count = values.length / 2;
    const loudest = Math.max(1, ...values.map(Math.abs));
    const gain = Math.min(10, 127 / loudest) * (middle - 8) / 127; // quiet recordings are drawn larger, by 20 dB at most
    $("level").textContent = `Peak: ${(20 * Math.log10(loudest / 127)).toFixed(0)} dB`;
    const now = x(audio.currentTime);
    for (let column = 0; column < width; column++) {
      const from = Math.floor(column / width * count), to = Math.max(from + 1, Math.floor((column + 1) / width * count));
      let low = 127, high = -127;
      for (let at = from; at < to && at < count; at++) {
        low = Math.min(low, values[2 * at]);
        high = Math.max(high, values[2 * at + 1]);
      }
      context.fillStyle = column < now ? played : wave;
      context.fillRect(column, middle - high * gain, 1, Math.max(1, (high - low) * gain));
    }
  }
  overlay(context, x, floor, selected, head);
}

function drawImage() {
  const [context, width, height] = canvas("spectrogram");
  const [head, selected] = colours("--head", "--selected");
  if (image) context.drawImage(image, 0, 0, width, height);
  overlay(context, (time) => time / (length() || 1) * width, height, selected, head);
}

function overlay(context, x, height, selected, head) {
  if (selection) {
    context.fillStyle = selected;
    context.fillRect(x(selection[0]), 0, x(selection[1]) - x(selection[0]), height);
  }
  context.fillStyle = head;
  context.fillRect(x(audio.currentTime) - 0.75, 0, 1.5, height);
}

function showTime() {
  const chosen = selection ? `   ${(selection[1] - selection[0]).toFixed(2)} s selected` : "";
  $("time").textContent = `${audio.currentTime.toFixed(2)} / ${length().toFixed(2)} s${chosen}`;
  $("play").textContent = audio.paused ? "▶" : "❚❚";
}

function tick() {
  if (audio.paused) return;
  if (selection && audio.currentTime >= selection[1]) {
    audio.pause();
    audio.currentTime = selection[0];
  }
  draw();
  requestAnimationFrame(tick);
}

// --- playback and input

for (const kind of ["pause", "seeked", "ended", "loadedmetadata"]) audio.addEventListener(kind, draw);
audio.addEventListener("play", () => requestAnimationFrame(tick));

for (const id of ["wave", "spectrogram"]) {
  const area = $(id);
  let from = null;
  const time = (event) => {
    const box = area.getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)) * length();
  };
  area.addEventListener("pointerdown", (event) => {
    area.setPointerCapture(event.pointerId);
    from = time(event);
  });
  area.addEventListener("pointermove", (event) => {
    if (from === null) return;
    const to = time(event);
    if (Math.abs(to - from) / length() * area.clientWidth > 4) selection = [Math.min(from, to), Math.max(from, to)];
    draw();
  });
  area.addEventListener("pointerup", (event) => {
    if (from === null) return;
    const still = Math.abs(time(event) - from) / length() * area.clientWidth <= 4;
    if (still) selection = null;
    seek(still ? from : selection[0]);
    if (!still) audio.play().catch(() => {});
    from = null;
  });
}

const KEYS = {
  " ": play, r: replay, j: () => move(1), k: () => move(-1), ArrowDown: () => move(1), ArrowUp: () => move(-1),
  ArrowLeft: () => seek(audio.currentTime - 0.5), ArrowRight: () => seek(audio.currentTime + 0.5),
  "[": () => speed(-1), "]": () => speed(1), w: () => $("wide").click(),
  e: () => words.focus(), Enter: () => words.focus(), a: approve, A: doubt, s: askSplit, d: drop, u: undo,
  "/": () => { $("search").focus(); $("search").select(); }, "?": () => $("keys").showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.isComposing || $("keys").open) return;
  const control = event.ctrlKey || event.metaKey;
  if ($("cut").open) {
    if (control && event.key === "Enter") { event.preventDefault(); doSplit(); }
    return;
  }
  if (event.target === words) return inWords(event, control);
  if (event.target === $("search")) {
    if (event.key === "Escape" || event.key === "Enter") {
      if (event.key === "Escape") { $("search").value = ""; arrange(); }
      if (shown.length && !shown.includes(current)) open(shown[0]);
      $("search").blur();
      showRows(true);
      event.preventDefault();
    }
    return;
  }
  if (control || event.altKey || event.target instanceof HTMLSelectElement) return;
  // Space and Enter belong to a button that has the focus.
  if (event.target instanceof HTMLButtonElement && (event.key === " " || event.key === "Enter")) return;
  const number = Number(event.key);
  const act = number >= 1 && number <= FILTERS.length ? () => choose(FILTERS[number - 1][0]) : KEYS[event.key];
  if (!act || (event.repeat && !/^Arrow|^[jk]$/.test(event.key))) return;
  event.preventDefault();
  act();
});

function inWords(event, control) {
  if (event.key === " " && control) { event.preventDefault(); play(); return; }
  if (event.key !== "Escape" && event.key !== "Enter") return;
  event.preventDefault();
  const next = neighbour(1), n = current;
  words.blur();
  if (event.key === "Enter" && control) {
    if (event.shiftKey) approve();
    else {
      save(n);
      go(next, n);
    }
  }
}

words.addEventListener("input", draft);
words.addEventListener("blur", () => save());
$("show-all").onclick = showAll;
$("search").addEventListener("input", () => { $("list").scrollTop = 0; arrange(); });
$("list").addEventListener("scroll", () => requestAnimationFrame(() => showRows()));
$("play").onclick = play;
$("speed").onchange = () => speed(0);
$("approve").onclick = approve;
$("edit").onclick = () => words.focus();
$("split").onclick = askSplit;
$("drop").onclick = drop;
$("undo").onclick = undo;
$("revert").onclick = () => {
  drafts.delete(current);
  words.value = clips.get(current).text;
  showClip();
  showState();
};
$("previous").onclick = () => move(-1);
$("next").onclick = () => move(1);
$("help").onclick = () => $("keys").showModal();
$("cancel").onclick = () => $("cut").close();
$("do-split").onclick = doSplit;
$("hear-first").onclick = () => hear(0, Number($("cut").dataset.at));
$("hear-second").onclick = () => hear(Number($("cut").dataset.at), length());
$("cut").addEventListener("close", () => { audio.pause(); selection = null; draw(); });
$("autoplay").checked = localStorage.getItem("vtune-autoplay") !== "no";
$("autoplay").onchange = () => localStorage.setItem("vtune-autoplay", $("autoplay").checked ? "yes" : "no");
$("wide").onchange = async () => {
  showImage();
  if ($("wide").checked && !image) await loadImage().catch((error) => say(error.message));
  draw();
};
for (const button of document.querySelectorAll("button")) {
  button.addEventListener("click", () => button.blur()); // so that Space plays the clip again
}
new ResizeObserver(() => { showRows(); draw(); }).observe(document.body);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { image = null; $("wide").onchange(); draw(); });
addEventListener("beforeunload", (event) => { if (drafts.size || busy) event.preventDefault(); });

readAll(0).then(showState, (error) => showError(error));
