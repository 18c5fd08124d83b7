// Keeps a page that follows by itself calm: it takes no focus, asks nothing unseen, says when it is stale, and draws charts.
// The page is whole without it, and follows with htmx alone.
"use strict";

const COLORS = ["#2563eb", "#d97706", "rgb(107 114 128 / 40%)"];
const STALE = "The server does not answer: what is shown may be old.";

const live = () => document.getElementById("live");
const isLive = (event) => event.target === live();

function isInUse(part) {
    const selection = document.getSelection();
    return part.contains(document.activeElement) || (!selection.isCollapsed && part.contains(selection.anchorNode));
}

// Of the sentences beside the page this one is ours, and is taken back; what is new stays until something newer is.
function sayStale(isStale) {
    const news = document.getElementById("live-news");
    if (isStale !== (news.textContent === STALE)) news.textContent = isStale ? STALE : "";
}

// The table that a chart repeats: times, then columns of figures with their units.
function read(table) {
    const headers = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
    const rows = [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.textContent.trim()));
    const number = (text) => {
        const found = Number.parseFloat(text.replaceAll(",", ""));
        return Number.isNaN(found) ? null : found;
    };
    return {
        labels: rows.map((row) => row[0]),
        columns: headers.slice(1).map((name, place) => ({ name, data: rows.map((row) => number(row[place + 1])) })),
    };
}

function draw(canvas) {
    const { labels, columns } = read(document.getElementById(canvas.dataset.chart));
    const datasets = columns.map(({ name, data }, place) => {
        const isPool = place === columns.length - 1;
        const look = { backgroundColor: COLORS[place], borderColor: COLORS[place], borderWidth: 2, pointRadius: labels.length > 1 ? 0 : 4 };
        return { label: isPool ? `${name} (vB)` : `${name} (sat/vB)`, data, type: isPool ? "bar" : "line", yAxisID: isPool ? "vb" : "rate", order: isPool ? 1 : 0, ...look };
    });
    canvas.closest("figure").hidden = false;
    const ink = getComputedStyle(canvas.closest("section")).color;
    const axis = (position, text, more) => ({ position, beginAtZero: true, title: { display: true, text, color: ink }, ticks: { color: ink, precision: 0 }, ...more });
    new Chart(canvas, {
        data: { labels, datasets },
        options: {
            animation: false,
            maintainAspectRatio: false,
            interaction: { mode: "index", intersect: false },
            plugins: { legend: { labels: { color: ink } } },
            scales: {
                x: { ticks: { color: ink, maxRotation: 0, autoSkipPadding: 16 }, grid: { display: false } },
                rate: axis("left", "sat/vB", { ticks: { color: ink } }),
                vb: axis("right", "vB", { grid: { drawOnChartArea: false } }),
            },
        },
    });
}

function drawAll() {
    for (const canvas of document.querySelectorAll("canvas[data-chart]")) if (!Chart.getChart(canvas)) draw(canvas);
}

let open = [];
document.addEventListener("htmx:beforeRequest", (event) => {
    if (isLive(event) && document.hidden) event.preventDefault();
});
document.addEventListener("htmx:beforeSwap", (event) => {
    if (!isLive(event)) return;
    sayStale(event.detail.isError);
    // What is under somebody's hands waits; the next question comes in seconds.
    if (isInUse(live())) event.detail.shouldSwap = false;
    if (!event.detail.shouldSwap) return;
    open = [...live().querySelectorAll("details[open]")].map((found) => found.id);
    live().querySelectorAll("canvas[data-chart]").forEach((canvas) => Chart.getChart(canvas)?.destroy());
});
document.addEventListener("htmx:afterSwap", () => {
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    drawAll();
});
for (const name of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => {
        if (isLive(event)) sayStale(true);
    });
}
drawAll();
