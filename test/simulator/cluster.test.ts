import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ReceivedType } from '../../src/base/codes.ts';
import { type CycleReport, type Decision, emptySearchCounts, type JobReport } from '../../src/base/decisions.ts';
import { LIST_NAMES, type ListName, type OtherObject, type Pod, type PodGroup } from '../../src/base/objects.ts';
import type { NodeRow, PodGroupRow, PodRow } from '../../src/base/rows.ts';
import type { SnapshotView } from '../../src/base/snapshotView.ts';
import type { SnapshotWriter } from '../../src/base/writerPort.ts';
import { type ClusterChange, EmbeddedCluster, type KubeletOptions } from '../../src/simulator/cluster.ts';

const START_MS = Date.UTC(2026, 0, 1, 12);

/** Keeps what it was told, by list and key, as a snapshot writer would. */
class MirrorWriter implements SnapshotWriter {
  readonly objects = new Map<string, unknown>();

  put(list: ListName, object: unknown): readonly [] {
    const { namespace, name } = (object as OtherObject).metadata;
    this.objects.set(`${list} ${namespace === undefined ? name : `${namespace}/${name}`}`, object);
    return [];
  }

  remove(list: ListName, key: string): void {
    this.objects.delete(`${list} ${key}`);
  }

  setUsage(): void {
    throw new Error('not used');
  }

  isChanged(): boolean {
    throw new Error('not used');
  }

  seal(): SnapshotView {
    throw new Error('not used');
  }
}

function makeCluster(kubelet: Partial<KubeletOptions> = {}): { cluster: EmbeddedCluster; writer: MirrorWriter; changes: ClusterChange[] } {
  const writer = new MirrorWriter();
  const cluster = new EmbeddedCluster({ writer, startMs: START_MS, kubelet });
  const changes: ClusterChange[] = [];
  cluster.on((change) => changes.push(change));
  for (const name of ['n1', 'n2']) cluster.put('nodes', { metadata: { name } });
  return { cluster, writer, changes };
}

function makePod(
  name: string,
  more: { spec?: Partial<Pod['spec']>; status?: Pod['status']; annotations?: Record<string, string> } = {},
): Pod {
  return {
    metadata: { namespace: 'ns', name, uid: `uid-${name}`, annotations: { 'pod-group-name': 'job', ...more.annotations } },
    spec: { containers: [{ name: 'main' }], ...more.spec },
    status: { phase: 'Pending', ...more.status },
  };
}

function decide(kind: Decision['kind'], pod: string, node: string, more: Partial<Decision> = {}): Decision {
  return {
    kind,
    action: 'allocate',
    pod: `ns/${pod}`,
    podUid: `uid-${pod}`,
    podGroup: 'ns/job',
    node,
    podRow: 0 as PodRow,
    podGroupRow: 0 as PodGroupRow,
    nodeRow: 0 as NodeRow,
    receivedType: ReceivedType.regular,
    gpuCount: 1,
    gpuPortion: '1.00',
    gpuGroups: [],
    ...more,
  };
}

describe('binding', () => {
  it('gives a whole-GPU pod its node and type, and it runs after the bind delay', () => {
    const { cluster, changes } = makeCluster({ bindDelayMs: 1_500 });
    cluster.put('pods', makePod('a'));
    expect(cluster.nextEventMs).toBe(Infinity);
    expect(cluster.applyDecisions([decide('bind', 'a', 'n1')])).toEqual([]);
    const bound = cluster.get('pods', 'ns/a');
    expect(bound?.spec.nodeName).toBe('n1');
    expect(bound?.metadata.annotations).toEqual({ 'pod-group-name': 'job', 'received-resource-type': 'Regular' });
    expect(bound?.metadata.labels).toEqual({});
    expect(cluster.nextEventMs).toBe(START_MS + 1_500);
    cluster.advance(START_MS + 1_499);
    expect(cluster.get('pods', 'ns/a')?.status?.phase).toBe('Pending');
    cluster.advance(START_MS + 9_000);
    expect(cluster.get('pods', 'ns/a')?.status?.phase).toBe('Running');
    expect(cluster.nowMs).toBe(START_MS + 9_000);
    expect(changes.map((c) => `${c.cause} ${c.key} ${c.atMs - START_MS}`).slice(2)).toEqual(['put ns/a 0', 'bind ns/a 0', 'run ns/a 1500']);
  });

  it('labels shared GPUs: one group plainly, several by their names', () => {
    const { cluster } = makeCluster();
    const fraction = { receivedType: ReceivedType.fraction };
    for (const name of ['one', 'two']) cluster.put('pods', makePod(name));
    cluster.applyDecisions([
      decide('bind', 'one', 'n1', { ...fraction, gpuGroups: ['g1'] }),
      decide('bind', 'two', 'n1', { ...fraction, gpuGroups: ['g1', 'g2'] }),
    ]);
    expect(cluster.get('pods', 'ns/one')?.metadata.labels).toEqual({ 'runai-gpu-group': 'g1' });
    expect(cluster.get('pods', 'ns/two')?.metadata.labels).toEqual({ 'runai-gpu-group/g1': 'g1', 'runai-gpu-group/g2': 'g2' });
  });

  it('refuses what no longer holds and persists nothing of pipelined pods', () => {
    const { cluster } = makeCluster();
    cluster.put('pods', makePod('a'));
    cluster.put('pods', makePod('b'));
    const before = JSON.stringify(cluster.list('pods'));
    const bad = [
      decide('bind', 'gone', 'n1'),
      decide('bind', 'a', 'no-such-node'),
      decide('bind', 'a', 'n1', { podUid: 'another' }),
      decide('evict', 'gone', 'n1'),
    ];
    expect(cluster.applyDecisions([...bad, decide('pipeline', 'a', 'n1')])).toEqual(bad);
    expect(JSON.stringify(cluster.list('pods'))).toBe(before);
    expect(cluster.applyDecisions([decide('bind', 'b', 'n1')])).toEqual([]);
    const again = decide('bind', 'b', 'n2');
    expect(cluster.applyDecisions([again])).toEqual([again]);
  });
});

describe('leaving', () => {
  it('keeps an evicted pod for its grace, then a new pod takes its name', () => {
    const { cluster } = makeCluster({ terminationGraceMs: 30_000, bindDelayMs: 0, isRecreated: () => true });
    cluster.put('pods', makePod('a'));
    cluster.applyDecisions([decide('bind', 'a', 'n1', { receivedType: ReceivedType.fraction, gpuGroups: ['g1'] })]);
    cluster.advance(START_MS + 10_000);
    cluster.applyDecisions([decide('evict', 'a', 'n1')]);
    expect(cluster.get('pods', 'ns/a')?.metadata.deletionTimestamp).toBe('2026-01-01T12:00:40Z');
    const twice = decide('evict', 'a', 'n1');
    expect(cluster.applyDecisions([twice])).toEqual([twice]);
    cluster.advance(START_MS + 39_999);
    expect(cluster.get('pods', 'ns/a')?.metadata.uid).toBe('uid-a');
    cluster.advance(START_MS + 40_000);
    const fresh = makePod('a');
    expect(JSON.parse(JSON.stringify(cluster.get('pods', 'ns/a')))).toEqual({
      ...fresh,
      metadata: { ...fresh.metadata, uid: 'uid-a-r1', creationTimestamp: '2026-01-01T12:00:40Z', labels: {} },
    });
    cluster.applyDecisions([decide('evict', 'a', '', { podUid: 'uid-a-r1' })]);
    cluster.advance(START_MS + 40_000);
    expect(cluster.get('pods', 'ns/a')?.metadata.uid).toBe('uid-a-r2');
  });

  it('lets finished, deleted and from the start leaving pods go for good', () => {
    const { cluster } = makeCluster({ runMs: (pod) => (pod.metadata.name === 'short' ? 5_000 : Infinity), isRecreated: () => true });
    const running = { spec: { nodeName: 'n1' }, status: { phase: 'Running' } };
    for (const name of ['short', 'long', 'old']) {
      const pod = makePod(name, running);
      const deletionTimestamp = name === 'old' ? '2026-01-01T12:00:20Z' : undefined;
      cluster.put('pods', { ...pod, metadata: { ...pod.metadata, deletionTimestamp } });
    }
    cluster.deletePod('ns/long');
    cluster.advance(START_MS + 5_000);
    expect(cluster.list('pods').map((p) => p.status?.phase)).toEqual(['Running', 'Running', 'Succeeded']);
    cluster.advance(START_MS + 20_000);
    expect(cluster.list('pods').map((p) => p.metadata.name)).toEqual(['long', 'short']);
    cluster.advance(START_MS + 30_000);
    expect(cluster.list('pods').map((p) => p.metadata.name)).toEqual(['short']);
  });
});

describe('claims', () => {
  const claim = (name: string, ownerUid?: string): OtherObject => ({
    metadata: {
      namespace: 'ns',
      name,
      uid: name,
      ownerReferences: ownerUid === undefined ? undefined : [{ apiVersion: 'v1', kind: 'Pod', name: 'a', uid: ownerUid, controller: true }],
    },
    spec: { devices: { requests: [] } },
  });
  const allocation = { devices: { results: [{ device: 'gpu-0' }] } };
  const user = (name: string, uid = `uid-${name}`): unknown => ({ resource: 'pods', name, uid });

  it('are reserved and allocated with the binding, freed with the last user, renewed with the successor', () => {
    const { cluster } = makeCluster({ terminationGraceMs: 0, isRecreated: (pod) => pod.metadata.name === 'a' });
    const resourceClaims = [
      { name: 'shared', resourceClaimName: 'common' },
      { name: 'own', resourceClaimTemplateName: 't' },
    ];
    const status = { resourceClaimStatuses: [{ name: 'own', resourceClaimName: 'a-own' }] };
    cluster.put('pods', makePod('a', { spec: { resourceClaims }, status }));
    cluster.put('pods', makePod('b', { spec: { resourceClaims: resourceClaims.slice(0, 1) } }));
    cluster.put('resourceClaims', claim('common'));
    cluster.put('resourceClaims', claim('a-own', 'uid-a'));
    const allocations = (names: string[]): Partial<Decision> => ({
      details: { resourceClaimAllocations: names.map((name) => ({ name, allocation })) },
    });
    cluster.applyDecisions([decide('bind', 'a', 'n1', allocations(['shared', 'own'])), decide('bind', 'b', 'n1', allocations(['shared']))]);
    expect(cluster.get('resourceClaims', 'ns/common')?.status).toEqual({ allocation, reservedFor: [user('a'), user('b')] });
    expect(cluster.get('resourceClaims', 'ns/a-own')?.status).toEqual({ allocation, reservedFor: [user('a')] });
    cluster.applyDecisions([decide('evict', 'a', 'n1')]);
    cluster.advance(START_MS);
    expect(cluster.get('resourceClaims', 'ns/common')?.status).toEqual({ allocation, reservedFor: [user('b')] });
    expect(cluster.get('resourceClaims', 'ns/a-own')).toEqual({ ...renewedOwn(), status: {} });
    cluster.remove('pods', 'ns/b');
    expect(cluster.get('resourceClaims', 'ns/common')?.status).toEqual({ reservedFor: [] });

    function renewedOwn(): OtherObject {
      const own = claim('a-own', 'uid-a-r1');
      return { ...own, metadata: { ...own.metadata, uid: 'a-own-r1' } };
    }
  });

  it('for extended resources are made with the binding and go with the pod', () => {
    const { cluster } = makeCluster({ terminationGraceMs: 0 });
    cluster.put('pods', makePod('a'));
    const deviceRequests = [{ name: 'container-0-request-0' }];
    const containerMappings = [{ containerName: 'main', resourceName: 'nvidia.com/gpu', requestName: 'container-0-request-0' }];
    const extendedResourceClaimAllocation = { allocation, deviceRequests, containerMappings };
    cluster.applyDecisions([decide('bind', 'a', 'n1', { details: { extendedResourceClaimAllocation } })]);
    const [made] = cluster.list('resourceClaims');
    expect(made?.metadata.annotations).toEqual({ 'resource.kubernetes.io/extended-resource-claim': 'true' });
    expect(made?.status).toEqual({ allocation, reservedFor: [user('a')] });
    const resourceClaimName = made?.metadata.name;
    expect(cluster.get('pods', 'ns/a')?.status?.extendedResourceClaimStatus).toEqual({
      resourceClaimName,
      requestMappings: containerMappings,
    });
    cluster.applyDecisions([decide('evict', 'a', 'n1')]);
    cluster.advance(START_MS);
    expect(cluster.size('resourceClaims')).toBe(0);
  });
});

describe('bind requests in flight', () => {
  const request = (podUid: string): object => ({
    metadata: { namespace: 'ns', name: 'a', uid: 'r', ownerReferences: [{ kind: 'Pod', name: 'a', uid: podUid }] },
    spec: { podName: 'a', selectedNode: 'n2', receivedResourceType: 'Fraction', selectedGPUGroups: ['g7'] },
  });

  it('are carried out for the pod they were made for, and only for it', () => {
    for (const [uid, node] of [['uid-a', 'n2'] as const, ['uid-of-its-predecessor', undefined] as const]) {
      const { cluster } = makeCluster();
      cluster.load({ pods: [makePod('a')], bindRequests: [request(uid) as never] });
      cluster.advance(START_MS + 60_000);
      expect(cluster.get('pods', 'ns/a')?.spec.nodeName).toBe(node);
      expect(cluster.get('pods', 'ns/a')?.status?.phase).toBe(node === undefined ? 'Pending' : 'Running');
    }
  });
});

describe('the report of a cycle', () => {
  const view = {
    texts: { get: (row: number) => ['ns/job', 'ns/a'][row] ?? '' },
    podGroups: { keyText: Int32Array.of(0) },
    pods: { keyText: Int32Array.of(1) },
  } as unknown as SnapshotView;
  const report = (job: Partial<JobReport>): CycleReport => ({
    jobs: [{ podGroupRow: 0 as PodGroupRow, state: 'unschedulable', message: '', errors: [], pods: [], isConditionWanted: true, ...job }],
    queues: [],
    counts: { bound: 0, pipelined: 0, evicted: 0, jobsAttempted: 0, jobsFailed: 0, nodesEvaluated: 0, scans: 0, classes: 0 },
    search: emptySearchCounts(),
    searchByAction: {},
    phaseMs: {},
    staleBindRequests: [],
    sameUntilMs: Number.NEGATIVE_INFINITY,
  });
  const conditionsOf = (cluster: EmbeddedCluster): string[] =>
    (cluster.get('podGroups', 'ns/job')?.status?.schedulingConditions ?? []).map((c) => `${c.nodePool} ${c.transitionID} ${c.message}`);

  it('writes scheduling conditions as in the worked example (spec 01 section 5.4)', () => {
    const condition = (nodePool: string, transitionID: string, message: string): object => ({
      type: 'UnschedulableOnNodePool',
      nodePool,
      reason: 'Unschedulable',
      status: 'True',
      message,
      transitionID,
    });
    const { cluster, changes } = makeCluster();
    const schedulingConditions = [condition('a', '3', 'M0'), condition('default', '5', 'M1')];
    cluster.put('podGroups', { metadata: { namespace: 'ns', name: 'job' }, status: { schedulingConditions } } as PodGroup);
    const written = changes.length;
    cluster.applyReport(report({ message: 'M1' }), view);
    expect(changes.length).toBe(written);
    cluster.applyReport(report({ message: 'M2', isConditionWanted: false }), view);
    expect(changes.length).toBe(written);
    cluster.applyReport(report({ message: 'M2' }), view);
    expect(conditionsOf(cluster)).toEqual(['a 3 M0', 'default 6 M2']);
    cluster.applyReport(report({ state: 'scheduled', lastStartMs: START_MS }), view);
    expect(conditionsOf(cluster)).toEqual(['a 3 M0', 'default 6 M2']);
    cluster.applyReport(report({ state: 'scheduled' }), view);
    expect(conditionsOf(cluster)).toEqual([]);
  });

  it('writes annotations in whole seconds, pod conditions, and deletes stale bind requests', () => {
    const { cluster, writer } = makeCluster();
    cluster.put('podGroups', {
      metadata: { namespace: 'ns', name: 'job', annotations: { 'kai.scheduler/stale-podgroup-timestamp': 'x' } },
    });
    cluster.put('pods', makePod('a'));
    cluster.put('bindRequests', { metadata: { namespace: 'ns', name: 'old' } });
    const job = { lastStartMs: START_MS + 1_900, staleSinceMs: Number.NaN, pods: [{ podRow: 0 as PodRow, message: 'no room' }] };
    cluster.applyReport({ ...report(job), staleBindRequests: ['ns/old'] }, view);
    expect(cluster.get('podGroups', 'ns/job')?.metadata.annotations).toEqual({
      'kai.scheduler/last-start-timestamp': '2026-01-01T12:00:01Z',
    });
    const condition = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: 'no room' };
    expect(cluster.get('pods', 'ns/a')?.status).toEqual({ phase: 'Pending', conditions: [condition] });
    expect(cluster.size('bindRequests')).toBe(0);
    expect(writer.objects.has('bindRequests ns/old')).toBe(false);
  });
});

describe('any course of events', () => {
  const step = fc.record({
    waitMs: fc.integer({ min: 0, max: 4_000 }),
    kind: fc.constantFrom('put', 'bind', 'evict', 'delete', 'remove'),
    pod: fc.integer({ min: 0, max: 5 }),
  });

  /** The same steps at the same times; `strideMs`: how far the clock goes at once between them. */
  function play(
    steps: readonly { waitMs: number; kind: string; pod: number }[],
    strideMs: number,
  ): { state: string; log: string; mirror: boolean } {
    const { cluster, writer, changes } = makeCluster({
      bindDelayMs: 700,
      terminationGraceMs: 1_100,
      runMs: (pod) => (pod.metadata.name === 'p0' ? Infinity : 2_500),
      isRecreated: (pod) => pod.metadata.name !== 'p1',
    });
    let atMs = START_MS;
    for (const { waitMs, kind, pod } of [...steps, { waitMs: 10_000, kind: 'end', pod: 0 }]) {
      for (const endMs = atMs + waitMs; atMs < endMs; ) {
        atMs = Math.min(endMs, atMs + strideMs);
        cluster.advance(atMs);
      }
      const name = `p${pod}`;
      const podUid = cluster.get('pods', `ns/${name}`)?.metadata.uid ?? '';
      if (kind === 'put' && podUid === '') cluster.put('pods', makePod(name));
      if (kind === 'bind' || kind === 'evict') cluster.applyDecisions([decide(kind, name, 'n1', { podUid })]);
      if (kind === 'delete') cluster.deletePod(`ns/${name}`);
      if (kind === 'remove') cluster.remove('pods', `ns/${name}`);
    }
    const lists = LIST_NAMES.flatMap((list) => cluster.list(list));
    const mirror = lists.length === writer.objects.size && lists.every((o) => [...writer.objects.values()].includes(o));
    return { state: JSON.stringify(lists), log: JSON.stringify(changes), mirror };
  }

  it('does not depend on how time is cut up, and the writer knows every object', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.constantFrom(1, 137, 900), (steps, strideMs) => {
        const leap = play(steps, 1e9);
        expect(play(steps, Math.max(strideMs, 20))).toEqual(leap);
        expect(leap.mirror).toBe(true);
      }),
      { seed: 4, numRuns: 150 },
    );
  });
});
