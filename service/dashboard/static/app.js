// Conveniences. Every page works without them.

function refine(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.title = `${new Date(time.dateTime).toLocaleString()} (${time.dateTime})`;
  }
}

// A region that follows the server: it is replaced as a whole, unless somebody is using it.
function follow(region) {
  let source, later;
  const show = (html) => {
    if (region.contains(document.activeElement) && document.activeElement.matches("input, select, textarea")) return;
    region.innerHTML = html;
    refine(region);
  };
  const open = () => {
    source = new EventSource(region.dataset.live);
    source.onmessage = ({ data }) => show(data);
    // The browser reconnects by itself, unless the answer was no stream.
    source.onerror = () => source.readyState === EventSource.CLOSED && reread();
  };
  // Too many streams are open, or the session has ended: read the page itself, and ask for a stream again later.
  const reread = async () => {
    const page = await fetch(location.href).then((answer) => answer.text(), () => "");
    const fresh = new DOMParser().parseFromString(page, "text/html").querySelector(`[data-live="${region.dataset.live}"]`);
    if (fresh) show(fresh.innerHTML);
    region.querySelector(".stale")?.remove();
    const why = fresh ? "Too many live pages are open: updated every 15 seconds." : "This page is no longer updated. Reload it.";
    region.insertAdjacentHTML("afterbegin", `<p class="notice warn stale">${why}</p>`);
    later = setTimeout(open, 15000);
  };
  document.addEventListener("visibilitychange", () => {
    source?.close();
    clearTimeout(later);
    if (!document.hidden) open();
  });
  if (!document.hidden) open();
}

// "in 4:12", counted down between two updates.
setInterval(() => {
  for (const each of document.querySelectorAll("[data-seconds]")) {
    const left = Math.max(0, Number(each.dataset.seconds) - 1);
    each.dataset.seconds = left;
    each.textContent = `${Math.floor(left / 60)}:${String(Math.floor(left % 60)).padStart(2, "0")}`;
  }
}, 1000);

document.addEventListener("click", async ({ target }) => {
  const button = target.closest("[data-copy]");
  if (button) {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
  }
  for (const open of document.querySelectorAll("details.menu[open]")) if (!open.contains(target)) open.open = false;
});

document.addEventListener("change", ({ target }) => {
  if (!target.matches("[data-all]")) return;
  for (const box of target.closest("form").querySelectorAll("input[type=checkbox]:not([data-one])")) box.checked = target.checked;
});

document.addEventListener("keydown", ({ key }) => {
  if (key === "Escape") for (const open of document.querySelectorAll("details.menu[open]")) open.open = false;
});

refine(document);
for (const region of document.querySelectorAll("[data-live]")) follow(region);
for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;
