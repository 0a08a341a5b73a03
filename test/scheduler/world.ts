// A small cluster behind the scheduler's state, with everything that would go to the API server written down.
import type { Decision } from '../../src/base/decisions.ts';
import type { BindRequest, ListName, Pod, PodGroup } from '../../src/base/objects.ts';
import { DEFAULT_SNAPSHOT_OPTIONS, type SnapshotView } from '../../src/base/snapshotView.ts';
import { EventRecorder } from '../../src/kubernetes/events.ts';
import type { Write, WriteResult } from '../../src/kubernetes/writeQueue.ts';
import { ClusterState } from '../../src/scheduler/clusterState.ts';
import { createSnapshotWriter } from '../../src/snapshot/writer.ts';
import { VirtualClock } from '../kubernetes/clocks.ts';

export interface World {
  readonly clock: VirtualClock;
  readonly state: ClusterState;
  readonly writes: FakeWrites;
  readonly events: EventRecorder;
  readonly log: { relevant: number; readonly expired: string[]; wake: () => void };
  /** What the snapshot writer holds, by "list key". */
  readonly table: ReadonlyMap<string, unknown>;
}

export function createWorld(): World {
  const clock = new VirtualClock();
  const log: World['log'] = { relevant: 0, expired: [], wake: () => undefined };
  const table = new Map<string, unknown>();
  const real = createSnapshotWriter(DEFAULT_SNAPSHOT_OPTIONS);
  const writer: typeof real = {
    put: (list, object) => {
      table.set(`${list} ${keyOf(object)}`, object);
      return real.put(list, object);
    },
    remove: (list, key) => {
      table.delete(`${list} ${key}`);
      real.remove(list, key);
    },
    setUsage: (...usage) => real.setUsage(...usage),
    isChanged: () => real.isChanged(),
    seal: (reuse?: SnapshotView) => real.seal(reuse),
  };
  const state = new ClusterState({
    writer,
    clock,
    schedulerName: 'kai-scheduler',
    holdMs: (failures) => 1000 * 2 ** (failures - 1),
    onRelevant: () => {
      log.relevant++;
      log.wake();
    },
    onExpired: (key) => log.expired.push(key),
  });
  const writes = new FakeWrites();
  const events = new EventRecorder({ queue: writes, component: 'kai-scheduler', instance: 'test', clock });
  return { clock, state, writes, events, log, table };
}

function keyOf(object: unknown): string {
  const { metadata } = object as Pod;
  return metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;
}

export class FakeWrites {
  readonly sent: Write[] = [];
  readonly cancelled: string[] = [];
  /** How the next writes end, by a part of "METHOD path"; default: done. */
  readonly answers = new Map<string, WriteResult>();

  submit(write: Write): Promise<WriteResult> {
    this.sent.push(write);
    const line = `${write.request.method} ${write.request.path}`;
    const special = [...this.answers].find(([part]) => line.includes(part));
    return Promise.resolve(special?.[1] ?? { kind: 'done', status: 200, body: Buffer.alloc(0), attempts: 1 });
  }

  cancel(key: string): boolean {
    this.cancelled.push(key);
    return false;
  }

  /** "METHOD path" of all that was sent since the last call; of events "event Reason about-name". */
  take(): string[] {
    return this.sent.splice(0).map(({ request }) => {
      const body = request.body as {
        readonly kind?: string;
        readonly reason?: string;
        readonly involvedObject?: { readonly name: string };
      };
      if (body?.kind === 'Event') return `event ${body.reason} ${body.involvedObject?.name}`;
      return `${request.method} ${request.path}`;
    });
  }
}

export function failed(code: number, message = 'refused'): WriteResult {
  return { kind: 'failed', status: { code, reason: '', message, retryAfterMs: 0 }, message, attempts: 1, mayHaveArrived: false };
}

export function pod(
  name: string,
  more: {
    readonly node?: string;
    readonly cpu?: string;
    readonly group?: string;
    readonly uid?: string;
    readonly phase?: string;
    readonly schedulerName?: string;
    readonly deletionTimestamp?: string;
  } = {},
): Pod {
  const {
    node,
    cpu = '1',
    group = 'job',
    uid = `uid-${name}`,
    phase = 'Pending',
    schedulerName = 'kai-scheduler',
    deletionTimestamp,
  } = more;
  return {
    metadata: { name, namespace: 'ns', uid, deletionTimestamp, labels: {}, annotations: group === '' ? {} : { 'pod-group-name': group } },
    spec: { nodeName: node, schedulerName, containers: [{ name: 'main', resources: { requests: { cpu } } }] },
    status: { phase },
  };
}

export function group(name: string, more: Partial<PodGroup> = {}): PodGroup {
  return { metadata: { name, namespace: 'ns', uid: `uid-${name}`, resourceVersion: '7' }, spec: { queue: 'q' }, ...more };
}

export function node(name: string, cpu: string): unknown {
  return { metadata: { name, uid: `uid-${name}` }, spec: {}, status: { allocatable: { cpu, pods: '10' }, conditions: [] } };
}

export function decide(kind: Decision['kind'], podName: string, nodeName: string, more: Partial<Decision> = {}): Decision {
  return {
    kind,
    action: kind === 'evict' ? 'reclaim' : 'allocate',
    pod: `ns/${podName}`,
    podUid: `uid-${podName}`,
    podGroup: 'ns/job',
    node: nodeName,
    podRow: 0 as Decision['podRow'],
    podGroupRow: 0 as Decision['podGroupRow'],
    nodeRow: 0 as Decision['nodeRow'],
    receivedType: 1,
    gpuCount: 0,
    gpuPortion: '0.00',
    gpuGroups: [],
    ...more,
  };
}

/** Node of each pod as a cycle on this table would count it: its own, or that of an assumed bind request. */
export function placesOf(table: World['table']): Record<string, string> {
  const places: Record<string, string> = {};
  for (const [id, object] of table) {
    const [list, key] = splitId(id);
    if (list === 'pods' && (object as Pod).spec.nodeName) places[key] = (object as Pod).spec.nodeName!;
  }
  for (const [id, object] of table) {
    const [list] = splitId(id);
    if (list !== 'bindRequests') continue;
    const { metadata, spec } = object as BindRequest;
    places[`${metadata.namespace}/${spec?.podName}`] ??= spec?.selectedNode ?? '';
  }
  return places;
}

function splitId(id: string): [ListName, string] {
  const space = id.indexOf(' ');
  return [id.slice(0, space) as ListName, id.slice(space + 1)];
}
