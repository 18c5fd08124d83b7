// Draws what was paid by month, a color a program, from the file of figures; the page is whole without it.
"use strict";

const COLORS = ["#16325c", "#d99000", "#1b7f3b", "#9333ea", "#b3261e", "#0e7490", "#7c6f00", "#be185d"];

async function draw(canvas) {
    const answer = await fetch(canvas.dataset.source);
    if (!answer.ok) return;
    const figures = await answer.json();
    const months = [...new Set(figures.programs.flatMap((program) => program.months.map((row) => row.month)))].sort();
    if (!months.length) return;
    const datasets = figures.programs
        .filter((program) => program.months.some((row) => row.paid))
        .map((program, place) => {
            const paid = new Map(program.months.map((row) => [row.month, row.paid && Number(row.paid.amount_sat)]));
            return {
                label: program.name,
                data: months.map((month) => paid.get(month) ?? null),
                backgroundColor: COLORS[place % COLORS.length],
                maxBarThickness: 48,
            };
        });
    if (!datasets.length) return;
    canvas.closest("figure").hidden = false;
    const ink = getComputedStyle(document.body).color;
    Chart.defaults.color = ink;
    new Chart(canvas, {
        type: "bar",
        data: { labels: months, datasets },
        options: {
            animation: false,
            maintainAspectRatio: false,
            scales: { x: { stacked: true }, y: { stacked: true, beginAtZero: true } },
        },
    });
}

document.querySelectorAll("canvas[data-source]").forEach(draw);
