// The pages work without this. It keeps the page of a running job up to date: figures come as JSON and go into text nodes and attributes, never into markup.

const POLL_MS = 1500;
const POLL_MS_MAX = 15000;

const card = document.querySelector("[data-job]");
if (card?.dataset.job) follow(card, card.dataset.job, POLL_MS);

function follow(card, address, wait) {
  setTimeout(async () => {
    if (document.hidden) return follow(card, address, wait);
    const figures = await ask(address);
    if (figures && !figures.runs) return location.reload();
    if (figures) show(card, figures);
    follow(card, address, figures ? POLL_MS : Math.min(wait * 2, POLL_MS_MAX));
  }, wait);
}

async function ask(address) {
  try {
    const answer = await fetch(address, { headers: { accept: "application/json" }, credentials: "same-origin", redirect: "error" });
    return answer.ok && answer.headers.get("content-type")?.startsWith("application/json") ? await answer.json() : null;
  } catch {
    return null;
  }
}

function show(card, figures) {
  card.querySelector("[data-progress]").textContent = String(figures.progress);
  card.querySelector(".bar rect").setAttribute("width", String(figures.progress));
  const pattern = card.querySelector("template").content.firstElementChild;
  card.querySelector(".steps").replaceChildren(...figures.steps.map((step) => row(pattern, step)));
}

function row(pattern, step) {
  const row = pattern.cloneNode(true);
  if (step.state.tone) row.querySelector(".mk").classList.add(step.state.tone);
  row.querySelector("use").setAttribute("href", `#i-${step.state.icon}`);
  row.querySelector("bdi").textContent = step.name;
  row.querySelector(".word").textContent = step.state.word;
  return row;
}
