// The failures in groups, as `scalable report --failures` words them.

const groups = (() => {
  const OPEN = 3; // so many are open from the start
  const SHOWN = 10;

  /** Lay out "Label: words" a line; indented lines go on with the one before. */
  function lines(said) {
    const list = make("dl", "lines");
    for (const line of said) {
      const cut = line.indexOf(": ");
      if (line.startsWith("  ") || (cut < 0 && !line.endsWith(":"))) {
        list.append(make("dt"), make("dd", "code", line.trim()));
      } else {
        const label = cut < 0 ? line.slice(0, -1) : line.slice(0, cut);
        const words = cut < 0 ? "" : line.slice(cut + 2);
        list.append(make("dt", "", label), make("dd", label === "Tip" ? "advice" : "", words));
      }
    }
    return list;
  }

  function group(told, place, saved) {
    const error = told.lines.find((line) => line.startsWith("Error: ")) || "";
    const costs = [
      told.failed ? `${number(told.failed)} failed` : "",
      told.skipped ? `${number(told.skipped)} skipped` : "",
      `${count(told.attempts, "attempt")}, ${seconds(told.lost_s)} lost`,
    ];
    const summary = make("summary", "",
      make("span", "title", `${place}. ${told.title}`),
      make("span", "amount", costs.filter(Boolean).join(", ")),
      make("span", "error", error.slice("Error: ".length)));
    const inside = make("div", "inside", lines(told.lines.filter((line) => line !== error)));
    if (told.traceback) inside.append(make("pre", "", told.traceback));
    if (told.attempts && table.hasCause(told.fingerprint)) {
      inside.append(make("p", "subtle", makeButton("List its tasks", () => table.showCause(told.fingerprint, place))));
    }
    const made = make("details", saved ? "group saved" : "group", summary, inside);
    made.open = place <= OPEN && !saved;
    return made;
  }

  /** Append groups; those after the first few wait until somebody wants them. */
  function append(home, list, from, saved) {
    const make1 = (told, i) => group(told, from + i, saved);
    home.append(...list.slice(0, SHOWN).map(make1));
    if (list.length <= SHOWN) return;
    const more = makeButton(`${number(list.length - SHOWN)} more groups`, () => {
      more.parentNode.replaceWith(...list.slice(SHOWN).map((told, i) => make1(told, i + SHOWN)));
    });
    home.append(make("p", "subtle", more));
  }

  function start() {
    const told = data.failures;
    const home = $("groups");
    home.append(...told.heading.map((line) => make("p", "hint", line)));
    append(home, told.failed, 1, false);
    if (told.rootless) home.append(make("p", "subtle", told.rootless));
    if (told.others.length) {
      home.append(make("p", "subtle", told.outside));
      append(home, told.others, told.failed.length + 1, true);
    }
    if (told.more) home.append(make("p", "subtle", `${count(told.more, "more group")} are not in this page.`));
  }

  return { start, lines };
})();
