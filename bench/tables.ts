import type { CycleFigures } from './cycle.ts';
import type { KernelResult } from './kernels.ts';
import type { SuiteRow } from './suite.ts';

/** Four significant digits, no exponent. */
function short(value: number): string {
  if (!Number.isFinite(value)) return '-';
  const digits = Math.max(0, 3 - Math.floor(Math.log10(Math.max(Math.abs(value), 1e-3))));
  return value.toFixed(Math.min(digits, 3));
}

/** Text table; the first `left` columns are set left, the rest right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[], left: number): string {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (i < left ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ')
      .trimEnd();
  return [line(head), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)].join('\n');
}

export function kernelTable(results: readonly KernelResult[]): string {
  const rows = results.map((r) => [r.group, r.name, r.per, short(r.medianNs), short(r.minNs), short(r.maxNs), short(r.ratio)]);
  return table(['group', 'kernel', 'per', 'median ns', 'min', 'max', 'ratio'], rows, 3);
}

export function suiteTable(rows: readonly SuiteRow[]): string {
  const cells = (f: CycleFigures, growth: string): string[] => [
    f.shape,
    `${f.nodes}×${f.jobs}`,
    short(f.medianMs),
    short(f.minMs),
    short(f.maxMs),
    `${f.result.bound}/${f.result.pipelined}/${f.result.evicted}`,
    f.result.bound === 0 ? '' : short(f.result.nsPerBoundPod / 1000),
    String(f.counts.nodesEvaluated),
    String(f.counts.scans),
    `${f.counts.unitsPopped}/${f.counts.simulations}`,
    short(f.sealMs),
    short(f.changeMs),
    short(f.rssMb),
    growth,
  ];
  const head = [
    'shape',
    'size',
    'median ms',
    'min',
    'max',
    'bound/piped/evicted',
    'µs/pod',
    'evaluated',
    'scans',
    'units/trials',
    'seal ms',
    'change ms',
    'rss MB',
    'growth',
  ];
  const lines: string[][] = [];
  let last: CycleFigures | null = null;
  for (const { small, large, growth } of rows) {
    if (small !== last) lines.push(cells(small, ''));
    if (large !== small) lines.push(cells(large, growth.toFixed(2)));
    last = large;
  }
  return table(head, lines, 2);
}

/** One shape for reading. */
export function figuresText(f: CycleFigures): string {
  const phases = Object.entries(f.phaseMs).map(([name, ms]) => `${name} ${short(ms)}`);
  return [
    `${f.shape}: ${f.nodes} nodes, ${f.jobs} jobs, ${f.pods} pods, workers ${f.workers}, ${f.runs} runs`,
    `cycle      median ${short(f.medianMs)} ms, min ${short(f.minMs)}, max ${short(f.maxMs)}; last one by phase: ${phases.join(', ')}`,
    `result     ${f.result.bound} bound, ${f.result.pipelined} pipelined, ${f.result.evicted} evicted; ${short(f.result.nsPerBoundPod / 1000)} µs per bound pod`,
    `counts     ${Object.entries(f.counts)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ')}`,
    `snapshot   ${short(f.sealMs)} ms from objects to seal, ${short(f.changeMs)} ms per change; ${short(f.snapshot.bytes / 1e6)} MB, ` +
      `${short(f.snapshot.bytesPerPod)} bytes per pod with everything, ${f.snapshot.nodeRowBytes} per node row, ${f.snapshot.podRowBytes} per pod row`,
    `memory     ${short(f.stateBytes / 1e6)} MB of cycle state, ${short(f.rssMb)} MB resident`,
  ].join('\n');
}
