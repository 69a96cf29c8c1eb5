// What the timeline shows, and where: a lane for each worker, with rows in which no two attempts overlap.

const layout = (() => {
  const KINDS = ["succeeded", "retry", "park", "failed"]; // the worse is drawn over the better
  const AXIS = 24;
  const GAP = 9;
  const MOST_ROWS = 64;
  const CLOCK_MS = 2; // of two attempts in one slot the second may seem to begin before the first ended:
  const SLOPPY_MS = 100; // clocks differ. More is taken for that where there would be more rows than threads.
  const whole = Math.max(run.end, 1);

  /** Every attempt whose time is known, the failed ones first. */
  function bars() {
    const made = { start: [], end: [], until: [], kind: [], worker: [], task: [], attempt: [] };
    const add = (start, end, until, kind, worker, task, attempt) => {
      made.start.push(start);
      made.end.push(Math.max(start, end));
      made.until.push(until);
      made.kind.push(kind);
      made.worker.push(worker);
      made.task.push(task);
      made.attempt.push(attempt);
    };
    for (let task = 0; task < taskCount; task += 1) {
      const own = byTask.of(task);
      const well = wentWell(task) && tasks.started[task] >= 0;
      own.forEach((i, place) => {
        if (attempts.worker[i] < 0 || attempts.at[i] < 0) return; // it never ran
        const kind = ["failed", "retry", "park"][attempts.action[i]];
        const took = Math.max(0, attempts.took[i]) * 1000;
        const start = attempts.started[i] >= 0 ? attempts.started[i] : Math.max(0, attempts.at[i] - took);
        let until = NONE;
        if (kind !== "failed") {
          if (place + 1 < own.length) until = beginning(own[place + 1]);
          else if (well) until = tasks.started[task];
          else until = attempts.at[i] + Math.max(0, attempts.delay[i]) * 1000;
        }
        const end = took > 0 ? start + took : Math.max(start, attempts.at[i]);
        add(start, end, until, KINDS.indexOf(kind), attempts.worker[i], task, i);
      });
      if (well && tasks.worker[task] >= 0) {
        const end = tasks.started[task] + Math.max(0, tasks.took[task]) * 1000;
        add(tasks.started[task], end, NONE, 0, tasks.worker[task], task, NONE);
      }
    }
    return made;
  }

  function beginning(i) {
    return attempts.started[i] >= 0 ? attempts.started[i] : attempts.at[i] - Math.max(0, attempts.took[i]) * 1000;
  }

  const all = bars();
  const lanes = sortedLanes();

  /** Lanes in the order of the workers' names, each with rows of places in `all` and the worker's events. */
  function sortedLanes() {
    const found = new Map();
    const lane = (worker) => {
      if (!found.has(worker)) found.set(worker, { worker, name: textOf(worker) || "unknown", rows: [], ends: [], events: [], threads: 0 });
      return found.get(worker);
    };
    events.worker.forEach((worker, i) => {
      lane(worker).events.push(i);
      lane(worker).threads = Math.max(lane(worker).threads, events.threads[i]);
    });
    const order = Uint32Array.from(all.start.keys()).sort((a, b) => all.start[a] - all.start[b]);
    for (const i of order) {
      const { rows, ends, threads } = lane(all.worker[i]);
      let row = ends.findIndex((end) => end <= all.start[i] + CLOCK_MS);
      if (row < 0 && rows.length >= threads) row = ends.findIndex((end) => end <= all.start[i] + SLOPPY_MS);
      if (row < 0) row = rows.length < MOST_ROWS ? rows.length : MOST_ROWS - 1;
      if (row === rows.length) rows.push([]);
      rows[row].push(i);
      ends[row] = Math.max(ends[row] || 0, all.end[i]);
    }
    for (const each of found.values()) each.reaches = each.rows.map(reach);
    const byName = new Intl.Collator("en", { numeric: true });
    return [...found.values()].sort((a, b) => byName.compare(a.name, b.name));
  }

  /** The latest that any attempt of a row, or the wait after it, has reached so far: where to begin to draw. */
  function reach(row) {
    let latest = 0;
    return Float64Array.from(row, (i) => (latest = Math.max(latest, all.end[i], all.until[i])));
  }

  const rowCount = lanes.reduce((sum, lane) => sum + Math.max(1, lane.rows.length), 0);
  const rowHeight = rowCount <= 12 ? 16 : rowCount <= 40 ? 11 : 7;
  let total = AXIS + 4;
  for (const lane of lanes) {
    lane.top = total;
    lane.height = Math.max(1, lane.rows.length) * (rowHeight + 1);
    total += Math.max(lane.height, 13) + GAP;
  }

  return { KINDS, AXIS, GAP, whole, all, lanes, rowHeight, total };
})();
