"use strict";
(() => {
  const LARGEST_FIT = 3; // times its pixels that a small picture is enlarged by itself
  const NEAREST = 8; // times its pixels that one can come
  const get = (id) => document.getElementById(id);
  const root = document.documentElement, viewer = get("viewer"), help = get("help");
  const stage = get("stage"), frame = get("frame"), divider = get("divider"), play = get("play"), sorry = get("sorry");
  const figures = [...document.querySelectorAll("figure")];
  const clamp = (value, least, most) => Math.min(most, Math.max(least, value));

  // What is shown: its number, its size in pixels, the divider's place (0..100), and how it is zoomed and moved.
  const now = { index: 0, width: 1, height: 1, at: 50, zoom: 1, fit: 1, x: 0, y: 0, pictures: [], video: null };

  get("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  const showAll = (at) => {
    root.style.setProperty("--at", `${at}%`);
    for (const input of document.querySelectorAll("input[name=all]")) input.checked = Number(input.value) === at;
  };
  for (const input of document.querySelectorAll("input[name=all]")) {
    input.addEventListener("change", () => showAll(Number(input.value)));
  }
  const wanted = get("filter");
  wanted?.addEventListener("input", () => {
    const text = wanted.value.toLowerCase();
    for (const row of document.querySelectorAll("tbody tr")) row.hidden = !row.textContent.toLowerCase().includes(text);
  });

  figures.forEach((figure, index) => figure.querySelector("button").addEventListener("click", () => open(index)));
  get("previous").addEventListener("click", () => step(-1));
  get("next").addEventListener("click", () => step(1));
  get("only-before").addEventListener("click", () => slideOrBack(100));
  get("only-after").addEventListener("click", () => slideOrBack(0));
  get("nearer").addEventListener("click", () => zoomBy(1.4));
  get("farther").addEventListener("click", () => zoomBy(1 / 1.4));
  get("close").addEventListener("click", () => viewer.close());
  play.addEventListener("click", playOrPause);
  for (const button of document.querySelectorAll(".show-help")) button.addEventListener("click", () => help.showModal());
  get("close-help").addEventListener("click", () => help.close());
  help.addEventListener("click", (event) => event.target === help && help.close());
  viewer.addEventListener("close", () => {
    clear();
    figures[now.index].querySelector("button").focus();
  });
  new ResizeObserver(() => viewer.open && arrange()).observe(stage);

  function open(index) {
    clear();
    now.index = index;
    const figure = figures[index], kept = figure.querySelector("template")?.content.cloneNode(true);
    const video = kept?.querySelector("video") ?? null;
    if (!viewer.open) viewer.showModal();
    if (video) showClip(video, figure);
    else showImages([...(kept ?? figure).querySelectorAll("img")].map((image) => image.cloneNode()));
    play.hidden = !video;
    get("previous").disabled = index === 0;
    get("next").disabled = index === figures.length - 1;
    get("caption").textContent = `${index + 1} / ${figures.length}  ${figure.querySelector("figcaption").textContent}`;
    Object.assign(now, { zoom: 1, x: 0, y: 0 });
    slide(50);
    arrange();
  }

  function showImages(images) {
    for (const image of images) image.loading = "eager";
    images.sort((one, other) => other.classList.contains("before") - one.classList.contains("before"));
    put(images, Number(images[0].getAttribute("width")), Number(images[0].getAttribute("height")));
  }

  // One film holds both pictures, before above after, so that they cannot fall out of step.
  function showClip(video, figure) {
    const width = Number(video.getAttribute("width")), height = Number(video.getAttribute("height")) / 2;
    const canvases = ["before", "after"].map((name) => {
      const canvas = Object.assign(document.createElement("canvas"), { width, height });
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${name}: ${figure.querySelector("figcaption").textContent}`);
      canvas.getContext("2d").drawImage(figure.querySelector(`img.${name}`), 0, 0, width, height);
      return canvas;
    });
    put(canvases, width, height);
    Object.assign(video, { muted: true, loop: true });
    const draw = () => {
      if (now.video !== video) return;
      if (video.readyState > 1) {
        canvases.forEach((canvas, half) =>
          canvas.getContext("2d").drawImage(video, 0, half * height, width, height, 0, 0, width, height));
      }
      if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(draw);
      else requestAnimationFrame(draw);
    };
    video.addEventListener("error", () => { sorry.hidden = false; play.hidden = true; });
    for (const name of ["play", "pause"]) video.addEventListener(name, tellPlaying);
    frame.append(video);
    now.video = video;
    draw();
    tellPlaying();
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) playOrPause();
  }

  function put(pictures, width, height) {
    Object.assign(now, { pictures, width, height });
    pictures.forEach((picture, place) => frame.querySelector(place ? ".layer.after" : ".layer.before").prepend(picture));
  }

  function clear() {
    const video = now.video;
    for (const picture of now.pictures) picture.remove();
    Object.assign(now, { pictures: [], video: null });
    video?.pause();
    video?.remove();
    sorry.hidden = true;
  }

  function playOrPause() {
    if (!now.video) return;
    if (now.video.paused) now.video.play().catch(() => {}); // its error event says why
    else now.video.pause();
  }

  function tellPlaying() {
    const paused = now.video?.paused ?? true;
    play.textContent = paused ? "\u25B6" : "\u2016";
    play.setAttribute("aria-label", paused ? "Play" : "Pause");
  }

  const step = (by) => figures[now.index + by] && open(now.index + by);

  function slide(at) {
    now.at = clamp(at, 0, 100);
    frame.style.setProperty("--at", `${now.at}%`);
    divider.setAttribute("aria-valuenow", Math.round(now.at));
    divider.setAttribute("aria-valuetext", `${Math.round(now.at)} % before`);
    get("only-before").setAttribute("aria-pressed", now.at === 100);
    get("only-after").setAttribute("aria-pressed", now.at === 0);
    frame.querySelector(".label.left").hidden = now.at < 8;
    frame.querySelector(".label.right").hidden = now.at > 92;
  }

  const slideOrBack = (at) => slide(now.at === at ? 50 : at);

  // The frame is what can be seen of the picture; the divider's place is counted in it, so that it stays in sight.
  function arrange() {
    const room = [stage.clientWidth, stage.clientHeight];
    now.fit = Math.min(room[0] / now.width, room[1] / now.height, LARGEST_FIT);
    now.zoom = clamp(now.zoom, 1, Math.max(2, NEAREST / now.fit));
    const whole = [now.width, now.height].map((side) => side * now.fit * now.zoom);
    const seen = whole.map((side, axis) => Math.min(side, room[axis]));
    now.x = clamp(now.x, (seen[0] - whole[0]) / 2, (whole[0] - seen[0]) / 2);
    now.y = clamp(now.y, (seen[1] - whole[1]) / 2, (whole[1] - seen[1]) / 2);
    Object.assign(frame.style, { width: `${seen[0]}px`, height: `${seen[1]}px` });
    frame.classList.toggle("near", now.zoom > 1);
    for (const picture of now.pictures) {
      Object.assign(picture.style, {
        width: `${whole[0]}px`, height: `${whole[1]}px`,
        left: `${(seen[0] - whole[0]) / 2 + now.x}px`, top: `${(seen[1] - whole[1]) / 2 + now.y}px`,
      });
    }
  }

  // The point of the picture under (clientX, clientY) stays there.
  function zoomBy(factor, clientX, clientY) {
    const box = stage.getBoundingClientRect(), before = now.zoom;
    const dx = (clientX ?? box.x + box.width / 2) - box.x - box.width / 2;
    const dy = (clientY ?? box.y + box.height / 2) - box.y - box.height / 2;
    now.zoom = clamp(before * factor, 1, Math.max(2, NEAREST / now.fit));
    now.x = dx - (dx - now.x) * now.zoom / before;
    now.y = dy - (dy - now.y) * now.zoom / before;
    arrange();
  }

  // To the picture's own pixels and back.
  const zoomOrBack = (x, y) => zoomBy(now.zoom > 1 ? 1 / now.zoom : 1 / now.fit > 1.2 ? 1 / now.fit : 2, x, y);

  function pan(dx, dy) {
    now.x += dx;
    now.y += dy;
    arrange();
  }

  const fingers = new Map();
  let drag = null;
  frame.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    frame.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    const box = frame.getBoundingClientRect(), place = box.x + box.width * now.at / 100;
    const onDivider = event.target === divider;
    drag = fingers.size > 1 ? "pinch" : now.zoom > 1 && !onDivider ? "pan" : "slide";
    fingers.grip = onDivider ? event.clientX - place : 0;
    if (drag === "slide" && !onDivider) slideTo(event.clientX);
    (drag === "slide" ? divider : frame).focus({ preventScroll: true, focusVisible: false });
    event.preventDefault();
  });
  frame.addEventListener("pointermove", (event) => {
    const last = fingers.get(event.pointerId);
    if (!last) return;
    const point = [event.clientX, event.clientY];
    if (drag === "slide") slideTo(point[0] - fingers.grip);
    if (drag === "pan") pan(point[0] - last[0], point[1] - last[1]);
    if (drag === "pinch" && fingers.size === 2) {
      const [other] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      const apart = (place) => Math.hypot(place[0] - other[0], place[1] - other[1]) || 1;
      zoomBy(apart(point) / apart(last), (point[0] + other[0]) / 2, (point[1] + other[1]) / 2);
      pan((point[0] - last[0]) / 2, (point[1] - last[1]) / 2);
    }
    fingers.set(event.pointerId, point);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    frame.addEventListener(name, (event) => {
      fingers.delete(event.pointerId);
      if (!fingers.size) drag = null;
    });
  }
  frame.addEventListener("dblclick", (event) => zoomOrBack(event.clientX, event.clientY));
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomBy(Math.exp(-clamp(event.deltaY, -200, 200) / 400), event.clientX, event.clientY);
  }, { passive: false });

  function slideTo(clientX) {
    const box = frame.getBoundingClientRect();
    slide((clientX - box.x) / box.width * 100);
  }

  const everywhere = { "?": () => help.showModal() };
  const onPage = { b: () => showAll(100), a: () => showAll(0), s: () => showAll(50) };
  const inViewer = {
    ArrowLeft: () => slide(now.at - 5), ArrowRight: () => slide(now.at + 5),
    ArrowUp: () => step(-1), ArrowDown: () => step(1), PageUp: () => step(-1), PageDown: () => step(1),
    b: () => slideOrBack(100), a: () => slideOrBack(0), s: () => slide(50),
    z: () => zoomOrBack(), "+": () => zoomBy(1.4), "=": () => zoomBy(1.4), "-": () => zoomBy(1 / 1.4),
    0: () => zoomBy(1 / now.zoom),
  };
  const shifted = {
    ArrowLeft: () => pan(80, 0), ArrowRight: () => pan(-80, 0), ArrowUp: () => pan(0, 80), ArrowDown: () => pan(0, -80),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || help.open || event.target.matches?.("input[type=search]")) return;
    const keys = { ...everywhere, ...(viewer.open ? inViewer : onPage), ...(viewer.open && event.shiftKey ? shifted : {}) };
    if (viewer.open && now.video && !event.target.matches?.("button")) keys[" "] = playOrPause;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (!Object.hasOwn(keys, key)) return;
    event.preventDefault();
    keys[key]();
  });
})();
