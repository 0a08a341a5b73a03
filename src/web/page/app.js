import htm from 'htm';
import { h, render } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { AllocationChart, CycleChart } from './charts.js';
import { formatCount, formatDuration, formatMs, formatShare } from './format.js';
import { NodeMap } from './nodeMap.js';
import { Pending } from './pending.js';
import { Queues } from './queues.js';

const html = htm.bind(h);
const POLL_MS = 1000;

async function fetchJson(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.json();
}

/** The latest state and its node list; keeps the last good one when the server is gone. */
function useCluster() {
  const [cluster, setCluster] = useState({ state: null, nodes: null, isLost: false });
  useEffect(() => {
    let nodes = null;
    let timer = 0;
    let isOver = false;
    const poll = async () => {
      try {
        const state = await fetchJson('/api/state');
        if (nodes === null || nodes.version !== state.nodesVersion) nodes = await fetchJson('/api/nodes');
        if (!isOver) setCluster({ state, nodes, isLost: false });
      } catch {
        if (!isOver) setCluster((last) => ({ ...last, isLost: true }));
      }
      if (!isOver) timer = setTimeout(poll, POLL_MS);
    };
    poll();
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, []);
  return cluster;
}

function Counter({ label, value, note }) {
  return html`<div><dt>${label}</dt><dd>${value}</dd><dd class="note">${note ?? '\u00a0'}</dd></div>`;
}

function Counters({ state }) {
  const { gpu, pods, cycles } = state;
  const share = gpu.totalMilli === 0 ? 0 : gpu.allocatedMilli / gpu.totalMilli;
  return html`<dl class="counters">
    <${Counter} label="GPUs allocated" value=${formatShare(share)} note=${`of ${formatCount(gpu.totalMilli / 1000)}`} />
    <${Counter} label="Fragmentation" value=${formatShare(gpu.fragmentationShare)} note="of the free GPUs" />
    <${Counter} label="Pods running" value=${formatCount(pods.running)} note=${`${formatCount(pods.finished)} finished`} />
    <${Counter} label="Pods waiting" value=${formatCount(pods.waiting)} note=${`${formatCount(pods.evicted)} evicted so far`} />
    <${Counter} label="Pods bound so far" value=${formatCount(pods.bound)} note=${`${formatCount(pods.boundPerSecond)}/s of cycle time`} />
    <${Counter} label="Cycle, median" value=${formatMs(cycles.p50Ms)} note=${`p99 ${formatMs(cycles.p99Ms)}`} />
    <${Counter} label="Cycles" value=${formatCount(cycles.count)} note=${`last ${formatMs(cycles.lastMs)}`} />
  </dl>`;
}

function App() {
  const { state, nodes, isLost } = useCluster();
  if (state === null || nodes === null) {
    return html`<p class="loading">${isLost ? 'The scheduler does not answer. Trying again…' : 'Connecting…'}</p>`;
  }
  return html`<div class="page">
    <header>
      <h1>${state.title}</h1>
      <span class="soft">${state.description}</span>
      <span class="clock">
        ${`cluster time ${formatDuration(state.nowMs - state.startedMs)}`}
        <span class="soft">${state.isFinished ? ' · finished' : ` · ${formatCount(state.speed)}× real time`}</span>
      </span>
    </header>
    <div role="status">${isLost && html`<p class="notice">The scheduler has stopped; this is its last state.</p>`}</div>
    <main>
      <${Counters} state=${state} />
      <div class="columns">
        <${NodeMap} names=${nodes.names} gpuMilli=${nodes.gpuMilli} allocatedMilli=${state.nodeAllocatedMilli} />
        <${Queues} queues=${state.queues} />
        <${AllocationChart} history=${state.allocationHistory} startedMs=${state.startedMs} />
        <${CycleChart} history=${state.cycleHistory} startedMs=${state.startedMs} />
      </div>
      <${Pending} revision=${state.cycles.count} />
    </main>
  </div>`;
}

render(html`<${App} />`, document.getElementById('app'));
