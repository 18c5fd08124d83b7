// Draws the fee rates of a payout's versions over time; the page has the same in a table, and is whole without it.
"use strict";

function inWords(value) {
    return `${new Date(value).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

function draw(canvas) {
    const found = JSON.parse(document.getElementById(canvas.dataset.source).textContent);
    canvas.closest("figure").hidden = false;
    // Within a day the hour tells more than the date, and a telephone has room for it.
    const times = [...found.versions, ...found.expected, ...found.others].map((point) => point.x);
    const isShort = Math.max(...times) - Math.min(...times) < 24 * 3600 * 1000;
    const ink = getComputedStyle(canvas.parentElement).color;
    new Chart(canvas, {
        type: "line",
        data: {
            datasets: [
                { label: found.labels.versions, data: found.versions, stepped: true, borderColor: "#9333ea", backgroundColor: "#9333ea", pointRadius: 4 },
                { label: found.labels.expected, data: found.expected, stepped: true, borderColor: "#0e7490", backgroundColor: "#0e7490", borderDash: [4, 4], borderWidth: 2, pointRadius: 0, pointStyle: "line" },
                { label: found.labels.others, data: found.others, showLine: false, borderColor: "#d99000", backgroundColor: "#d99000", pointRadius: 4, pointStyle: "triangle" },
            ],
        },
        options: {
            animation: false,
            maintainAspectRatio: false,
            plugins: {
                legend: { labels: { color: ink, usePointStyle: true } },
                tooltip: { callbacks: { title: (items) => inWords(items[0].parsed.x) } },
            },
            scales: {
                x: { type: "linear", ticks: { color: ink, maxTicksLimit: 4, maxRotation: 0, callback: (value) => (isShort ? inWords(value).slice(11) : inWords(value).slice(0, 10)) } },
                y: { beginAtZero: true, grace: "20%", ticks: { color: ink }, title: { display: true, text: "sat/vB", color: ink } },
            },
        },
    });
}

document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("canvas[data-source]").forEach(draw));
