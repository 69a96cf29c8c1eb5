// One task: what is known of it, and of each of its attempts. And the small words beside the pointer.

const detail = (() => {
  const dialog = $("detail");
  const ACTIONS = { give_up: "failed for good", retry: "failed, tried again", park: "parked" };

  function facts(pairs) {
    const list = make("dl", "lines");
    for (const [label, words] of pairs) if (words) list.append(make("dt", "", label), make("dd", "", words));
    return list;
  }

  function ofTask(task) {
    const waited = tasks.submitted[task] >= 0 && tasks.started[task] >= 0 && tasks.attempts[task] <= 1
      ? (tasks.started[task] - tasks.submitted[task]) / 1000 : NONE;
    return facts([
      ["State", names.states[tasks.state[task]]],
      ["Task", textOf(tasks.name[task])],
      ["Function", textOf(tasks.function[task])],
      ["Component", textOf(tasks.component[task])],
      ["Key", tasks.key[task]],
      ["Attempts", number(tasks.attempts[task])],
      ["Submitted", clock(tasks.submitted[task])],
      ["Waited", waited >= 0 ? `${seconds(waited)} for a free slot, or for its inputs` : ""],
      ["Cache", tasks.cache[task] >= 0 ? names.cache[tasks.cache[task]] : ""],
      ["Result", tasks.bytes[task] >= 0 ? size(tasks.bytes[task]) : ""],
      ["Peak memory", tasks.peak[task] > 0 ? size(tasks.peak[task]) : ""],
    ]);
  }

  function failed(i) {
    const action = names.actions[attempts.action[i]];
    const most = attempts.most[i] ? ` of at most ${attempts.most[i]}` : "";
    const title = attempts.number[i] ? `Attempt ${attempts.number[i]}${most}: ${ACTIONS[action]}` : "Did not run";
    const rule = [textOf(attempts.rule[i]), textOf(attempts.kind[i])].filter(Boolean).join(", ");
    const made = make("div", `attempt ${action}`,
      make("h3", "", title),
      make("p", "what", textOf(attempts.error[i])),
      facts([
        ["Outcome", textOf(attempts.outcome[i])],
        ["Began", clock(attempts.started[i])],
        ["Took", seconds(attempts.took[i])],
        ["Worker", [textOf(attempts.worker[i]), textOf(attempts.host[i])].filter(Boolean).join(" on ")],
        ["Rule", rule],
        ["Why", textOf(attempts.reason[i])],
        ["Injected", attempts.injected[i] ? "yes, by fault injection" : ""],
      ]));
    const trace = textOf(attempts.trace[i]) + textOf(attempts.message[i]);
    if (trace) made.append(make("pre", "trace", trace));
    if (attempts.more[i] >= 0) made.append(make("pre", "more", textOf(attempts.more[i])));
    return made;
  }

  function succeeded(task) {
    const of = tasks.attempts[task] > 1 ? `Attempt ${tasks.attempts[task]}` : "Attempt 1";
    return make("div", "attempt succeeded",
      make("h3", "", `${of}: succeeded`),
      facts([["Began", clock(tasks.started[task])], ["Took", seconds(tasks.took[task])], ["Worker", textOf(tasks.worker[task])]]));
  }

  function fill(task, list, place) {
    const onTimeline = tasks.started[task] >= 0 || byTask.many(task) > 0;
    const tools = make("div", "tools");
    if (list) {
      tools.append(step("\u2190", "Previous task", list, place - 1), step("\u2192", "Next task", list, place + 1));
    }
    const close = makeButton("Close", () => dialog.close());
    close.autofocus = true;
    tools.append(close);
    const title = make("h2", "", tasks.call[task]);
    title.id = "detail-title";
    const body = make("div", "body", ofTask(task));
    if (onTimeline) body.append(make("p", "subtle", makeButton("Show on the timeline", () => { dialog.close(); timeline.showTask(task); })));
    for (const i of byTask.of(task)) body.append(failed(i));
    if (wentWell(task)) body.append(succeeded(task));
    const ran = wentWell(task) ? tasks.attempts[task] - 1 : tasks.attempts[task];
    if (byTask.many(task) < ran) body.append(make("p", "subtle", "Not all of its failed attempts are in this page: failures.jsonl has them."));
    dialog.replaceChildren(make("div", "head", title, tools), body);
  }

  function step(sign, words, list, place) {
    const button = makeButton(sign, () => {
      table.choose(place);
      fill(list[place], list, place);
      dialog.querySelector(`[aria-label="${words}"]`).focus();
    });
    button.setAttribute("aria-label", words);
    button.disabled = place < 0 || place >= list.length;
    return button;
  }

  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // beside it
  });

  /** Open the details of a task; with the list that it is in, one can go on to its neighbours. */
  function show(task, list = null, place = NONE) {
    tip.hide();
    fill(task, list, place);
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
  }

  return { show };
})();

const tip = (() => {
  const box = $("tip");

  function show(x, y, title, ...lines) {
    box.replaceChildren(make("b", "", title), ...lines.filter(Boolean).flatMap((line, i) => (i ? [make("br"), line] : [line])));
    box.hidden = false;
    const { width, height } = box.getBoundingClientRect();
    box.style.left = `${Math.max(8, Math.min(x + 14, window.innerWidth - width - 8))}px`;
    box.style.top = `${y + 18 + height > window.innerHeight ? Math.max(8, y - height - 12) : y + 18}px`;
  }

  return { show, hide: () => { box.hidden = true; } };
})();
