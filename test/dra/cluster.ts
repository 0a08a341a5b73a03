import type { ListName } from '../../src/base/objects.ts';
import { DEFAULT_SNAPSHOT_OPTIONS, type SnapshotOptions, type SnapshotView } from '../../src/base/snapshotView.ts';
import { type DraSession, openDra } from '../../src/engine/dra/session.ts';
import { createSnapshotWriter } from '../../src/snapshot/writer.ts';

export type Lists = Partial<Record<ListName, readonly object[]>>;

/** A sealed snapshot with its DRA session, and rows by name. */
export interface DraCluster {
  readonly view: SnapshotView;
  readonly dra: DraSession;
  node(name: string): number;
  /** By "namespace/name". */
  pod(key: string): number;
}

export function openCluster(lists: Lists, options: Partial<SnapshotOptions> = {}): DraCluster {
  const writer = createSnapshotWriter({ ...DEFAULT_SNAPSHOT_OPTIONS, ...options });
  for (const [list, objects] of Object.entries(lists) as [ListName, readonly object[]][]) {
    for (const object of objects) {
      const problems = writer.put(list, object);
      if (problems.length > 0) throw new Error(JSON.stringify(problems));
    }
  }
  const view = writer.seal();
  const rowOf = (column: Int32Array, used: Uint8Array, text: string): number => {
    const textRow = view.texts.find(text);
    const row = textRow < 0 ? -1 : column.findIndex((value, r) => value === textRow && used[r] === 1);
    if (row < 0) throw new Error(`no row for ${text}`);
    return row;
  };
  return {
    view,
    dra: openDra(view, { queueLabelKey: 'kai.scheduler/queue' }),
    node: (name) => rowOf(view.nodes.nameText, view.nodes.used, name),
    pod: (key) => rowOf(view.pods.keyText, view.pods.used, key),
  };
}

/** Row of the live bind request by pod row, taking every request of the snapshot as live. */
export function allLive(view: SnapshotView): Int32Array {
  const live = new Int32Array(view.pods.rows).fill(-1);
  const { rows, used, podKeyText } = view.bindRequests;
  for (let row = 0; row < rows; row++) if (used[row] === 1) live[view.pods.keyText.indexOf(podKeyText[row]!)] = row;
  return live;
}

export const node = (name: string, allocatable: object = {}, labels: object = {}): object => ({
  metadata: { name, labels },
  status: { allocatable: { cpu: '64', memory: '256Gi', pods: '110', ...allocatable } },
});

export const slice = (name: string, spec: object, devices: readonly (string | object)[]): object => ({
  metadata: { name },
  spec: {
    driver: 'gpu.example.com',
    pool: { name, generation: 1, resourceSliceCount: 1 },
    devices: devices.map((device) => (typeof device === 'string' ? { name: device } : device)),
    ...spec,
  },
});

export const deviceClass = (name: string, spec: object = {}, creationTimestamp = '2026-01-01T00:00:00Z'): object => ({
  metadata: { name, creationTimestamp },
  spec,
});

export const GPU_CLASS = deviceClass('gpu.example.com', { selectors: [{ cel: { expression: 'device.driver == "gpu.example.com"' } }] });

export const exactly = (name: string, count = 1, more: object = {}): object => ({
  name,
  exactly: { deviceClassName: 'gpu.example.com', allocationMode: 'ExactCount', count, ...more },
});

export const claim = (name: string, requests: readonly object[], more: object = {}, devices: object = {}): object => ({
  metadata: { name, namespace: 'ns', uid: `uid-${name}`, labels: { 'kai.scheduler/queue': 'q' } },
  spec: { devices: { requests, ...devices } },
  ...more,
});

/** Status of a claim that has these devices ("pool/device") of the GPU driver. */
export const allocated = (request: string, devices: readonly string[], pods: readonly string[] = []): object => ({
  status: {
    allocation: allocation(request, devices),
    reservedFor: pods.map((name) => ({ resource: 'pods', name, uid: `uid-${name}` })),
  },
});

export const allocation = (request: string, devices: readonly string[]): object => ({
  devices: {
    results: devices.map((text) => {
      const [pool, device] = text.split('/');
      return { request, driver: 'gpu.example.com', pool, device };
    }),
  },
});

/** A pod with claims by name: "ref=claim"; "ref" alone is a template whose claim does not exist yet. */
export const pod = (name: string, claims: readonly string[], spec: object = {}): object => ({
  metadata: { name, namespace: 'ns', uid: `uid-${name}` },
  spec: {
    schedulerName: 'kai-scheduler',
    containers: [{ name: 'main', resources: { requests: { cpu: '1' } } }],
    resourceClaims: claims.map((text) => {
      const [ref, claimName] = text.split('=');
      return claimName === undefined ? { name: ref, resourceClaimTemplateName: 't' } : { name: ref, resourceClaimName: claimName };
    }),
    ...spec,
  },
  status: { phase: 'Pending' },
});
