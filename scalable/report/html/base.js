// What all parts use: the data, elements made of plain text, and words for numbers.
// Whatever comes from a run reaches the page by `textContent` alone, so none of it is ever markup.

const data = JSON.parse(document.getElementById("data").textContent);
const { run, tasks, attempts, events, texts, names } = data;
document.getElementById("data").remove(); // it may be large, and has been read
const NONE = -1;

/** Find an element of the page by its id. */
const $ = (id) => document.getElementById(id);

/** Make an element: its class, and what is in it, texts or other elements. */
function make(tag, className, ...inside) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...inside.filter((each) => each !== null && each !== undefined && each !== ""));
  return made;
}

/** Make a button that does something. */
function makeButton(words, act, className) {
  const made = make("button", className, words);
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}

/** The text of a number that a column has; "" where there is none. */
const textOf = (number) => (number < 0 ? "" : texts[number]);

/** Word a duration as the report does, but for what is below a tenth of a second. */
function seconds(value) {
  if (!(value >= 0)) return "";
  if (value === 0) return "0s";
  if (value < 0.001) return `${Math.max(1, Math.round(value * 1e6))}\u00b5s`;
  if (value < 0.0995) return `${Math.round(value * 1000)}ms`;
  const tenths = Number(value.toFixed(1));
  if (tenths < 100) return tenths >= 10 && Number.isInteger(tenths) ? `${tenths}s` : `${tenths.toFixed(1)}s`;
  const whole = Math.round(value);
  const two = (number) => String(number).padStart(2, "0");
  if (whole < 600 && whole % 60 === 0) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`;
  return `${Math.floor(whole / 3600)}h${two(Math.floor((whole % 3600) / 60))}m`;
}

/** Word a time after the beginning of the run, in milliseconds. */
function offset(ms) {
  if (ms < 0) return "";
  return ms === 0 ? "+0s" : `+${seconds(ms / 1000)}`;
}

/** Word such a time by the clock: 2026-11-21 02:48:06.123 UTC. */
function clock(ms) {
  if (ms < 0) return "";
  if (run.began === null) return offset(ms);
  return `${new Date(run.began + ms).toISOString().replace("T", " ").replace("Z", "")} UTC`;
}

/** Word a number of bytes. */
function size(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = number;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return unit ? `${value.toFixed(1)} ${units[unit]}` : `${value} B`;
}

/** Write a number as people read it. */
const number = (value) => value.toLocaleString("en-US");

/** Word a count: 1 task, 2 tasks. */
const count = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;

const taskCount = tasks.key.length;
const attemptCount = attempts.task.length;

/** The failed attempts of each task, in their order: those of task i are `order` from first[i] to first[i + 1]. */
const byTask = (() => {
  const first = new Int32Array(taskCount + 1);
  for (const task of attempts.task) first[task + 1] += 1;
  for (let i = 0; i < taskCount; i += 1) first[i + 1] += first[i];
  const next = first.slice();
  const order = new Int32Array(attemptCount);
  attempts.task.forEach((task, i) => {
    order[next[task]] = i;
    next[task] += 1;
  });
  return { of: (task) => order.subarray(first[task], first[task + 1]), many: (task) => first[task + 1] - first[task] };
})();

/** The last failed attempt of a task; -1 where there is none. */
function lastFailure(task) {
  const own = byTask.of(task);
  return own.length ? own[own.length - 1] : NONE;
}

/** Whether the last attempt of a task went well. */
const wentWell = (task) => {
  const state = names.states[tasks.state[task]];
  return state === "succeeded" || state === "recovered";
};

/** Do something once before the next picture, however often it is asked for. */
function soon(act) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      act();
    });
  };
}

/** Make a canvas as sharp as the screen; returns what to draw with, in CSS pixels. */
function sharpen(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}
