// The tasks: searched, filtered and sorted as arrays of row numbers; only the rows in sight are elements.

const table = (() => {
  const all = Uint32Array.from({ length: taskCount }, (_, i) => i);
  const isState = (...wanted) => {
    const places = new Set(wanted.map((state) => names.states.indexOf(state)));
    return (task) => places.has(tasks.state[task]);
  };
  const STATES = {
    all: () => true,
    failed: isState("failed", "skipped"),
    skipped: isState("skipped"),
    unfinished: isState("unfinished"),
    parked: isState("parked"),
    cancelled: isState("cancelled"),
    succeeded: isState("succeeded", "recovered"),
    recovered: isState("recovered"),
  };
  const error = (task) => {
    const last = lastFailure(task);
    return last < 0 ? "" : textOf(attempts.error[last]);
  };
  /** How long the task took where it ended well, else its last attempt. */
  const took = (task) => {
    if (tasks.took[task] >= 0) return tasks.took[task];
    const last = lastFailure(task);
    return last < 0 ? NONE : attempts.took[last];
  };
  const began = (task) => {
    if (tasks.started[task] >= 0) return tasks.started[task];
    const last = lastFailure(task);
    return last < 0 ? NONE : attempts.at[last];
  };
  const COLUMNS = [
    { id: "state", label: "State", value: (task) => tasks.state[task], text: (task) => names.states[tasks.state[task]] },
    { id: "call", label: "Call", value: (task) => tasks.call[task], text: (task) => tasks.call[task] },
    { id: "name", label: "Task", value: (task) => textOf(tasks.name[task]), text: (task) => textOf(tasks.name[task]) },
    { id: "tries", label: "Tries", number: true, down: true, value: (task) => tasks.attempts[task], text: (task) => number(tasks.attempts[task]) },
    { id: "start", label: "Began", number: true, value: began, text: (task) => offset(began(task)) },
    { id: "took", label: "Took", number: true, down: true, value: took, text: (task) => seconds(took(task)) },
    { id: "worker", label: "Worker", value: (task) => textOf(tasks.worker[task]), text: (task) => textOf(tasks.worker[task]) },
    { id: "error", label: "Error", value: error, text: error },
  ];
  const wanted = { words: [], state: "all", name: NONE, worker: NONE, cause: null, by: 0, down: false };
  const frame = $("table");
  const home = $("rows");
  let shown = all;
  let active = 0;
  let printing = false; // then the first rows are all there, as long as that takes
  let haystack = null;

  // --- which rows -------------------------------------------------------------------------------------

  /** All that a search looks at, of each task. Made when somebody is about to search. */
  function searched() {
    haystack ||= tasks.key.map((key, task) => {
      let words = `${tasks.call[task]}\n${textOf(tasks.name[task])}\n${textOf(tasks.function[task])}\n${textOf(tasks.worker[task])}\n${key}`;
      if (byTask.many(task)) for (const i of byTask.of(task)) words += `\n${textOf(attempts.error[i])}`;
      return words.toLowerCase();
    });
    return haystack;
  }

  /** The number of the text of each cause that an attempt has. */
  const causes = new Map([...new Set(attempts.fingerprint)].map((each) => [textOf(each) || "unknown", each]));

  /** The tasks with an attempt of this cause. */
  function ofCause(fingerprint) {
    const found = new Set();
    const place = causes.get(fingerprint);
    attempts.fingerprint.forEach((each, i) => each === place && textOf(attempts.outcome[i]) !== "upstream" && found.add(attempts.task[i]));
    return found;
  }

  function select() {
    const words = wanted.words.length ? searched() : null;
    const isWanted = STATES[wanted.state];
    const cause = wanted.cause && ofCause(wanted.cause.fingerprint);
    shown = all.filter((task) => isWanted(task)
      && (wanted.name < 0 || tasks.name[task] === wanted.name)
      && (wanted.worker < 0 || tasks.worker[task] === wanted.worker)
      && (!cause || cause.has(task))
      && (!words || wanted.words.every((word) => words[task].includes(word))));
    sort();
    active = 0;
    frame.scrollTop = 0;
    show();
  }

  function sort() {
    const { value } = COLUMNS[wanted.by];
    const keys = new Array(taskCount);
    for (const task of shown) keys[task] = value(task);
    const way = wanted.down ? -1 : 1;
    shown.sort((a, b) => {
      if (keys[a] === keys[b]) return a - b;
      if (keys[a] === NONE || keys[a] === "") return 1; // what is not known comes last, either way
      if (keys[b] === NONE || keys[b] === "") return -1;
      return keys[a] < keys[b] ? -way : way;
    });
  }

  // --- what is in sight ---------------------------------------------------------------------------------

  const narrow = window.matchMedia("(max-width: 760px)");
  const rowHeight = () => (narrow.matches ? 64 : 36);
  const show = soon(paint);

  function paint() {
    if (printing) return;
    const high = rowHeight();
    home.style.height = `${shown.length * high}px`;
    const above = $("names").offsetHeight;
    if (taskCount) frame.style.height = `${above + taskCount * high + 2}px`; // whatever is found, the page does not jump
    const first = Math.max(0, Math.floor((frame.scrollTop - above) / high) - 8);
    const last = Math.min(shown.length, Math.ceil((frame.scrollTop + frame.clientHeight) / high) + 8);
    const made = [];
    for (let place = first; place < last; place += 1) made.push(row(shown[place], place, place * high));
    if (!shown.length) made.push(make("p", "nothing", taskCount ? "No task fits." : "No task has ended so far."));
    home.replaceChildren(...made);
    if (!shown.length) home.style.height = "auto";
    frame.setAttribute("aria-rowcount", shown.length + 1);
    frame.setAttribute("aria-activedescendant", shown.length ? `row-${active}` : "");
    $("found").textContent = shown.length === taskCount ? count(taskCount, "task") : `${number(shown.length)} of ${count(taskCount, "task")}`;
  }

  function row(task, place, y) {
    const made = make("div", place === active ? "row active" : "row");
    made.setAttribute("role", "row");
    made.setAttribute("aria-rowindex", place + 2);
    made.id = `row-${place}`;
    if (wentWell(task)) made.classList.add("well");
    made.style.transform = `translateY(${y}px)`;
    made.dataset.place = place;
    for (const column of COLUMNS) {
      const words = column.text(task);
      const inside = column.id === "state" ? [make("i", `dot ${words}`), words] : column.id === "call" ? parted(words) : [words];
      const cell = make("span", column.number ? `${column.id} number` : column.id, ...inside);
      cell.setAttribute("role", "gridcell");
      if (words.length > 12) cell.title = words;
      made.append(cell);
    }
    return made;
  }

  /** Where there is no room for a call, its middle is left out: calls differ at their ends. */
  function parted(call) {
    const kept = 22;
    return call.length > 2 * kept ? [make("span", "", call.slice(0, -kept)), make("span", "", call.slice(-kept))] : [call];
  }

  function printAll() {
    printing = true;
    const most = 200;
    home.replaceChildren(...[...shown.subarray(0, most)].map((task, place) => row(task, place, 0)));
    $("printed").textContent = shown.length > most ? `The first ${most} of ${count(shown.length, "task")}.` : "";
  }

  // --- asking -------------------------------------------------------------------------------------------

  function choose(place) {
    active = Math.max(0, Math.min(shown.length - 1, place));
    const high = rowHeight();
    const above = $("names").offsetHeight;
    const y = active * high;
    if (y < frame.scrollTop) frame.scrollTop = y;
    if (y + high + above > frame.scrollTop + frame.clientHeight) frame.scrollTop = y + high + above - frame.clientHeight;
    show();
  }

  function keys(event) {
    const page = Math.max(1, Math.floor(frame.clientHeight / rowHeight()) - 2);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.target !== frame) return;
    if (event.key in moves) choose(active + moves[event.key]);
    else if ((event.key === "Enter" || event.key === " ") && shown.length) detail.show(shown[active], shown, active);
    else return;
    event.preventDefault();
  }

  function sortBy(by, down) {
    Object.assign(wanted, { by, down });
    markOrder();
    select();
  }

  function markOrder() {
    [...$("names").children].forEach((cell, i) => {
      cell.setAttribute("aria-sort", i !== wanted.by ? "none" : wanted.down ? "descending" : "ascending");
    });
    $("order").value = `${wanted.by}${wanted.down ? "-" : "+"}`;
  }

  function heads() {
    COLUMNS.forEach((column, i) => {
      const button = makeButton(column.label, () => sortBy(i, wanted.by === i ? !wanted.down : Boolean(column.down)));
      button.tabIndex = 0;
      const cell = make("span", column.number ? `${column.id} number` : column.id, button);
      cell.setAttribute("role", "columnheader");
      $("names").append(cell);
      for (const way of column.down ? ["-", "+"] : ["+", "-"]) {
        const option = make("option", "", `${column.label} ${way === "+" ? "\u2191" : "\u2193"}`);
        option.value = `${i}${way}`;
        $("order").append(option);
      }
    });
    $("order").addEventListener("change", () => sortBy(parseInt($("order").value, 10), $("order").value.endsWith("-")));
  }

  function chips() {
    for (const [state, test] of Object.entries(STATES)) {
      const many = all.reduce((sum, task) => sum + test(task), 0);
      if (!many && state !== "all") continue;
      const dot = state === "all" ? null : make("i", `dot ${state}`);
      const chip = makeButton("", () => {
        wanted.state = state;
        mark();
        select();
      });
      chip.append(...[dot, state, make("span", "count", number(many))].filter(Boolean));
      chip.dataset.state = state;
      $("states").append(chip);
    }
    mark();
  }

  /** Show which state is chosen, and the cause, which a click takes away again. */
  function mark() {
    for (const chip of $("states").children) chip.setAttribute("aria-pressed", chip.dataset.state === wanted.state);
    $("states").querySelector(".cause")?.remove();
    if (!wanted.cause) return;
    const chip = makeButton(`failure group ${wanted.cause.place} \u00d7`, () => {
      wanted.cause = null;
      mark();
      select();
    }, "cause");
    chip.setAttribute("aria-pressed", "true");
    $("states").append(chip);
  }

  function choices(select1, column, any) {
    const found = [...new Set(column)].filter((each) => each >= 0);
    const byName = new Intl.Collator("en", { numeric: true });
    found.sort((a, b) => byName.compare(texts[a], texts[b]));
    for (const [value, words] of [[NONE, any], ...found.slice(0, 2000).map((each) => [each, texts[each]])]) {
      const option = make("option", "", words);
      option.value = value;
      select1.append(option);
    }
  }

  function start() {
    heads();
    chips();
    choices($("of-name"), tasks.name, "All tasks");
    choices($("of-worker"), tasks.worker, "All workers");
    $("of-name").addEventListener("change", (event) => { wanted.name = Number(event.target.value); select(); });
    $("of-worker").addEventListener("change", (event) => { wanted.worker = Number(event.target.value); select(); });
    $("search").addEventListener("focus", searched);
    $("search").addEventListener("input", soon(() => {
      wanted.words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
      select();
    }));
    frame.addEventListener("scroll", show);
    frame.addEventListener("keydown", keys);
    home.addEventListener("click", (event) => {
      const found = event.target.closest(".row");
      if (!found) return;
      choose(Number(found.dataset.place));
      detail.show(shown[active], shown, active);
    });
    narrow.addEventListener("change", show);
    new ResizeObserver(show).observe(frame);
    window.addEventListener("beforeprint", printAll);
    window.addEventListener("afterprint", () => {
      printing = false;
      $("printed").textContent = "";
      show();
    });
    markOrder();
    select();
  }

  return {
    start,
    choose,
    hasCause: (fingerprint) => causes.has(fingerprint),
    showCause(fingerprint, place) {
      Object.assign(wanted, { cause: { fingerprint, place }, state: "all", name: NONE, worker: NONE, words: [] });
      $("search").value = "";
      $("of-name").value = $("of-worker").value = NONE;
      mark();
      select();
      $("tasks").scrollIntoView();
      frame.focus({ preventScroll: true });
    },
  };
})();
