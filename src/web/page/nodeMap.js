import htm from 'htm';
import { h } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { formatGpus } from './format.js';

const html = htm.bind(h);
const HEIGHT = 300;
const STEPS = 16;

/** Number of columns that makes `count` square cells as large as possible in the given area. */
function columnsFor(count, width, height) {
  let columns = Math.max(1, Math.ceil(Math.sqrt((count * width) / height)));
  while (Math.ceil(count / columns) * (width / columns) > height) columns++;
  return columns;
}

/** RGB of a CSS variable, whatever notation it has. */
function readColor(element, name) {
  element.style.color = `var(${name})`;
  const parts = getComputedStyle(element)
    .color.match(/[\d.]+/g)
    .map(Number);
  element.style.color = '';
  return parts.slice(0, 3);
}

function readPalette(element) {
  const from = readColor(element, '--cell-empty');
  const to = readColor(element, '--cell-full');
  const scale = Array.from(
    { length: STEPS + 1 },
    (_, i) => `rgb(${from.map((c, k) => Math.round(c + ((to[k] - c) * i) / STEPS)).join(' ')})`,
  );
  return { scale, none: `rgb(${readColor(element, '--cell-none').join(' ')})`, mark: `rgb(${readColor(element, '--accent-2').join(' ')})` };
}

function draw(canvas, gpuMilli, allocatedMilli, selected) {
  const width = canvas.clientWidth;
  const ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(HEIGHT * ratio);
  }
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, HEIGHT);
  const count = gpuMilli.length;
  const columns = columnsFor(count, width, HEIGHT);
  const size = width / columns;
  const gap = size > 6 ? 1 : size > 3 ? 0.5 : 0;
  const { scale, none, mark } = readPalette(canvas);
  // One pass per colour: changing fillStyle is what costs.
  const buckets = new Map();
  for (let i = 0; i < count; i++) {
    const color = gpuMilli[i] === 0 ? none : scale[Math.round(Math.min(1, allocatedMilli[i] / gpuMilli[i]) * STEPS)];
    if (!buckets.has(color)) buckets.set(color, []);
    buckets.get(color).push(i);
  }
  for (const [color, cells] of buckets) {
    context.fillStyle = color;
    for (const i of cells) context.fillRect((i % columns) * size, Math.floor(i / columns) * size, size - gap, size - gap);
  }
  if (selected >= 0) {
    context.strokeStyle = mark;
    context.lineWidth = 2;
    context.strokeRect((selected % columns) * size, Math.floor(selected / columns) * size, size - gap, size - gap);
  }
  return { columns, size };
}

function describe(names, gpuMilli, allocatedMilli, i) {
  if (i < 0) return 'Point at a node, or move with the arrow keys.';
  if (gpuMilli[i] === 0) return `${names[i]}: no GPUs`;
  return `${names[i]}: ${formatGpus(allocatedMilli[i] / 1000)} of ${formatGpus(gpuMilli[i] / 1000)} GPUs allocated`;
}

/** Every node as a cell, coloured by the allocated part of its GPUs. */
export function NodeMap({ names, gpuMilli, allocatedMilli }) {
  const canvas = useRef(null);
  const grid = useRef({ columns: 1, size: 1 });
  const [selected, setSelected] = useState(-1);
  const [, setRedraw] = useState(0);

  useEffect(() => {
    const redraw = () => setRedraw((n) => n + 1);
    const observer = new ResizeObserver(redraw);
    observer.observe(canvas.current);
    const dark = matchMedia('(prefers-color-scheme: dark)');
    dark.addEventListener('change', redraw);
    return () => {
      observer.disconnect();
      dark.removeEventListener('change', redraw);
    };
  }, []);
  useEffect(() => {
    grid.current = draw(canvas.current, gpuMilli, allocatedMilli, selected);
  });

  const select = (i) => setSelected(i >= 0 && i < names.length ? i : -1);
  const onPointer = (event) => {
    const { columns, size } = grid.current;
    const column = Math.min(columns - 1, Math.floor(event.offsetX / size));
    select(Math.floor(event.offsetY / size) * columns + column);
  };
  const onKey = (event) => {
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: grid.current.columns, ArrowUp: -grid.current.columns };
    const step = steps[event.key];
    if (event.key === 'Escape') setSelected(-1);
    if (step === undefined) return;
    event.preventDefault();
    setSelected((i) => Math.min(names.length - 1, Math.max(0, i < 0 ? 0 : i + step)));
  };
  const text = describe(names, gpuMilli, allocatedMilli, selected);
  return html`<section class="panel" aria-label="Nodes">
    <div class="panel-head">
      <h2>Nodes</h2>
      <span class="legend"><i class="none"></i> no GPUs <span>free</span><i></i><span>allocated</span></span>
    </div>
    <canvas class="map-canvas" ref=${canvas} tabindex="0" role="img" aria-label=${`Map of ${names.length} nodes. ${text}`}
      onPointerMove=${onPointer} onPointerLeave=${() => setSelected(-1)} onKeyDown=${onKey}></canvas>
    <p class="map-detail soft" aria-live="polite">${text}</p>
  </section>`;
}
