import htm from 'htm';
import { h } from 'preact';
import { formatCount, formatGpus } from './format.js';

const html = htm.bind(h);

/** Queues in tree order with their depth. */
function flatten(queues, parent = '', depth = 0) {
  return queues.filter((q) => q.parent === parent).flatMap((q) => [{ ...q, depth }, ...flatten(queues, q.name, depth + 1)]);
}

function Bar({ queue, scale }) {
  const percent = (gpus) => `${Math.min(100, (Math.max(0, gpus) / scale) * 100)}%`;
  const label = `${formatGpus(queue.allocatedGpu)} allocated, fair share ${formatGpus(queue.fairShareGpu)}, quota ${formatGpus(queue.quotaGpu)}`;
  return html`<div class="bar" role="img" aria-label=${label} title=${label}>
    <span style=${{ width: percent(queue.allocatedGpu) }}></span>
    ${queue.quotaGpu > 0 && html`<span class="quota" style=${{ width: percent(queue.quotaGpu) }}></span>`}
    <span class="share" style=${{ left: percent(queue.fairShareGpu) }}></span>
  </div>`;
}

/** Allocation of each queue beside its quota and its fair share, in devices. */
export function Queues({ queues }) {
  const rows = flatten(queues);
  // Departments and teams get scales of their own: a team's bar would vanish beside the whole cluster.
  const scaleOf = (isTop) =>
    Math.max(1, ...rows.filter((q) => (q.depth === 0) === isTop).map((q) => Math.max(q.allocatedGpu, q.fairShareGpu, q.quotaGpu)));
  const scales = { top: scaleOf(true), inner: scaleOf(false) };
  return html`<section class="panel" aria-label="Queues">
    <div class="panel-head">
      <h2>Queues</h2>
      <span class="legend"><i class="allocated"></i> allocated <i class="share"></i> fair share <i class="quota"></i> quota</span>
    </div>
    <table class="queues">
      <thead><tr><th>Queue</th><th class="bar-cell"></th><th class="number">GPUs</th><th class="number">Fair share</th><th class="number">Quota</th><th class="number">Waiting</th></tr></thead>
      <tbody>
        ${rows.map(
          (q) => html`<tr key=${q.name}>
            <td class=${q.depth === 0 ? 'parent' : 'child'}>${q.name}</td>
            <td class="bar-cell"><${Bar} queue=${q} scale=${q.depth === 0 ? scales.top : scales.inner} /></td>
            <td class="number">${formatGpus(q.allocatedGpu)}</td>
            <td class="number">${formatGpus(q.fairShareGpu)}</td>
            <td class="number">${formatGpus(q.quotaGpu)}</td>
            <td class="number">${formatCount(q.waitingPods)}</td>
          </tr>`,
        )}
      </tbody>
    </table>
  </section>`;
}
