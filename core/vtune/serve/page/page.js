// Sound arrives as raw samples and is played as it arrives; nothing is asked of any other host.

const RATE = 24000, AHEAD = 0.15;
const GRAIN = 240; // samples that one peak stands for
const LEAST = 3 * RATE / GRAIN; // peaks that a picture has room for, so that the first ones do not fill it
const by = id => document.getElementById(id);
const cards = [];
let context = null, asked = null;

// sessionStorage, so that a key does not outlive the tab.
const key = {
  get: () => sessionStorage.getItem("vtune-key") || "",
  set: value => sessionStorage.setItem("vtune-key", value),
};

function headers(more = {}) {
  return key.get() ? { ...more, Authorization: `Bearer ${key.get()}` } : more;
}

async function why(answer) {
  try {
    return (await answer.json()).error.message;
  } catch {
    return `the server answered ${answer.status}`;
  }
}

class Card {
  constructor(section, number) {
    this.section = section;
    this.number = number;
    this.select = section.querySelector("select");
    this.state = section.querySelector(".state");
    this.bar = section.querySelector(".bar");
    this.canvas = section.querySelector("canvas");
    this.button = section.querySelector(".play");
    this.download = section.querySelector(".download");
    this.button.addEventListener("click", () => this.toggle());
    this.clear();
  }

  clear() {
    this.pieces = [];
    this.peaks = [];
    this.samples = 0;
    this.silence();
    if (this.download.href) URL.revokeObjectURL(this.download.href);
    this.download.removeAttribute("href");
    this.download.hidden = true;
    this.button.disabled = true;
    this.whole = false;
    this.rest = new Uint8Array(0);
    this.told = "";
    this.show();
  }

  async ask(words, settings, signal) {
    this.clear();
    const started = performance.now();
    this.say("Waiting …");
    const body = JSON.stringify({ input: words, voice: this.select.value, response_format: "pcm", ...settings });
    const answer = await fetch("/v1/audio/speech", {
      method: "POST", signal, body, headers: headers({ "Content-Type": "application/json" }),
    });
    if (!answer.ok) throw new Error(await why(answer));
    this.seed = answer.headers.get("X-Vtune-Seed");
    this.voice = this.select.value;
    const reader = answer.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (!this.samples) {
        this.first = performance.now() - started;
        this.button.disabled = false;
      }
      this.take(value);
    }
    this.whole = true;
    this.finish();
  }

  take(bytes) {
    const joined = new Uint8Array(this.rest.length + bytes.length);
    joined.set(this.rest);
    joined.set(bytes, this.rest.length);
    const even = joined.length - joined.length % 2;
    this.rest = joined.slice(even);
    if (!even) return;
    const view = new DataView(joined.buffer, 0, even);
    const piece = new Float32Array(even / 2);
    for (let i = 0; i < piece.length; i++) {
      piece[i] = view.getInt16(2 * i, true) / 32768;
      const place = Math.floor((this.samples + i) / GRAIN);
      this.peaks[place] = Math.max(this.peaks[place] || 0, Math.abs(piece[i]));
    }
    this.pieces.push(piece);
    this.samples += piece.length;
    this.tell();
    if (this.playing) this.schedule(piece);
    cards.forEach(card => card.show()); // both to one scale
  }

  tell() {
    const seconds = (this.samples / RATE).toFixed(1);
    this.told = `${seconds} s${this.whole ? "" : " so far"}, first sound after ${(this.first / 1000).toFixed(2)} s, seed ${this.seed}`;
    this.say(this.told);
  }

  say(text) {
    this.state.textContent = text;
  }

  finish() {
    this.tell();
    this.download.href = URL.createObjectURL(wav(this.pieces, this.samples));
    this.download.download = `${this.voice.replace(/[^\p{L}\p{N}_-]+/gu, "_")}-${this.seed}.wav`;
    this.download.hidden = false;
    this.show();
  }

  fail() {
    this.whole = true; // nothing more comes
    this.say(this.samples ? `${this.told.replace(" so far", "")}, broken off` : "");
    this.show();
  }

  toggle() {
    if (this.playing) this.silence();
    else this.play();
  }

  // Resolves when all has been heard, or something else is.
  play() {
    for (const card of cards) card.silence();
    context.resume();
    this.playing = true;
    this.sources = [];
    this.begin = this.next = context.currentTime + AHEAD;
    for (const piece of this.pieces) this.schedule(piece);
    this.section.classList.add("speaking");
    return new Promise(resolve => {
      this.over = resolve;
      this.frame();
    });
  }

  schedule(piece) {
    const buffer = context.createBuffer(1, piece.length, RATE);
    buffer.copyToChannel(piece, 0);
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(context.destination);
    // Where sound came too late, what was heard of the clock is not heard of the words.
    const late = Math.max(0, context.currentTime - this.next);
    this.begin += late;
    this.next += late;
    source.start(this.next);
    this.next += piece.length / RATE;
    this.sources.push(source);
  }

  frame() {
    if (!this.playing) return;
    if (this.whole && context.currentTime >= this.next) {
      this.silence();
      return;
    }
    this.show();
    requestAnimationFrame(() => this.frame());
  }

  silence() {
    for (const source of this.sources || []) {
      try { source.stop(); } catch { /* it has not begun */ }
    }
    this.sources = [];
    this.playing = false;
    this.section.classList.remove("speaking");
    this.show();
    if (this.over) this.over();
    this.over = null;
  }

  show() {
    const heard = this.playing && this.samples ? (context.currentTime - this.begin) / (this.samples / RATE) : 0;
    const share = Math.min(1, Math.max(0, heard));
    this.bar.setAttribute("aria-valuenow", String(Math.round(100 * share)));
    this.draw(share);
    this.button.firstChild.textContent = this.playing ? "Stop " : "Play ";
    this.button.setAttribute("aria-pressed", String(Boolean(this.playing)));
  }

  // Bars of the loudest samples, those that were heard in colour; as wide as the longer of the two sounds.
  draw(share) {
    const scale = devicePixelRatio || 1, canvas = this.canvas;
    const width = Math.round(canvas.clientWidth * scale), height = Math.round(canvas.clientHeight * scale);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const pen = canvas.getContext("2d"), style = getComputedStyle(canvas);
    const [wave, soft, line] = ["--wave", "--soft", "--line"].map(name => style.getPropertyValue(name));
    pen.clearRect(0, 0, width, height);
    const bars = Math.floor(width / (3 * scale)), room = Math.max(LEAST, ...cards.map(card => card.peaks.length));
    const loudest = this.peaks.reduce((most, peak) => Math.max(most, peak), 0.05);
    for (let bar = 0; bar < bars; bar++) {
      const from = Math.floor(bar * room / bars), to = Math.max(from + 1, Math.floor((bar + 1) * room / bars));
      let peak = 0;
      for (let i = from; i < Math.min(to, this.peaks.length); i++) peak = Math.max(peak, this.peaks[i] || 0);
      const tall = Math.max(2 * scale, height * peak / loudest);
      const there = from < this.peaks.length, heard = there && from < share * this.peaks.length;
      pen.fillStyle = heard ? wave : there ? soft : line;
      pen.fillRect(bar * 3 * scale, (height - tall) / 2, 2 * scale, tall);
    }
  }
}

function wav(pieces, samples) {
  const bytes = new ArrayBuffer(44 + 2 * samples), view = new DataView(bytes);
  const text = (at, word) => [...word].forEach((char, i) => view.setUint8(at + i, char.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + 2 * samples, true); text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, RATE, true); view.setUint32(28, 2 * RATE, true); view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  text(36, "data"); view.setUint32(40, 2 * samples, true);
  let at = 44;
  for (const piece of pieces) {
    for (const sample of piece) {
      view.setInt16(at, Math.round(Math.max(-1, Math.min(1, sample)) * 32767), true);
      at += 2;
    }
  }
  return new Blob([bytes], { type: "audio/wav" });
}

document.querySelectorAll(".voice").forEach((section, i) => cards.push(new Card(section, i)));

function options(select, voices, none) {
  const before = select.value;
  select.replaceChildren(...(none ? [new Option("no second voice", "")] : []), ...voices.map(voice =>
    new Option(voice.alias_of ? `${voice.name} (${voice.alias_of})` : voice.name, voice.id)));
  if (voices.some(voice => voice.id === before)) select.value = before;
}

async function list() {
  const answer = await fetch("/v1/audio/voices", { headers: headers() });
  if (answer.status === 401) {
    by("locked").textContent = key.get() ? "That key does not fit." : "";
    by("lock").hidden = false;
    by("main").hidden = true;
    by("key").focus();
    return;
  }
  if (!answer.ok) throw new Error(await why(answer));
  const { voices } = await answer.json();
  by("lock").hidden = true;
  if (by("main").hidden) {
    by("main").hidden = false;
    cards.forEach(card => card.show()); // now they have a size
    by("words").focus();
  }
  options(cards[0].select, voices, false);
  options(cards[1].select, voices, true);
  by("speak").disabled = !voices.length;
  by("trouble").textContent = voices.length ? "" : "There is no voice yet; whatever is put into the folder shows here.";
}

async function speak() {
  stop();
  // Made by a press of the user's, or a browser keeps it silent.
  context = context || new AudioContext({ sampleRate: RATE });
  const mine = asked = new AbortController();
  const wanted = cards.filter(card => card.select.value);
  const settings = { speed: by("speed").valueAsNumber || 1 };
  // Compared voices draw with the same seed.
  settings.seed = by("seed").value ? by("seed").valueAsNumber : crypto.getRandomValues(new Uint32Array(1))[0];
  cards.forEach(card => card.clear());
  by("trouble").textContent = "";
  by("stop").disabled = false;
  const words = by("words").value;
  const running = wanted.map(card => card.ask(words, settings, mine.signal).catch(error => {
    card.fail();
    if (!mine.signal.aborted) by("trouble").textContent = error.message;
  }));
  // One after another: nobody hears two at once.
  for (const card of wanted) {
    if (!mine.signal.aborted && (card.samples || !card.whole)) await card.play();
  }
  await Promise.all(running);
  if (asked === mine) by("stop").disabled = true;
}

function stop() {
  if (asked) asked.abort();
  cards.forEach(card => card.silence());
  by("stop").disabled = true;
}

by("ask").addEventListener("submit", event => {
  event.preventDefault();
  speak();
});
by("stop").addEventListener("click", stop);
by("lock").addEventListener("submit", event => {
  event.preventDefault();
  key.set(by("key").value);
  list().catch(tell);
});
addEventListener("resize", () => cards.forEach(card => card.show()));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => cards.forEach(card => card.show()));
for (const card of cards) card.select.addEventListener("focus", () => list().catch(tell));
document.addEventListener("keydown", event => {
  if (event.key === "Escape") stop();
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) by("ask").requestSubmit();
  const typing = /^(TEXTAREA|INPUT|SELECT)$/.test(document.activeElement.tagName);
  if (!typing && !event.ctrlKey && !event.metaKey && !event.altKey && /^[12]$/.test(event.key)) {
    const card = cards[event.key - 1];
    if (!card.button.disabled) card.toggle();
  }
});

function tell(error) {
  by("main").hidden = false;
  by("trouble").textContent = error.message;
}

list().catch(tell);
