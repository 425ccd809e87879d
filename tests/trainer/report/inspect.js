// Looks at reports in frames of a width and a colour scheme, and leaves what it finds in the page's text, as JSON.
"use strict";

function luminance(colour) {
  const linear = colour.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}

// rgb(22, 32, 44), rgba(0, 0, 0, 0) and color(srgb 0.5 0.6 0.9) as [red, green, blue, opacity], each from 0 to 1
function parts(css) {
  const numbers = css.match(/[\d.]+/g).map(Number);
  const scale = css.startsWith("color(") ? 1 : 255;
  return [...numbers.slice(0, 3).map((part) => part / scale), numbers[3] ?? 1];
}

function background(element, view) {
  for (let at = element; at; at = at.parentElement) {
    const colour = parts(view.getComputedStyle(at).backgroundColor);
    if (colour[3] > 0) return colour;
  }
  return [1, 1, 1, 1];
}

function contrast(element, view) {
  const style = view.getComputedStyle(element);
  const colour = parts(element instanceof view.SVGElement ? style.fill : style.color);
  const [high, low] = [luminance(colour), luminance(background(element, view))].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
}

function overlap(first, second) {
  const [a, b] = [first.getBoundingClientRect(), second.getBoundingClientRect()];
  return a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
}

function hasText(element) {
  return [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
}

function problems(frame) {
  const view = frame.contentWindow, page = frame.contentDocument, found = [];
  const root = page.documentElement;
  if (root.scrollWidth > root.clientWidth) found.push(`wider than the window: ${root.scrollWidth}`);
  const loaded = view.performance.getEntriesByType("resource");
  if (loaded.length) found.push(`loads ${loaded.map((entry) => entry.name)}`);
  for (const element of page.body.querySelectorAll("*")) {
    if (!hasText(element) || ["TITLE", "DESC"].includes(element.tagName.toUpperCase())) continue;
    if (!element.getClientRects().length) continue;
    const ratio = contrast(element, view);
    if (ratio < 4.5) found.push(`contrast ${ratio.toFixed(2)} of ${element.tagName} ${element.textContent.trim()}`);
  }
  for (const chart of page.querySelectorAll("figure > svg")) {
    const title = chart.querySelector("title").textContent, box = chart.getBoundingClientRect();
    if (box.width < 200 || box.height < 100) found.push(`${title} is ${box.width} by ${box.height}`);
    const figure = chart.parentElement.getBoundingClientRect();
    const texts = [...chart.querySelectorAll("text")];
    texts.forEach((text, index) => {
      const place = text.getBoundingClientRect();
      if (place.left < figure.left || place.right > figure.right) found.push(`${title}: ${text.textContent} is cut off`);
      if (place.height < 9) found.push(`${title}: ${text.textContent} is ${place.height} high`);
      for (const other of texts.slice(index + 1)) {
        if (overlap(text, other)) found.push(`${title}: ${text.textContent} over ${other.textContent}`);
      }
    });
    for (const line of chart.querySelectorAll(".line")) {
      const { stroke } = view.getComputedStyle(line);
      if (stroke === "none" || !line.getTotalLength()) found.push(`${title}: a line is not drawn`);
    }
  }
  return found;
}

async function look(html, width, scheme) {
  const frame = document.createElement("iframe");
  Object.assign(frame, { width, height: 900, srcdoc: html });
  frame.style.colorScheme = scheme;
  const loaded = new Promise((resolve) => frame.addEventListener("load", resolve));
  document.body.append(frame);
  await loaded;
  frame.contentDocument.querySelectorAll("details").forEach((details) => (details.open = true));
  const ground = frame.contentWindow.getComputedStyle(frame.contentDocument.body).backgroundColor;
  const found = {
    scheme: luminance(parts(ground)) < 0.2 ? "dark" : "light",
    charts: frame.contentDocument.querySelectorAll("figure > svg").length,
    problems: problems(frame),
  };
  frame.remove();
  return found;
}

async function inspect(views) {
  const found = [];
  for (const view of views) found.push(await look(...view));
  document.body.textContent = JSON.stringify(found);
}
