// The timeline on its canvas: drawn, moved, zoomed, pointed at.
//
// A picture walks through the rows in sight only, from the first attempt in sight; what is narrower than a
// pixel is drawn once a pixel.

const timeline = (() => {
  const { KINDS, AXIS, GAP, whole, all, lanes, rowHeight, total } = layout;
  const canvas = $("lanes-canvas");
  const frame = $("lanes");
  const watchers = [];
  const view = { from: 0, to: whole };
  let chosen = NONE;
  let width = 0;
  let height = 0;
  let gutter = 90;

  // --- drawing ---------------------------------------------------------------------------------------

  const x = (ms) => gutter + ((ms - view.from) / (view.to - view.from)) * (width - gutter);
  const timeAt = (pixel) => view.from + ((pixel - gutter) / (width - gutter)) * (view.to - view.from);
  const draw = soon(paint);

  function measure() {
    width = frame.clientWidth;
    gutter = width < 500 ? 68 : 96;
    height = Math.min(total, 430);
    $("lanes-space").style.height = `${total}px`;
    canvas.style.height = `${height}px`;
    draw();
  }

  function paint() {
    const context = sharpen(canvas, width, height);
    const top = frame.scrollTop;
    context.fillStyle = look.colour("card");
    context.fillRect(0, 0, width, height);
    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "middle";
    const ticks = niceTicks();
    for (const lane of lanes) {
      const y = lane.top - top;
      if (y + lane.height + GAP < AXIS || y > height) continue;
      paintLane(context, lane, y, ticks);
    }
    if (chosen >= 0) paintChosen(context, top);
    paintAxis(context, ticks);
  }

  function paintLane(context, lane, y, ticks) {
    context.fillStyle = look.colour("muted");
    context.textAlign = "right";
    context.fillText(fitting(context, lane.name, gutter - 14), gutter - 8, y + Math.max(lane.height, 13) / 2);
    context.save();
    context.beginPath();
    context.rect(gutter, AXIS, width - gutter, height - AXIS);
    context.clip();
    context.fillStyle = look.colour("lane");
    for (const [from, to] of lives(lane)) context.fillRect(x(from), y - 2, Math.max(1, x(to) - x(from)), lane.height + 3);
    context.fillStyle = look.colour("line");
    for (const tick of ticks) context.fillRect(Math.round(x(tick)), y - 2, 1, lane.height + 3);
    const rects = KINDS.map(() => []);
    const waits = { retry: [], park: [] };
    lane.rows.forEach((row, place) => gather(row, lane.reaches[place], y + place * (rowHeight + 1), rects, waits));
    for (const kind of ["retry", "park"]) fill(context, kind, waits[kind]);
    KINDS.forEach((kind, place) => fill(context, kind, rects[place]));
    paintEvents(context, lane, y);
    context.restore();
  }

  /** When a worker was there: from each start to the next loss. */
  function lives(lane) {
    const found = [];
    let since = lane.events.some((i) => names.events[events.event[i]] === "started") ? null : 0;
    for (const i of lane.events) {
      const what = names.events[events.event[i]];
      if (what === "started" && since === null) since = events.at[i];
      if ((what === "lost" || what === "retired") && since !== null) {
        found.push([since, events.at[i]]);
        since = null;
      }
    }
    if (since !== null) found.push([since, whole]);
    return found;
  }

  /** Collect the rectangles of a row that are in sight. */
  function gather(row, reaches, y, rects, waits) {
    let from = 0;
    for (let to = row.length; from < to; ) {
      const middle = (from + to) >> 1;
      if (reaches[middle] < view.from) from = middle + 1;
      else to = middle;
    }
    let column = -1; // the pixel that a narrow attempt was last drawn in, and how bad it was
    let worst = -1;
    for (let place = from; place < row.length; place += 1) {
      const i = row[place];
      if (all.start[i] > view.to) break;
      const left = x(all.start[i]);
      const right = Math.max(x(all.end[i]), left + (all.kind[i] ? 2.5 : 1));
      if (all.until[i] > all.end[i] && x(all.until[i]) > right + 1) {
        waits[KINDS[all.kind[i]]].push(right, y + rowHeight / 2 - 1, x(all.until[i]) - right, 2);
      }
      if (right < gutter) continue;
      if (right - left < 2.6) {
        if (Math.floor(left) === column && all.kind[i] <= worst) continue;
        worst = Math.floor(left) === column ? Math.max(worst, all.kind[i]) : all.kind[i];
        column = Math.floor(left);
      }
      const inner = right - left > 4 ? right - left - 0.7 : right - left; // neighbours stay apart
      rects[all.kind[i]].push(left, y, inner, rowHeight);
    }
  }

  function fill(context, kind, rects) {
    context.fillStyle = look.colour(kind);
    for (let i = 0; i < rects.length; i += 4) context.fillRect(rects[i], rects[i + 1], rects[i + 2], rects[i + 3]);
  }

  function paintEvents(context, lane, y) {
    context.textAlign = "center";
    context.font = "700 13px system-ui, sans-serif";
    for (const i of lane.events) {
      const what = names.events[events.event[i]];
      const at = x(events.at[i]);
      context.fillStyle = look.colour(what === "lost" ? "failed" : what === "started" ? "muted" : "park");
      context.fillRect(Math.round(at) - 1, y - 3, 2, lane.height + 5);
      const sign = { started: "\u25b8", lost: "\u2715", retired: "\u25a0", stuck: "!", quarantined: "!" }[what];
      context.fillText(sign, at + (what === "started" ? 5 : 8), y + lane.height / 2);
    }
    context.font = "12px system-ui, sans-serif";
  }

  /** Frame the attempts of one task, and join them in their order. */
  function paintChosen(context, top) {
    const found = [];
    for (const lane of lanes) {
      lane.rows.forEach((row, place) => {
        for (const i of row) if (all.task[i] === chosen) found.push([i, lane.top - top + place * (rowHeight + 1)]);
      });
    }
    found.sort((a, b) => all.start[a[0]] - all.start[b[0]]);
    context.strokeStyle = look.colour("text");
    context.lineWidth = 1.5;
    context.beginPath();
    found.forEach(([i, y], place) => {
      if (place) context.lineTo(x(all.start[i]), y + rowHeight / 2);
      context.moveTo(x(all.end[i]), y + rowHeight / 2);
    });
    context.stroke();
    for (const [i, y] of found) {
      context.strokeRect(x(all.start[i]) - 1.5, y - 1.5, Math.max(3, x(all.end[i]) - x(all.start[i])) + 3, rowHeight + 3);
    }
  }

  function niceTicks() {
    const aim = ((view.to - view.from) / Math.max(2, (width - gutter) / (width < 500 ? 64 : 90))) || 1;
    const steps = [];
    for (let decade = 0.001; decade < 1000; decade *= 10) steps.push(decade, 2 * decade, 5 * decade);
    steps.push(1000, 2000, 5000, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 216e5, 432e5, 864e5);
    const step = steps.find((each) => each >= aim) || 864e5 * Math.ceil(aim / 864e5);
    const found = [];
    for (let at = Math.ceil(view.from / step) * step; at <= view.to && found.length < 100; at += step) found.push(at);
    found.step = step;
    return found;
  }

  function paintAxis(context, ticks) {
    context.fillStyle = look.colour("card");
    context.fillRect(0, 0, width, AXIS);
    context.fillStyle = look.colour("muted");
    context.textAlign = "center";
    const shown = (ms) => (ticks.step < 100 && ms > 0 ? `+${(ms / 1000).toFixed(Math.max(0, Math.ceil(3 - Math.log10(ticks.step))))}s` : offset(ms));
    for (const tick of ticks) {
      const at = x(tick);
      if (at < gutter + 4 || at > width - 20) continue;
      context.fillText(shown(tick), at, AXIS / 2);
    }
  }

  function fitting(context, words, room) {
    if (context.measureText(words).width <= room) return words;
    let kept = words.slice(0, 40);
    while (kept && context.measureText(`${kept}\u2026`).width > room) kept = kept.slice(0, -1);
    return `${kept}\u2026`;
  }

  // --- moving ---------------------------------------------------------------------------------------

  function move(from, to) {
    const span = Math.min(Math.max(to - from, 0.5), whole * 1.02);
    view.from = Math.min(Math.max(from, -whole * 0.01), whole * 1.01 - span);
    view.to = view.from + span;
    draw();
    for (const watcher of watchers) watcher(view);
  }

  function zoom(factor, pixel = gutter + (width - gutter) / 2) {
    const at = timeAt(pixel);
    move(at - (at - view.from) * factor, at + (view.to - at) * factor);
  }

  const pan = (part) => move(view.from + part * (view.to - view.from), view.to + part * (view.to - view.from));
  const showAll = () => move(-whole * 0.005, whole * 1.005);

  const KEYS = {
    ArrowLeft: () => pan(-0.2),
    ArrowRight: () => pan(0.2),
    ArrowUp: () => frame.scrollBy(0, -40),
    ArrowDown: () => frame.scrollBy(0, 40),
    "+": () => zoom(0.6),
    "=": () => zoom(0.6),
    "-": () => zoom(1 / 0.6),
    0: showAll,
    Home: showAll,
  };

  function listen() {
    $("zoom-in").addEventListener("click", () => zoom(0.5));
    $("zoom-out").addEventListener("click", () => zoom(2));
    $("zoom-all").addEventListener("click", showAll);
    canvas.addEventListener("keydown", (event) => {
      if (!KEYS[event.key] || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      KEYS[event.key]();
    });
    canvas.addEventListener("wheel", (event) => {
      if (event.ctrlKey || event.metaKey) zoom(Math.exp(event.deltaY * 0.004), event.offsetX);
      else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) pan(event.deltaX / width);
      else return; // the page scrolls
      event.preventDefault();
    }, { passive: false });
    frame.addEventListener("scroll", draw);
    listenToPointers();
  }

  /** One pointer drags, two pinch; one that did not move was a click. */
  function listenToPointers() {
    const down = new Map();
    let moved = 0;
    canvas.addEventListener("pointerdown", (event) => {
      down.set(event.pointerId, event.offsetX);
      canvas.setPointerCapture(event.pointerId);
      moved = down.size > 1 ? 99 : 0;
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!down.has(event.pointerId)) {
        hover(event);
        return;
      }
      const before = down.get(event.pointerId);
      const others = [...down].filter(([id]) => id !== event.pointerId);
      if (others.length) {
        const still = others[0][1];
        if (Math.abs(event.offsetX - still) > 4) zoom(Math.abs((before - still) / (event.offsetX - still)), still);
      } else {
        pan((before - event.offsetX) / (width - gutter));
      }
      moved += Math.abs(before - event.offsetX);
      down.set(event.pointerId, event.offsetX);
      tip.hide();
    });
    canvas.addEventListener("pointerup", (event) => {
      const was = down.delete(event.pointerId);
      if (!was || moved > 4) return;
      const found = hit(event.offsetX, event.offsetY);
      if (found && found.bar !== undefined) detail.show(all.task[found.bar]);
    });
    canvas.addEventListener("pointercancel", (event) => down.delete(event.pointerId));
    canvas.addEventListener("pointerleave", tip.hide);
  }

  /** Find what is under a point: an attempt, or what happened to a worker. */
  function hit(px, py) {
    const y = py + frame.scrollTop;
    const lane = lanes.find((each) => y >= each.top - 3 && y <= each.top + each.height + 3);
    if (!lane || px < gutter) return null;
    for (const i of lane.events) if (Math.abs(x(events.at[i]) - px) < 6) return { event: i };
    const row = lane.rows[Math.min(lane.rows.length - 1, Math.max(0, Math.floor((y - lane.top) / (rowHeight + 1))))];
    let best = null;
    let nearest = 4;
    for (const i of row || []) {
      const away = Math.max(x(all.start[i]) - px, px - x(all.end[i]), 0);
      if (away < nearest) [best, nearest] = [i, away];
    }
    return best === null ? null : { bar: best };
  }

  function hover(event) {
    const found = hit(event.offsetX, event.offsetY);
    canvas.classList.toggle("pointing", Boolean(found && found.bar !== undefined));
    if (!found) tip.hide();
    else tip.show(event.clientX, event.clientY, ...(found.bar === undefined ? eventWords(found.event) : barWords(found.bar)));
  }

  function barWords(i) {
    const task = all.task[i];
    const attempt = all.attempt[i];
    const nth = attempt >= 0 ? attempts.number[attempt] : tasks.attempts[task];
    const how = attempt >= 0 ? names.actions[attempts.action[attempt]] : "succeeded";
    const words = { give_up: "failed for good", retry: "failed, tried again", park: "parked", succeeded: "succeeded" }[how];
    const took = attempt >= 0 ? attempts.took[attempt] : tasks.took[task];
    return [
      tasks.call[task],
      [`attempt ${nth} ${words}`, took >= 0 ? `after ${seconds(took)}` : ""].filter(Boolean).join(" "),
      [textOf(all.worker[i]), clock(Math.round(all.start[i]))].filter(Boolean).join(", "),
      attempt >= 0 ? textOf(attempts.error[attempt]) : "",
    ];
  }

  function eventWords(i) {
    return [`${textOf(events.worker[i])} ${names.events[events.event[i]]}`, clock(events.at[i]), textOf(events.reason[i])];
  }

  function legend() {
    const bar = (kind, words) => make("span", "", make("i", kind), words);
    const sign = (mark, words) => make("span", "", make("i", "sign", mark), words);
    $("legend").append(
      bar("succeeded", "succeeded"), bar("retry", "failed, tried again"), bar("failed", "failed for good"), bar("park", "parked"),
      bar("wait retry", "waits"), sign("\u25b8", "worker started"), sign("\u2715", "lost"),
    );
  }

  function start() {
    legend();
    listen();
    if (!lanes.length) {
      frame.replaceWith(make("p", "hint", "No attempt has been told of so far."));
      return;
    }
    showAll();
    look.whenChanged(draw);
    new ResizeObserver(measure).observe(frame);
    measure();
  }

  /** Choose a task, and bring its attempts into sight. */
  function showTask(task) {
    chosen = task;
    const own = [];
    all.task.forEach((each, i) => each === task && own.push(i));
    if (!own.length) return;
    const from = own.reduce((least, i) => Math.min(least, all.start[i]), Infinity);
    const to = own.reduce((most, i) => Math.max(most, all.end[i]), 0);
    const margin = Math.max((to - from) * 0.5, 20);
    move(from - margin, to + margin);
    const lane = lanes.find((each) => each.worker === all.worker[own[own.length - 1]]);
    frame.scrollTop = Math.max(0, lane.top - AXIS - 40);
    $("timeline").scrollIntoView();
    canvas.focus({ preventScroll: true });
  }

  return { start, showTask, move, view, whole, watch: (act) => watchers.push(act), gutter: () => gutter };
})();
