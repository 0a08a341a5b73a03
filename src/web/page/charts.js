import htm from 'htm';
import { h } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { formatDuration, formatMs, formatShare } from './format.js';

const html = htm.bind(h);
const HEIGHT = 190;

const cssColor = (name) => {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
};

function chartOptions(width, series, formatValue, range) {
  const soft = cssColor('--soft');
  const axis = { stroke: soft, grid: { stroke: cssColor('--line'), width: 1 }, ticks: { show: false }, font: '11px system-ui' };
  return {
    width,
    height: HEIGHT,
    scales: { x: { time: false }, y: { range } },
    axes: [
      { ...axis, values: (_u, ticks) => ticks.map((s) => formatDuration(s * 1000)), space: 90 },
      { ...axis, values: (_u, ticks) => ticks.map(formatValue), size: 64 },
    ],
    series: [
      { label: 'cluster time', value: (_u, s) => (s === null ? '–' : formatDuration(s * 1000)) },
      ...series.map(({ label, color, fill }) => ({
        label,
        stroke: cssColor(color),
        fill: fill ? cssColor(fill) : undefined,
        width: 1.5,
        points: { show: false },
        value: (_u, v) => (v === null || v === undefined ? '–' : formatValue(v)),
      })),
    ],
  };
}

/** A uPlot chart that follows its container's width and the colour scheme. */
function Chart({ title, data, series, formatValue, range }) {
  const holder = useRef(null);
  const plot = useRef(null);
  const latest = useRef(data);
  latest.current = data;

  useEffect(() => {
    const build = () => {
      plot.current?.destroy();
      plot.current = new uPlot(chartOptions(holder.current.clientWidth, series, formatValue, range), latest.current, holder.current);
    };
    build();
    const observer = new ResizeObserver(() => plot.current.setSize({ width: holder.current.clientWidth, height: HEIGHT }));
    observer.observe(holder.current);
    const dark = matchMedia('(prefers-color-scheme: dark)');
    dark.addEventListener('change', build);
    return () => {
      observer.disconnect();
      dark.removeEventListener('change', build);
      plot.current.destroy();
    };
  }, []);
  useEffect(() => {
    plot.current?.setData(data);
  }, [data]);
  return html`<section class="panel" aria-label=${title}><h2>${title}</h2><div class="chart" ref=${holder}></div></section>`;
}

const seconds = (atMs, startedMs) => atMs.map((t) => (t - startedMs) / 1000);
const fromZero = (_u, _min, max) => [0, max > 0 ? max * 1.1 : 1];
const wholeShare = () => [0, 1];

const ALLOCATION_SERIES = [
  { label: 'GPUs allocated', color: '--accent' },
  { label: 'fragmentation of the rest', color: '--accent-2' },
];
const CYCLE_SERIES = [{ label: 'cycle', color: '--accent' }];

export function AllocationChart({ history, startedMs }) {
  const data = [seconds(history.atMs, startedMs), history.allocatedShare, history.fragmentationShare];
  return html`<${Chart} title="GPU allocation" data=${data} series=${ALLOCATION_SERIES} formatValue=${formatShare} range=${wholeShare} />`;
}

export function CycleChart({ history, startedMs }) {
  const data = [seconds(history.atMs, startedMs), history.tookMs];
  return html`<${Chart} title="Cycle latency" data=${data} series=${CYCLE_SERIES} formatValue=${formatMs} range=${fromZero} />`;
}
