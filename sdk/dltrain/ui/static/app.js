// The page: a list of jobs kept up to date by server-sent events, and one job's page. No library, no build.
const $ = (id) => document.getElementById(id);
const jobs = new Map(); // id -> summary
const rows = new Map(); // id -> <tr>
let logs = null; // the EventSource of the job on show
let refresh = 0; // a timer for the surroundings of the job on show
let shown = null; // namespace/name of the job on show
let followed = ""; // the attempt whose output is on show

/** An element; children are nodes or text, so that nothing of a job is ever read as HTML. */
function make(name, attributes = {}, ...children) {
  const space = ["svg", "polyline", "line", "title"].includes(name) ? "http://www.w3.org/2000/svg" : null;
  const element = space ? document.createElementNS(space, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}

function age(moment) {
  const seconds = Math.max(0, (Date.now() - new Date(moment)) / 1000);
  const steps = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];
  const [size, unit] = steps.find(([each]) => seconds >= each) ?? [1, "s"];
  return moment ? `${Math.floor(seconds / size)}${unit}` : "";
}

const short = (value) => (value == null ? "" : Number(value).toPrecision(4));
const link = (job) => `#/${encodeURIComponent(job.namespace)}/${encodeURIComponent(job.name)}`;
const phase = (job) => make("span", { class: `phase ${job.phase}` }, job.phase);

function bar(job) {
  if (job.percent == null) return [make("span", { class: "faint" }, job.stage)];
  const label = `${job.name}: ${job.percent}%`;
  return [make("progress", { max: 100, value: job.percent, "aria-label": label }), `${job.percent}% ${job.stage}`];
}

function row(job) {
  const name = make("a", { href: link(job) }, job.name);
  const cells = [[name, make("span", { class: "faint" }, `  ${job.namespace}`)], [phase(job)], bar(job)];
  const texts = [short(job.loss), job.eta ?? "", job.workers, String(job.restarts || ""), age(job.created)];
  return make("tr", { id: `job-${job.id}` }, ...cells.map((cell) => make("td", {}, ...cell)), ...texts.map((text) => make("td", {}, text)));
}

const wanted = (job) => `${job.namespace}/${job.name} ${job.phase}`.toLowerCase().includes($("filter").value.trim().toLowerCase());

function place(job) {
  const made = row(job);
  made.hidden = !wanted(job);
  const old = rows.get(job.id);
  const focused = old?.contains(document.activeElement);
  if (old) old.replaceWith(made);
  else $("rows").prepend(made);
  rows.set(job.id, made);
  if (focused) made.querySelector("a").focus();
}

function count() {
  $("empty").hidden = jobs.size > 0;
  const running = [...jobs.values()].filter((job) => job.phase === "Running").length;
  $("state").textContent = `${jobs.size} ${jobs.size === 1 ? "job" : "jobs"}, ${running} running`;
}

function listed(all) {
  jobs.clear();
  rows.clear();
  all.sort((a, b) => (b.created ?? "").localeCompare(a.created ?? ""));
  const body = document.createDocumentFragment();
  for (const job of all) {
    const made = row(job);
    made.hidden = !wanted(job);
    jobs.set(job.id, job);
    rows.set(job.id, made);
    body.append(made);
  }
  $("rows").replaceChildren(body);
  requestAnimationFrame(() => performance.mark("listed")); // once it is on the screen; what the tests measure
  count();
}

function connect() {
  const source = new EventSource("api/jobs");
  source.addEventListener("jobs", (event) => listed(JSON.parse(event.data)));
  source.addEventListener("job", (event) => {
    const job = JSON.parse(event.data);
    jobs.set(job.id, job);
    place(job);
    count();
    if (shown === `${job.namespace}/${job.name}`) {
      picture(job);
      if (!refresh) refresh = setTimeout(() => around(false), 1000);
    }
  });
  source.addEventListener("gone", (event) => {
    const { id } = JSON.parse(event.data);
    jobs.delete(id);
    rows.get(id)?.remove();
    rows.delete(id);
    count();
  });
  source.addEventListener("trouble", (event) => { $("state").textContent = JSON.parse(event.data); });
  source.onerror = () => { $("state").textContent = "connection lost, trying again"; };
}

const panel = (title, id, ...children) => make("section", { id }, make("h3", {}, title), ...children);

function curve(losses, points) {
  if (losses.length < 2) return make("p", { class: "faint" }, "No curve yet.");
  const low = Math.min(...losses), high = Math.max(...losses), span = high - low || 1;
  const path = losses.map((loss, at) => `${(at / (points - 1)) * 100},${38 - ((loss - low) / span) * 36}`).join(" ");
  const text = `Loss from ${short(losses[0])} to ${short(losses.at(-1))}`;
  const svg = make("svg", { class: "curve", viewBox: "0 0 100 40", preserveAspectRatio: "none", role: "img", "aria-label": text });
  for (const y of [2, 20, 38]) svg.append(make("line", { x1: 0, x2: 100, y1: y, y2: y }));
  svg.append(make("polyline", { points: path }));
  return make("div", {}, svg, make("p", { class: "faint" }, `${text}, between ${short(low)} and ${short(high)}; the width is the whole training.`));
}

function split(shares) {
  if (!shares) return make("p", { class: "faint" }, "Not measured yet.");
  const parts = [["compute", shares.compute], ["communication", shares.communication], ["data", shares.data]];
  parts.push(["other", Math.max(0, 1 - parts.reduce((sum, [, share]) => sum + share, 0))]);
  const line = make("div", { class: "split", role: "img", "aria-label": parts.map(([name, share]) => `${name} ${Math.round(share * 100)}%`).join(", ") });
  const key = make("p", { class: "key" });
  for (const [name, share] of parts) {
    const piece = make("div", { class: name });
    piece.style.width = `${share * 100}%`;
    line.append(piece);
    key.append(make("span", {}, make("i", { class: name }), `${name} ${Math.round(share * 100)}%`), " ");
  }
  return make("div", {}, line, key);
}

function pairs(entries) {
  const list = make("dl");
  for (const [name, value] of entries) if (value !== "" && value != null) list.append(make("dt", {}, name), make("dd", {}, value));
  return list;
}

function compression(results) {
  const steps = results?.compression ?? [];
  if (!steps.length) return null;
  const names = Object.keys(steps[0].metrics ?? {}).slice(0, 2);
  const lines = steps.map((each) => [
    each.step, each.outcome, ...names.map((name) => short(each.metrics?.[name])),
    each.fileBytes == null ? "" : `${(each.fileBytes / 2 ** 20).toPrecision(3)} MiB`,
    each.speedup == null ? "" : `${each.speedup.toFixed(2)}x`, (each.reasons ?? []).join("; "),
  ]);
  const made = panel("Compression", "compression", table(["Step", "Outcome", ...names, "File", "Speed", ""], lines));
  made.className = "wide";
  return made;
}

function failure(status) {
  if (!status.failure) return null;
  const told = status.failure;
  const where = ["rank", "pod", "node", "exitCode", "signal", "attempt"].map((name) => [name, told[name] == null ? "" : String(told[name])]);
  const made = panel("What went wrong", "failure", make("p", {}, `${told.reason}: ${told.message ?? ""}`), pairs(where));
  made.className = "wide failure";
  if (told.log) made.append(make("pre", { tabindex: 0 }, told.log));
  return made;
}

/** What the job's object says, drawn anew at every change. */
function picture(job) {
  const status = job.status, progress = status.progress ?? {}, results = status.results;
  const condition = (status.conditions ?? []).find((each) => each.status === "True" && each.type !== "Accepted");
  const metrics = Object.entries(results?.metrics ?? {}).map(([name, value]) => [name, short(value)]);
  const over = ["Succeeded", "Failed"].includes(job.phase);
  const facts = [
    ["Phase", phase(job)], ["Why", condition?.message], ["Progress", make("span", {}, ...bar(job))],
    ["Epoch", progress.epoch == null ? "" : `${progress.epoch} of ${progress.epochs ?? "?"}`],
    ["Step", progress.step == null ? "" : `${progress.step} of ${progress.steps ?? "?"}`], ["Loss", short(progress.loss)],
    ["Samples a second", over || progress.samplesPerSecond == null ? "" : Math.round(progress.samplesPerSecond).toLocaleString("en")],
    ["Left", over ? "" : progress.eta], ["Ranks", String(job.ranks)], ["Workers", job.workers], ["Attempt", status.attempt ? String(status.attempt) : ""],
    ["Restarts", job.restarts ? String(job.restarts) : ""], ["Checkpoint", status.checkpoint ? `step ${status.checkpoint.step}, ${status.checkpoint.uri}` : ""],
  ];
  const found = [
    panel("State", "facts", pairs(facts)),
    panel("Loss", "curve", curve(progress.losses ?? [], job.points)),
    panel("Where the time goes", "split", split(progress.timeSplit)),
    results ? panel("Results", "results", pairs([...metrics, ["Artefacts", results.artifacts]])) : null,
    compression(results), failure(status),
  ];
  $("object").replaceChildren(...found.filter(Boolean));
}

function table(heads, lines) {
  const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)));
  const body = lines.map((cells) => make("tr", {}, ...cells.map((text, at) => make("td", { class: at === cells.length - 1 ? "long" : "" }, text))));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
}

/** What the cluster knows around the job: asked for once a second at most. */
async function around(first) {
  refresh = 0;
  const asked = shown;
  const [namespace, name] = asked.split("/");
  const answer = await fetch(`api/jobs/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`);
  const told = await answer.json();
  if (shown !== asked) return;
  if (told.error) {
    if (first) $("job").replaceChildren(make("h2", {}, asked), make("p", {}, told.error));
    return;
  }
  if (first) picture(told.job);
  $("story").replaceChildren(...told.story.split("\n").map((line) => make("div", {}, line)));
  const pods = told.pods.map((pod) => [pod.name, (pod.ranks ?? []).join(", "), pod.phase, pod.node || "", pod.message || ""]);
  $("pods").replaceChildren(pods.length ? table(["Pod", "Ranks", "Phase", "Node", ""], pods) : make("p", { class: "faint" }, "No pods."));
  const events = told.events.toReversed().map((each) => [age(each.time), each.kind, each.about, each.reason, each.message]);
  $("events").replaceChildren(events.length ? table(["Age", "Kind", "About", "Reason", "Message"], events) : make("p", { class: "faint" }, "No events."));
  $("spec").textContent = JSON.stringify(told.job.spec, null, 2);
  const attempt = String(told.job.status.attempt ?? 0);
  if (first || (logs === null && followed !== attempt)) follow(namespace, name);
  followed = attempt;
}

function follow(namespace, name) {
  logs?.close();
  const output = $("output");
  output.textContent = "";
  logs = new EventSource(`api/jobs/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}/logs`);
  const stop = () => {
    logs?.close();
    logs = null;
    if (!output.textContent) output.textContent = "No output.";
  };
  logs.addEventListener("line", (event) => {
    const low = output.scrollHeight - output.scrollTop - output.clientHeight < 40;
    output.append(`${JSON.parse(event.data)}\n`);
    while (output.childNodes.length > 5000) output.firstChild.remove();
    if (low) output.scrollTop = output.scrollHeight;
  });
  for (const kind of ["end", "trouble", "error"]) logs.addEventListener(kind, stop);
}

function route() {
  logs?.close();
  logs = null;
  clearTimeout(refresh);
  refresh = 0;
  const [, namespace, name] = location.hash.split("/").map(decodeURIComponent);
  shown = name ? `${namespace}/${name}` : null;
  $("list").hidden = Boolean(shown);
  $("job").hidden = !shown;
  document.title = shown ? `${shown} - dltrain` : "dltrain";
  if (!shown) return;
  const wide = (title, id, child) => { const made = panel(title, `${id}-panel`, child); made.className = "wide"; return made; };
  $("job").replaceChildren(
    make("p", {}, make("a", { href: "#/" }, "All jobs")), make("h2", { tabindex: -1 }, shown),
    make("div", { id: "object", class: "panels" }),
    make("p", {}),
    make("div", { class: "panels" },
      wide("In words", "story", make("div", { id: "story" })), wide("Ranks and nodes", "pods", make("div", { id: "pods" })),
      wide("Events", "events", make("div", { id: "events" })), wide("Output", "output", make("pre", { id: "output", tabindex: 0 })),
      wide("Job", "spec", make("pre", { id: "spec", tabindex: 0 }))),
  );
  around(true);
}

$("filter").addEventListener("input", () => { for (const [id, job] of jobs) rows.get(id).hidden = !wanted(job); });
addEventListener("hashchange", route);
setInterval(() => { for (const [id, job] of jobs) rows.get(id).lastChild.textContent = age(job.created); }, 10000);
connect();
route();
