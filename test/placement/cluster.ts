// Small clusters for tests of node and device choice, written down as tables.
import type { SchedulerConfig } from '../../src/base/config.ts';
import type { Pod } from '../../src/base/objects.ts';
import type { SnapshotView } from '../../src/base/snapshotView.ts';
import { loadConfig } from '../../src/config/loadConfig.ts';
import { stateBytes } from '../../src/engine/cycle.ts';
import { INLINE_PORT } from '../../src/engine/parallel.ts';
import { openSession } from '../../src/engine/session/open.ts';
import type { Session } from '../../src/engine/session/session.ts';
import { snapshotOf } from '../determinism/compare.ts';
import { CLUSTER_NOW_MS, emptyObjects } from '../support/randomCluster.ts';

const BUILT_IN = loadConfig({ actions: ['allocate'] }).config;

/** The built-in configuration with the fragmentation-aware policy, switched on in one of its two ways. */
export const FRAGMENTATION: SchedulerConfig = { ...BUILT_IN, plugins: [...BUILT_IN.plugins, { name: 'gpufragmentation', arguments: {} }] };
export const FRAGMENTATION_BY_ARGUMENT: SchedulerConfig = {
  ...BUILT_IN,
  plugins: BUILT_IN.plugins.map((p) => (p.name === 'nodeplacement' ? { ...p, arguments: { ...p.arguments, gpu: 'fragmentation' } } : p)),
};
export { BUILT_IN };

export interface NodeRow {
  readonly name: string;
  readonly gpus: number;
  readonly milliCpu: number;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface PodLine {
  readonly name: string;
  /** Whole devices, or a share in `0 < gpus < 1`. */
  readonly gpus: number;
  readonly milliCpu?: number;
  readonly devices?: number;
  readonly nodeSelector?: Readonly<Record<string, string>>;
  /** Runs there; absent = pending. */
  readonly node?: string;
  readonly group?: string;
}

/** Nodes with devices of 10,000 MiB; every pod is a job of its own in one queue without limits. */
export function clusterOf(nodes: readonly NodeRow[], pods: readonly PodLine[]): SnapshotView {
  const objects = emptyObjects();
  const open = { quota: -1, limit: -1, overQuotaWeight: 1 };
  objects.queues.push({ metadata: { name: 'q', uid: 'q' }, spec: { resources: { cpu: open, memory: open, gpu: open } } });
  for (const { name, gpus, milliCpu, labels = {} } of nodes) {
    const allocatable = { cpu: `${milliCpu}m`, memory: '100Gi', pods: 110, ...(gpus > 0 ? { 'nvidia.com/gpu': gpus } : {}) };
    objects.nodes.push({
      metadata: { name, uid: name, labels: { ...labels, ...(gpus > 0 ? { 'nvidia.com/gpu.memory': '10000' } : {}) } },
      status: { allocatable, capacity: allocatable, conditions: [{ type: 'Ready', status: 'True' }] },
    });
  }
  for (const line of pods) {
    objects.pods.push(podOf(line));
    objects.podGroups.push({
      metadata: { name: line.name, namespace: 'ns', uid: `g-${line.name}` },
      spec: { queue: 'q', minMember: 1 },
    });
  }
  return snapshotOf(objects);
}

function podOf({ name, gpus, milliCpu = 0, devices = 1, nodeSelector, node, group }: PodLine): Pod {
  const isShared = gpus > 0 && gpus < 1;
  const share = isShared ? { 'gpu-fraction': String(gpus), ...(devices > 1 ? { 'gpu-fraction-num-devices': String(devices) } : {}) } : {};
  const requests = { ...(milliCpu > 0 ? { cpu: `${milliCpu}m` } : {}), ...(gpus >= 1 ? { 'nvidia.com/gpu': gpus } : {}) };
  return {
    metadata: {
      name,
      namespace: 'ns',
      uid: name,
      annotations: { 'pod-group-name': name, ...share },
      labels: group === undefined ? {} : { 'runai-gpu-group': group },
    },
    spec: {
      schedulerName: 'kai-scheduler',
      containers: [{ name: 'main', resources: { requests } }],
      ...(nodeSelector === undefined ? {} : { nodeSelector }),
      ...(node === undefined ? {} : { nodeName: node }),
    },
    status: { phase: node === undefined ? 'Pending' : 'Running' },
  };
}

export function openWith(view: SnapshotView, config: SchedulerConfig): Session {
  return openSession(view, config, CLUSTER_NOW_MS, new SharedArrayBuffer(stateBytes(view, config)), INLINE_PORT);
}

/** Row of the pod `ns/name`. */
export function podRowOf(view: SnapshotView, name: string): number {
  return view.pods.keyText.indexOf(view.texts.find(`ns/${name}`));
}
