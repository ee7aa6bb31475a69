// The studio's page. Everything that it knows comes from `state`; what a person decides goes to `project` at once.

const $ = (name) => document.getElementById(name);
const WIDTH = 0.02; // of a point, in shares of the picture
const MOVED = 0.012; // how far a pointer goes before a click becomes a stroke
const HISTORY = 200;
const REACH_WAIT = 800; // milliseconds
const THUMB_SECONDS = 15, MOST_THUMBS = 4; // of a shot: a picture each in the strip

let state = { kind: "film", shots: [], hints: [], choices: [], seen: [], models: [], palettes: [], version: 0, looks: 0 };
let shot = 0; // index of the shot or photo that is shown
let frame = 0; // number of the frame in the film
let spot = null; // the place or stroke that gets a color: {points}
let timer = 0; // of the next poll
let pending = 0; // saves that are not answered
let saving = Promise.resolve();
let saves = 0; // that were begun
let trouble = ""; // what went wrong last
let isRefused = false; // whether the page may show what the studio has not
let isGone = false; // whether the studio answers no more
let picking = false; // whether the next click takes the color of a place
const done = [], undone = []; // earlier and later {hints, choices, seen}

async function ask(path, options = {}) {
  const answer = await fetch(path, options);
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({ problem: `the studio answered ${answer.status}.` }));
    throw new Error(told.problem);
  }
  return answer.json();
}

function tell(problem) {
  trouble = problem;
  showProblem();
}

function showProblem() {
  const told = trouble || (isGone ? "The studio has ended. Start it again, and reload this page: all is saved." : "")
    || state.problem || (arePhotos() && !isWall() && current()?.problem) || "";
  $("problem").textContent = told;
  $("problem").hidden = !told;
}

const clock = (seconds) => {
  const whole = Math.floor(seconds), pad = (number) => String(number).padStart(2, "0");
  return `${Math.floor(whole / 3600)}:${pad(Math.floor(whole / 60) % 60)}:${pad(whole % 60)}`;
};
const current = () => state.shots[shot];
const arePhotos = () => state.kind === "photos";
const isWall = () => document.body.classList.contains("wall");
const said = () => ({ hints: state.hints, choices: state.choices, ...(arePhotos() && { seen: state.seen }) });
const lastOf = (each) => each.last ?? each.first;
const address = (number, more = "") => `picture?frame=${number}&v=${state.version}.${state.looks}${more}`;
const isOf = (entry, each) => !entry.frames || (entry.frames[0] <= lastOf(each) && entry.frames[1] >= each.first);

// The state

async function poll() {
  let wait = 1000;
  try {
    const before = state.shots.length, wasDone = state.surveyed, { version, looks } = state;
    const begun = saves, wasPending = pending, found = await ask("state");
    const isOld = wasPending || pending || begun !== saves; // the page knows better what is said
    if (!isOld && found.version !== state.version) done.length = undone.length = 0; // something else was said elsewhere
    state = isOld ? { ...found, ...said(), version: state.version } : found;
    isGone = false;
    $("film").textContent = state.name;
    document.title = `${state.name}: vidcolor studio`;
    showProblem();
    showProgress();
    const isNew = version !== state.version || looks !== state.looks || (isRefused && !isOld);
    if (!isOld) isRefused = false;
    if (state.shots.length !== before || state.surveyed !== wasDone || !wasDone || isNew) showStrip();
    if (!before && state.shots.length) begin();
    if (isNew) {
      showShot();
      showHistory();
    }
    showRendering();
    wait = state.surveyed && !state.rendering?.running ? 4000 : 1000;
  } catch (error) {
    isGone = error instanceof TypeError;
    if (isGone) showProblem();
    else tell(error.message);
  }
  clearTimeout(timer);
  timer = setTimeout(poll, wait);
}

function begin() {
  document.body.classList.toggle("photos", arePhotos());
  $("strip").setAttribute("aria-label", arePhotos() ? "Photos" : "Shots");
  for (const name of ["show-wall", "order-choice", "next", "good"]) $(name).hidden = !arePhotos();
  if (!arePhotos()) return show(0);
  $("said-title").textContent = "Said of this photo";
  $("output-label").textContent = "Folder, beside this one";
  showWall();
}

function showProgress() {
  const count = state.shots.length, what = arePhotos() ? "photo" : "shot", told = `${count} ${what}${count === 1 ? "" : "s"}`;
  const looked = state.shots.filter((each) => each.unsure !== null).length, seen = state.seen?.length ? `, ${state.seen.length} good` : "";
  const more = arePhotos() ? `, looked at ${looked}` : ", looking for more";
  $("progress").textContent = told + seen + (state.surveyed ? "" : more);
}

function save(change, isNew = true) {
  if (isNew) {
    done.push(said());
    if (done.length > HISTORY) done.shift();
    undone.length = 0;
  }
  Object.assign(state, change);
  showHints();
  showMarks();
  showHistory();
  pending += 1;
  saves += 1;
  $("status").textContent = "saving";
  const sent = said();
  saving = saving.then(() => put(sent)); // one after the other
}

async function put(sent) {
  try {
    const body = JSON.stringify({ ...sent, version: state.version });
    const answer = await ask("project", { method: "PUT", headers: { "Content-Type": "application/json" }, body });
    state.version = answer.version;
    tell("");
  } catch (error) {
    isRefused = true;
    tell(error.message);
    done.length = undone.length = 0; // they lack what another program or window said
  }
  pending -= 1;
  if (pending) return;
  $("status").textContent = "";
  if (isRefused) await poll(); // what the studio holds for true
  showHistory();
  showShot();
  showStrip();
}

function showHistory() {
  $("undo").disabled = !done.length;
  $("redo").disabled = !undone.length;
}

function step(from, to) {
  if (!from.length) return;
  to.push(said());
  save(from.pop(), false);
}

// Shots and photos

const KINDS = { black: ", black", blank: ", blank", color: ", in color", broken: ", cannot be read" };
const isChanged = (each) => state.hints.some((hint) => isOf(hint, each) && hint.frames) || state.choices.some((choice) => isOf(choice, each));

function showWall() {
  document.body.classList.add("wall");
  if (!picking) cancel();
  showStrip();
  $("strip").children[shot]?.scrollIntoView({ block: "nearest" });
}

// The photos that nobody has looked at or changed yet, those first of which the network is least sure.
function unlooked() {
  const left = state.shots.map((each, index) => ({ ...each, index })).filter((each) => each.kind === "picture" && !state.seen.includes(each.index) && !isChanged(each));
  return left.sort((one, other) => (other.unsure ?? 0) - (one.unsure ?? 0));
}

function showNext() {
  const left = unlooked(), place = left.findIndex(({ index }) => index === shot), isLast = place === left.length - 1;
  if (!left.length || (left.length === 1 && place === 0)) {
    showWall();
    $("status").textContent = "";
    return tell(state.surveyed ? "All photos are looked at." : "");
  }
  show(left[isWall() || isLast ? 0 : place + 1].index);
}

function toggleGood() {
  if (isWall()) return;
  const isGood = state.seen.includes(shot);
  save({ seen: isGood ? state.seen.filter((index) => index !== shot) : [...state.seen, shot] });
  showStrip();
  showProgress();
  if (isGood) showHints();
  else showNext();
}

function showStrip() {
  const strip = $("strip");
  state.shots.forEach((each, index) => {
    let button = strip.children[index];
    if (!button) {
      button = document.createElement("button");
      button.type = "button";
      button.innerHTML = "<span class=thumbs></span><span class=label></span>";
      button.addEventListener("click", () => show(Number(button.dataset.index)));
      button.dataset.index = index;
      strip.append(button);
    }
    const changed = isChanged(each), isSeen = state.seen?.includes(index), kind = KINDS[each.kind] ?? "";
    const name = each.name ?? `${index + 1}: ${clock(each.seconds)}`;
    button.querySelector(".label").textContent = `${changed ? "● " : isSeen ? "✓ " : ""}${name}${kind}`;
    button.title = each.name ?? "";
    button.setAttribute("aria-label", `${each.name ?? `shot ${index + 1} at ${clock(each.seconds)}`}${kind}${changed ? ", changed" : ""}${isSeen ? ", good" : ""}`);
    button.style.order = $("order").checked && arePhotos() ? Math.round(-100 * (each.unsure ?? 0)) : "";
    if (index === shot && !isWall()) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
    showThumbs(button.querySelector(".thumbs"), framesOf(each));
  });
}

// The frames of a shot that the strip shows: more of long ones.
function framesOf(each) {
  const length = lastOf(each) - each.first, count = Math.min(MOST_THUMBS, 1 + Math.floor(length / state.frame_rate / THUMB_SECONDS));
  return Array.from({ length: count }, (_, place) => each.first + Math.floor(length * place / count));
}

function showThumbs(box, frames) {
  while (box.children.length > frames.length) box.lastElementChild.remove();
  frames.forEach((number, place) => {
    const thumb = box.children[place] ?? box.appendChild(document.createElement("span"));
    if (!thumb.children.length) {
      thumb.className = "thumb";
      thumb.innerHTML = '<img class=color loading=lazy fetchpriority=low alt=""><img class=gray loading=lazy fetchpriority=low alt="">';
    }
    const [color, gray] = thumb.children, sources = [address(number, "&side=240"), `picture?frame=${number}&side=240&gray&v=${state.looks}`];
    if (color.getAttribute("src") !== sources[0]) color.src = sources[0];
    if (gray.getAttribute("src") !== sources[1]) gray.src = sources[1];
  });
}

function show(index) {
  if (!state.shots[index]) return;
  if (index !== shot) trouble = "";
  shot = index;
  frame = current().first;
  document.body.classList.remove("wall");
  document.documentElement.style.setProperty("--ratio", current().aspect ?? state.aspect);
  if (!picking) cancel();
  stopClip();
  showStrip();
  $("strip").children[index]?.scrollIntoView({ block: "nearest", inline: "nearest" });
  showShot();
}

function go(number) {
  const { first } = current(), last = lastOf(current());
  frame = Math.max(first, Math.min(last, number));
  stopClip();
  showFrame();
}

function showShot() {
  const each = current();
  if (!each) return;
  Object.assign($("time"), { min: each.first, max: lastOf(each) });
  showProblem();
  showFrame();
  showHints();
  showChoices();
  showReach();
}

function showFrame() {
  $("time").value = frame;
  const seconds = (current().seconds ?? 0) + (frame - current().first) / state.frame_rate;
  $("where").textContent = `frame ${frame}, ${clock(seconds)}`;
  const started = performance.now(), source = address(frame);
  if ($("after").getAttribute("src") !== source) {
    $("after").onerror = () => ask($("after").getAttribute("src")).catch((error) => tell(error.message));
    $("after").onload = () => { document.body.dataset.milliseconds = Math.round(performance.now() - started); };
    $("after").src = source;
  }
  $("before").src = `picture?frame=${frame}&gray&v=${state.looks}`;
  showMarks();
}

async function showReach() {
  const each = current(), version = state.version;
  $("reach").replaceChildren();
  if (!hintsHere().length || arePhotos()) return;
  await new Promise((resolve) => setTimeout(resolve, REACH_WAIT)); // the picture comes first
  if (version !== state.version || each.first !== current().first) return;
  try {
    const found = await ask(`reach?first=${each.first}&last=${lastOf(each)}`);
    if (version !== state.version || each.first !== current().first) return;
    $("reach").replaceChildren(...found.map(({ share }) => {
      const part = document.createElement("i");
      part.style.opacity = 0.08 + 0.92 * share;
      return part;
    }));
    $("reach").title = "where what you said holds";
  } catch (error) { tell(error.message); }
}

// What is said

const hintsHere = () => state.hints.map((hint, index) => ({ hint, index })).filter(({ hint }) => isOf(hint, current()) && (hint.frames || (hint.frame >= current().first && hint.frame <= lastOf(current()))));
const css = (color) => (Array.isArray(color) ? "transparent" : color);
const middleOf = (hint) => hint.point ?? hint.stroke?.[Math.floor(hint.stroke.length / 2)] ?? hint.region[0];

function showHints() {
  const here = hintsHere();
  $("no-hints").hidden = here.length > 0;
  $("no-hints").textContent = current()?.kind === "color" ? "This photo is in color, and stays as it is."
    : "Click on a thing in the picture, or drag along it, and say its color.";
  $("good").setAttribute("aria-pressed", String(Boolean(state.seen?.includes(shot))));
  $("hints").replaceChildren(...here.map(({ hint, index }) => {
    const item = document.createElement("li"), swatch = document.createElement("span"), text = document.createElement("button"), gone = document.createElement("button");
    swatch.className = "swatch";
    swatch.style.background = css(hint.color);
    text.type = gone.type = "button";
    text.textContent = `${typeof hint.color === "string" ? hint.color : "a*b*"}${arePhotos() ? "" : ` at frame ${hint.frame}`}${hint.frames ? "" : ", everywhere"}`;
    text.addEventListener("click", () => go(hint.frame));
    gone.textContent = "Delete";
    gone.setAttribute("aria-label", `Delete ${text.textContent}`);
    gone.addEventListener("click", () => remove(index));
    item.append(swatch, text, gone);
    return item;
  }));
}

function remove(index) {
  save({ hints: state.hints.filter((_, place) => place !== index) });
}

function showMarks() {
  $("frame").querySelectorAll(".mark").forEach((mark) => mark.remove());
  $("marks").replaceChildren();
  for (const { hint, index } of hintsHere().filter(({ hint }) => hint.frame === frame)) {
    const [x, y] = middleOf(hint), mark = document.createElement("button");
    mark.type = "button";
    mark.className = "mark";
    mark.style.cssText = `left: ${100 * x}%; top: ${100 * y}%; background: ${css(hint.color)}`;
    mark.setAttribute("aria-label", `${hint.color}; drag to move, Delete to remove`);
    mark.addEventListener("pointerdown", (event) => drag(event, mark, hint, index));
    mark.addEventListener("keydown", (event) => { if (event.key === "Delete") { event.stopPropagation(); remove(index); } });
    $("frame").append(mark);
    if (hint.stroke) drawLine(hint.stroke, css(hint.color));
  }
  if (spot && spot.points.length > 1) drawLine(spot.points, "#fff");
}

function drawLine(points, color) {
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  line.setAttribute("points", points.map((point) => point.join(",")).join(" "));
  for (const [name, value] of Object.entries({ fill: "none", stroke: color, "stroke-width": 3, "vector-effect": "non-scaling-stroke" })) line.setAttribute(name, value);
  $("marks").append(line);
}

function placeOf(event) {
  const box = $("frame").getBoundingClientRect(), limit = (value) => Math.max(0, Math.min(1, value));
  return [limit((event.clientX - box.left) / box.width), limit((event.clientY - box.top) / box.height)].map((value) => Number(value.toFixed(4)));
}

function drag(event, mark, hint, index) {
  event.stopPropagation();
  event.preventDefault();
  mark.setPointerCapture(event.pointerId);
  const from = placeOf(event);
  let to = from;
  mark.onpointermove = (moved) => {
    to = placeOf(moved);
    mark.style.left = `${100 * to[0]}%`;
    mark.style.top = `${100 * to[1]}%`;
  };
  mark.onpointerup = () => {
    mark.onpointermove = mark.onpointerup = null;
    if (Math.hypot(to[0] - from[0], to[1] - from[1]) < 0.003) return;
    const limit = (value) => Math.max(0, Math.min(1, value)), shift = ([x, y]) => [limit(x + to[0] - from[0]), limit(y + to[1] - from[1])];
    const moved = { ...hint };
    for (const shape of ["point", "stroke", "region"]) if (hint[shape]) moved[shape] = shape === "point" ? shift(hint.point) : hint[shape].map(shift);
    save({ hints: state.hints.map((other, place) => (place === index ? moved : other)) });
  };
}

$("frame").addEventListener("pointerdown", (event) => {
  if (event.button || event.target.closest(".mark, #divider")) return;
  event.preventDefault();
  $("stage").focus();
  if (picking) return pick(placeOf(event));
  $("frame").setPointerCapture(event.pointerId);
  const points = [placeOf(event)];
  $("frame").onpointermove = (moved) => {
    const place = placeOf(moved), [x, y] = points.at(-1);
    if (Math.hypot(place[0] - x, place[1] - y) < MOVED) return;
    points.push(place);
    spot = { points };
    showMarks();
  };
  $("frame").onpointerup = () => {
    $("frame").onpointermove = $("frame").onpointerup = null;
    point(points);
  };
});

async function point(points) {
  spot = { points, frame, shot: current() };
  const [x, y] = points[Math.floor((points.length - 1) / 2)];
  $("spot").style.cssText = `left: ${100 * x}%; top: ${100 * y}%`;
  $("spot").hidden = false;
  $("colors").hidden = false;
  showMarks();
  const asked = spot;
  try {
    const colors = await ask(`likely?frame=${frame}&x=${x}&y=${y}`);
    if (asked !== spot) return;
    $("likely").replaceChildren(...colors.map((color) => {
      const button = document.createElement("button");
      button.type = "button";
      button.style.background = color;
      button.setAttribute("aria-label", `likely color ${color}`);
      button.addEventListener("click", () => say(color));
      return button;
    }));
  } catch (error) { tell(error.message); }
}

function cancel() {
  spot = null;
  picking = false;
  $("spot").hidden = true;
  $("colors").hidden = true;
  $("likely").replaceChildren();
  $("as-here").setAttribute("aria-pressed", "false");
  $("status").textContent = "";
  showMarks();
}

// A shot as it is known now; nothing, and a word, while its end is not found.
function whole(each) {
  const found = state.shots.find(({ first }) => first === each.first) ?? each;
  if (found.last !== null) return found;
  tell("The end of this shot is not found yet. Do that again in a moment.");
  return null;
}

function say(color) {
  if (!spot) return;
  const { points, frame: asked } = spot, isEverywhere = $("everywhere").checked;
  const each = isEverywhere ? spot.shot : whole(spot.shot), hint = { frame: asked };
  if (!each) return;
  if (points.length > 1) hint.stroke = points;
  else hint.point = points[0];
  Object.assign(hint, { color, size: [1, 1], width: WIDTH });
  if (!isEverywhere) hint.frames = [each.first, each.last];
  cancel();
  save({ hints: [...state.hints, hint] });
}

async function pick([x, y]) {
  try {
    const color = await ask(`color?frame=${frame}&x=${x}&y=${y}`);
    picking = false;
    say(color);
  } catch (error) { tell(error.message); }
}

// Choices

function chosenHere() {
  const found = { model: state.model, saturation: state.saturation, palette: "" };
  for (const choice of state.choices) if (choice.frames[0] <= current().first && choice.frames[1] >= current().first) Object.assign(found, choice);
  return found;
}

function showChoices() {
  const here = chosenHere(), offered = [];
  for (const model of new Set([state.model, ...state.models])) offered.push([model, { model }]);
  for (const saturation of new Set([state.saturation, 0.6, 0.8, 1, 1.3])) offered.push([`saturation ${saturation}`, { saturation }]);
  if (state.palettes.length) offered.push(["no palette", { palette: "" }]);
  for (const palette of state.palettes) offered.push([palette, { palette }]);
  $("choices").replaceChildren(...offered.map(([name, choice]) => {
    const button = document.createElement("button"), picture = document.createElement("img"), label = document.createElement("span");
    const asked = { model: here.model, saturation: here.saturation, palette: here.palette, ...choice };
    button.type = "button";
    button.setAttribute("aria-pressed", String(Object.entries(choice).every(([key, value]) => (here[key] ?? "") === value)));
    picture.loading = "lazy";
    picture.alt = "";
    picture.src = `picture?frame=${current().first}&side=240&${new URLSearchParams(asked)}`;
    label.textContent = name;
    button.append(picture, label);
    button.addEventListener("click", () => choose(choice));
    return button;
  }));
}

async function choose(choice) {
  if (!whole(current())) return;
  let shots = [current()];
  if ($("alike").checked && !arePhotos()) {
    $("status").textContent = "looking for shots that show the same";
    try {
      shots = (await ask(`alike?frame=${current().first}`)).map((index) => state.shots[index]).filter(({ last }) => last !== null);
    } catch (error) { return tell(error.message); }
    $("status").textContent = "";
  }
  save({ choices: shots.reduce((choices, each) => withChoice(choices, [each.first, lastOf(each)], choice), state.choices) });
  if (shots.length > 1) $("status").textContent = `chosen for ${shots.length} shots`;
}

function withChoice(choices, frames, choice) {
  const isSame = (each) => each.frames[0] === frames[0] && each.frames[1] === frames[1];
  const next = { ...(choices.find(isSame) ?? { frames }), ...choice };
  if (next.palette === "") delete next.palette;
  if (next.model === state.model) delete next.model;
  if (next.saturation === state.saturation) delete next.saturation;
  const others = choices.filter((each) => !isSame(each));
  return Object.keys(next).length > 1 ? [...others, next] : others;
}

async function keepPalette() {
  try {
    await saving;
    const name = await ask("palette", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ frame }) });
    state.palettes = [name, ...state.palettes.filter((other) => other !== name)];
    showChoices();
    $("status").textContent = "kept; choose it for other shots and photos";
  } catch (error) { tell(error.message); }
}

// The picture

function divide(share) {
  const at = Math.max(0, Math.min(100, share));
  document.documentElement.style.setProperty("--at", `${at}%`);
  $("divider").setAttribute("aria-valuenow", Math.round(at));
}

function zoom(factor) {
  const now = Number(getComputedStyle(document.documentElement).getPropertyValue("--zoom"));
  document.documentElement.style.setProperty("--zoom", factor ? Math.max(1, Math.min(8, now * factor)) : 1);
}

$("divider").addEventListener("pointerdown", (event) => {
  event.stopPropagation();
  $("divider").setPointerCapture(event.pointerId);
  $("divider").onpointermove = (moved) => divide(100 * placeOf(moved)[0]);
  $("divider").onpointerup = () => { $("divider").onpointermove = null; };
});
$("divider").addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -5, ArrowRight: 5 }[event.key];
  if (!by) return;
  event.stopPropagation();
  event.preventDefault();
  divide(Number($("divider").getAttribute("aria-valuenow")) + by);
});

async function play() {
  const clip = $("clip");
  if (!clip.hidden) return clip.paused ? clip.play() : clip.pause();
  const each = current();
  await saving;
  if (each.first !== current().first) return;
  $("status").textContent = "coloring the shot";
  clip.onloadeddata = () => { $("status").textContent = ""; };
  clip.onerror = () => { $("status").textContent = ""; tell("The shot cannot be played."); stopClip(); };
  clip.src = `clip?first=${each.first}&last=${lastOf(each)}&v=${state.version}`;
  clip.hidden = false;
  $("frame").hidden = true;
  clip.play().catch(() => {});
}

function stopClip() {
  $("clip").pause();
  $("clip").hidden = true;
  $("frame").hidden = false;
}

// Rendering

function showRendering() {
  const found = state.rendering;
  $("stop-render").hidden = !found?.running;
  $("start-render").hidden = Boolean(found?.running);
  $("render-bar").hidden = !found?.running;
  if (!found) return;
  const { facts } = found, total = facts.total ?? facts.frames, count = facts.frames ?? facts.done, things = arePhotos() ? "files" : "frames";
  if (facts.event === "progress" && facts.total) $("render-bar").value = count / facts.total;
  else if (found.running) $("render-bar").removeAttribute("value");
  const left = facts.seconds_left ? `, ${clock(facts.seconds_left)} left` : "";
  const told = found.running ? (facts.event === "progress" ? `${count} of ${total ?? "?"} ${things}${left}` : "starting")
    : found.problem || (facts.event === "done" || facts.event === "passed" ? `${found.output} is done.` : "stopped; the same run goes on where it was.");
  if (!found.running && facts.event === "done" && $("output").value === found.output) $("overwrite").checked = true; // it is its own
  $("render-state").textContent = [told, ...found.warnings].join(" ");
}

$("show-render").addEventListener("click", () => {
  if (!$("output").value) $("output").value = arePhotos() ? `${state.name}-color` : state.name.replace(/(\.[^.]*)?$/, "-color$1");
  $("render").showModal();
});
$("close-render").addEventListener("click", () => $("render").close());
$("start-render").addEventListener("click", async () => {
  try {
    await saving;
    state.rendering = await ask("render", {
      method: "POST", headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ output: $("output").value, overwrite: $("overwrite").checked }),
    });
    showRendering();
    poll();
  } catch (error) { $("render-state").textContent = error.message; }
});
$("stop-render").addEventListener("click", () => ask("render", { method: "DELETE" }).catch((error) => tell(error.message)));

// Buttons and keys

$("show-wall").addEventListener("click", showWall);
$("order").addEventListener("change", showStrip);
$("next").addEventListener("click", showNext);
$("keep-palette").addEventListener("click", keepPalette);
$("good").addEventListener("click", toggleGood);
$("undo").addEventListener("click", () => step(done, undone));
$("redo").addEventListener("click", () => step(undone, done));
$("show-help").addEventListener("click", () => $("help").showModal());
$("only-before").addEventListener("click", () => divide(100));
$("split").addEventListener("click", () => divide(50));
$("only-after").addEventListener("click", () => divide(0));
$("nearer").addEventListener("click", () => zoom(1.5));
$("farther").addEventListener("click", () => zoom(1 / 1.5));
$("play").addEventListener("click", play);
$("time").addEventListener("input", () => go(Number($("time").value)));
$("use-wheel").addEventListener("click", () => say($("wheel").value));
$("use-gray").addEventListener("click", () => say("gray"));
$("cancel").addEventListener("click", cancel);
$("as-here").addEventListener("click", () => {
  picking = true;
  $("as-here").setAttribute("aria-pressed", "true");
  $("status").textContent = "click on the place, of any frame or shot, whose color it has";
});

const KEYS = {
  ArrowUp: () => show(shot - 1), ArrowDown: () => show(shot + 1),
  b: () => divide(100), s: () => divide(50), a: () => divide(0),
  "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), 0: () => zoom(0),
  " ": () => { if (!arePhotos()) play(); }, "?": () => $("help").showModal(),
  n: () => { if (arePhotos()) showNext(); }, g: () => { if (arePhotos()) toggleGood(); },
  Escape: () => { if (arePhotos() && !spot && !picking) showWall(); cancel(); stopClip(); },
  h: () => { if (!isWall()) point([[0.5, 0.5]]); }, Enter: () => $("likely").firstElementChild?.click(),
  Delete: () => { const here = hintsHere().at(-1); if (here) remove(here.index); },
};

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]") || event.target.matches("input[type=text], input[type=color]")) return;
  if ((event.ctrlKey || event.metaKey) && "zy".includes(event.key)) {
    event.preventDefault();
    return event.key === "z" && !event.shiftKey ? step(done, undone) : step(undone, done);
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("button") && (event.key === "Enter" || event.key === " ")) return;
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (moves && spot && spot.points.length === 1) {
    event.preventDefault();
    const limit = (value) => Math.max(0, Math.min(1, value)), size = event.shiftKey ? 0.05 : 0.01;
    return point([[limit(spot.points[0][0] + size * moves[0]), limit(spot.points[0][1] + size * moves[1])]]);
  }
  if (moves && isWall()) return; // the page scrolls
  if (moves?.[0] && current() && !arePhotos()) {
    event.preventDefault();
    return go(frame + moves[0] * (event.shiftKey ? 10 : 1));
  }
  if (KEYS[event.key] && current()) {
    event.preventDefault();
    KEYS[event.key]();
  }
});

poll();
