// Fills the page: the verdict first, then part by part.

function verdict() {
  document.title = `${run.id}: ${run.verdict}`;
  $("project").textContent = run.project;
  $("run-id").textContent = run.id;
  $("verdict").textContent = run.verdict;
  const known = Object.entries(run.counts).filter(([, many]) => many > 0);
  $("share").setAttribute("aria-label", known.map(([state, many]) => `${number(many)} ${state}`).join(", ") || "no tasks");
  for (const [state, many] of known) {
    const part = make("i", state);
    part.style.flexGrow = many;
    part.title = `${number(many)} ${state}`;
    $("share").append(part);
  }
}

function facts() {
  for (const [label, words] of run.facts) {
    const shown = label === "Files" || words.startsWith("scalable ") ? make("code", "", words) : words;
    const pair = make("div", words.length > 28 ? "long" : "", make("dt", "", label), make("dd", "", shown));
    $("facts").append(pair);
  }
  for (const note of run.notes) $("notes").append(make("p", "note", note));
}

verdict();
facts();
timeline.start();
overTime.start();
table.start();
groups.start();
spreads.start();
document.documentElement.dataset.ready = "yes";
