// Failed attempts over time, which is also where the timeline can be moved; and how long attempts took.

const overTime = (() => {
  const ORDER = ["give_up", "retry", "park"];
  const COLOURS = { give_up: "failed", retry: "retry", park: "park" };
  const canvas = $("over");
  const { bins, width_s: widthS } = data.overTime;
  const HIGH = 64;
  const draw = soon(paint);

  function paint() {
    const wide = canvas.clientWidth;
    const context = sharpen(canvas, wide, HIGH);
    const left = timeline.gutter();
    const x = (ms) => left + (ms / timeline.whole) * (wide - left);
    const most = Math.max(1, ...bins.map(([, ...counts]) => counts.reduce((a, b) => a + b, 0)));
    context.fillStyle = look.colour("lane");
    context.fillRect(left, 0, wide - left, HIGH);
    for (const [place, ...counts] of bins) {
      let y = HIGH;
      const from = x(place * widthS * 1000);
      const to = x((place + 1) * widthS * 1000);
      for (const action of ORDER) {
        const high = (counts[names.actions.indexOf(action)] / most) * (HIGH - 8);
        if (!high) continue;
        context.fillStyle = look.colour(COLOURS[action]);
        context.fillRect(from, y - Math.max(high, 1.5), Math.max(1.5, to - from - 0.6), Math.max(high, 1.5));
        y -= high;
      }
    }
    context.fillStyle = look.colour("muted");
    context.font = "12px system-ui, sans-serif";
    context.textAlign = "right";
    context.fillText(number(most), left - 8, 12);
    context.fillText("0", left - 8, HIGH - 2);
    const [from, to] = [Math.max(left, x(timeline.view.from)), Math.min(wide, x(timeline.view.to))];
    if (to - from < wide - left - 4) {
      context.fillStyle = look.colour("accent");
      context.globalAlpha = 0.14;
      context.fillRect(from, 0, to - from, HIGH);
      context.globalAlpha = 1;
      context.strokeStyle = look.colour("accent");
      context.strokeRect(from + 0.5, 0.5, Math.max(2, to - from - 1), HIGH - 1);
    }
  }

  /** Bring the middle of what the timeline shows to where somebody points. */
  function follow(event) {
    if (!event.buttons) return;
    const left = timeline.gutter();
    const at = ((event.offsetX - left) / (canvas.clientWidth - left)) * timeline.whole;
    let half = (timeline.view.to - timeline.view.from) / 2;
    if (half > timeline.whole * 0.4) half = timeline.whole * 0.1;
    timeline.move(at - half, at + half);
  }

  function start() {
    const sums = [0, 0, 0];
    for (const [, ...counts] of bins) counts.forEach((each, i) => (sums[i] += each));
    const words = ["failed for good", "tried again", "parked"];
    const told = sums.map((sum, i) => (sum ? `${number(sum)} ${words[i]}` : "")).filter(Boolean);
    $("over-words").textContent = told.length ? `${told.join(", ")}; a bar is ${seconds(widthS)}.` : "No attempt failed.";
    if (!bins.length) {
      canvas.hidden = true;
      canvas.style.display = "none";
      return;
    }
    canvas.addEventListener("pointerdown", follow);
    canvas.addEventListener("pointermove", follow);
    timeline.watch(draw);
    look.whenChanged(draw);
    new ResizeObserver(draw).observe(canvas);
  }

  return { start };
})();

const spreads = (() => {
  const PER_DECADE = 10; // as the tallies have it: ten bins a decade, from a microsecond on
  const SHORTEST = 1e-6;
  const SHOWN = 12;
  const edge = (place) => SHORTEST * 10 ** (place / PER_DECADE);

  /** About which duration has this share of the attempts below it. */
  function quantile(bins, share) {
    const total = bins.reduce((sum, [, ok, bad]) => sum + ok + bad, 0);
    let seen = 0;
    for (const [place, ok, bad] of bins) {
      seen += ok + bad;
      if (seen >= share * total) return edge(place + 0.5);
    }
    return 0;
  }

  function picture(bins, first, last) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", `0 0 ${last - first} 34`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    const most = Math.max(...bins.map(([, ok, bad]) => ok + bad));
    for (const [place, ok, bad] of bins) {
      let y = 34;
      for (const [amount, colour] of [[bad, "failed"], [ok, "succeeded"]]) {
        if (!amount) continue;
        const high = Math.max(1.2, (amount / most) * 32);
        const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
        const box = { x: place - first + 0.06, y: y - high, width: 0.88, height: high };
        for (const [name, value] of Object.entries(box)) rect.setAttribute(name, value);
        rect.style.fill = `var(--${colour})`;
        svg.append(rect);
        y -= high;
      }
    }
    return svg;
  }

  function row(spread, first, last) {
    const all = spread.succeeded + spread.failed;
    const words = [
      `${count(all, "attempt")}${spread.failed ? `, ${number(spread.failed)} failed` : ""}`,
      `half within ~${seconds(quantile(spread.bins, 0.5))}, longest ${seconds(spread.longest_s)}`,
    ];
    const name = make("p", "name", spread.name);
    name.title = spread.name;
    return make("div", "spread", name, picture(spread.bins, first, last), make("p", "words", words[0], make("br"), words[1]));
  }

  function scale(first, last) {
    const line = make("div");
    const steps = last - first > 3 * PER_DECADE ? [0] : [0, 3, 7]; // 1, 2 and 5 of each decade, where there are few
    for (let place = Math.floor(first / PER_DECADE) * PER_DECADE; place <= last; place += 1) {
      if (!steps.includes(place % PER_DECADE)) continue;
      const share = (place - first) / (last - first);
      if (share < 0.02 || share > 0.98) continue;
      const mark = make("span", "", seconds(Number(edge(place).toPrecision(1))));
      mark.style.left = `${100 * share}%`;
      line.append(mark);
    }
    return make("div", "scale", make("p"), line, make("p"));
  }

  function start() {
    const found = data.durations;
    if (!found.length) {
      $("spreads").append(make("p", "hint", "No attempt has ended so far."));
      return;
    }
    const places = found.flatMap((each) => [each.bins[0][0], each.bins[each.bins.length - 1][0] + 1]);
    const [first, last] = [Math.min(...places) - 1, Math.max(...places) + 1];
    const rows = found.map((each) => row(each, first, last));
    $("spreads").append(make("p", "hint", "On a logarithmic scale; all attempts of the run, by task or function, failed ones in red."));
    $("spreads").append(...rows.slice(0, SHOWN), scale(first, last));
    if (rows.length <= SHOWN) return;
    const more = makeButton(`${number(rows.length - SHOWN)} more`, () => {
      more.replaceWith();
      $("spreads").insertBefore(make("div", "", ...rows.slice(SHOWN)), $("spreads").lastChild);
    });
    $("spreads").append(more);
  }

  return { start };
})();
