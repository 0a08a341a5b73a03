import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ZonePlacement } from '../../src/engine/numa/align.ts';
import { placeTask, REAL } from '../../src/engine/placement/placeTask.ts';
import { nodeOf, statusOf } from '../../src/engine/session/occupy.ts';
import type { Session } from '../../src/engine/session/session.ts';
import { ACTIVE_ALLOCATED, ALLOCATED, isIn, Status } from '../../src/engine/session/status.ts';
import { commit, createStatement, evict, restore, type Statement, undoTo } from '../../src/engine/statement.ts';
import { type Amounts, type ClusterSpec, type NodeSpec, type OpenCluster, open, type PodSpec, record, single } from './cluster.ts';
import { type TwinNode, type TwinPod, twinPlacement } from './twin.ts';

const GPU = 'nvidia.com/gpu';
const HUGE: Amounts = { cpu: '1000', memory: '1Ti', pods: '500', [GPU]: '64' };

const amounts = fc.record(
  { [GPU]: fc.integer({ min: 0, max: 4 }), cpu: fc.constantFrom(0, 500, 1000, 2000, 3000, 5000), memory: fc.integer({ min: 0, max: 5 }) },
  { requiredKeys: [] },
);
const zoneAmounts = fc.record({ [GPU]: fc.nat({ max: 4 }), cpu: fc.constantFrom(0, 1000, 4000, 6000), memory: fc.nat({ max: 6 }) });
const usedAmounts = fc.record({ [GPU]: fc.nat({ max: 2 }), cpu: fc.constantFrom(0, 0, 1000, 3000), memory: fc.nat({ max: 2 }) });
const anyNode = fc.record({
  policy: fc.constantFrom('single-numa-node' as const, 'restricted' as const, 'best-effort' as const),
  scope: fc.constantFrom('pod' as const, 'container' as const),
  zones: fc.array(fc.record({ allocatable: zoneAmounts, used: usedAmounts }), { minLength: 1, maxLength: 4 }),
});
const anyPod = fc.record({
  isGuaranteed: fc.constantFrom(true, true, false),
  containers: fc.array(amounts, { minLength: 1, maxLength: 3 }),
  init: fc.array(fc.record({ requests: amounts, isSidecar: fc.boolean() }), { maxLength: 3 }),
});

/** As quantities, zeros left out. */
function quantities(row: Readonly<Record<string, number>>): Amounts {
  return Object.fromEntries(
    Object.entries(row).flatMap(([name, n]) => (n === 0 ? [] : [[name, name === 'cpu' ? `${n}m` : String(n)] as const])),
  );
}

function everyQuantity(row: Readonly<Record<string, number>>): Amounts {
  return Object.fromEntries(Object.entries(row).map(([name, n]) => [name, name === 'cpu' ? `${n}m` : String(n)]));
}

function minus(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.keys(a).map((name) => [name, a[name]! - b[name]!]));
}

test('the aligner agrees with its plain twin', () => {
  let placed = 0;
  let refused = 0;
  const check = fc.property(anyNode, anyPod, (at, pod) => {
    const twinNode: TwinNode = {
      ...at,
      zones: at.zones.map((z, i) => ({ name: `z-${i}`, allocatable: z.allocatable, available: minus(z.allocatable, z.used) })),
    };
    const expected = twinPlacement(twinNode, pod as TwinPod);
    const node: NodeSpec = {
      name: 'n',
      allocatable: HUGE,
      topology: {
        ...at,
        zones: twinNode.zones.map((z) => ({
          name: z.name,
          allocatable: everyQuantity(z.allocatable),
          available: everyQuantity(z.available),
        })),
      },
    };
    const spec: PodSpec = {
      name: 'p',
      qos: pod.isGuaranteed ? 'Guaranteed' : 'Burstable',
      containers: pod.containers.map(quantities),
      init: pod.init.map((c) => ({ ...c, requests: quantities(c.requests) })),
    };
    const c = open({ nodes: [node], jobs: [single(spec)], arguments: { reconstructAvailable: 'false' } });
    const request = c.s.request(c.s.view.pods.shapeRow[c.pod('p')]!);
    const kind = c.numa.kindOf(request, false);
    if (kind === null) {
      expect(pod.isGuaranteed).toBe(false);
      expect([...pod.containers, ...pod.init.map((i) => i.requests)].every((row) => (row[GPU] ?? 0) === 0)).toBe(true);
      return;
    }
    const isRefused = c.wouldBe('p', 'n') === null;
    expect(isRefused).toBe(expected === null && at.policy !== 'best-effort');
    expect(c.wouldBe('p', 'n') ?? null).toEqual(isRefused ? null : (expected ?? {}));
    expect(c.score('p', 'n')).toBe(expected === null ? 0 : 100 / Math.max(1, Object.keys(expected).length));
    if (expected === null) refused++;
    else placed++;
  });
  fc.assert(check, { seed: 11, numRuns: 1000 });
  expect(Math.min(placed, refused)).toBeGreaterThan(100);
});

const POLICIES = ['single-numa-node', 'restricted', 'best-effort', 'none'] as const;
const anyMachine = fc.record({
  gpus: fc.integer({ min: 0, max: 8 }),
  cpu: fc.integer({ min: 4, max: 24 }),
  policy: fc.constantFrom(...POLICIES, 'absent' as const),
  zones: fc.integer({ min: 1, max: 5 }),
  perZone: fc.integer({ min: 1, max: 4 }),
});
type Machine = typeof anyMachine extends fc.Arbitrary<infer T> ? T : never;

const KINDS: readonly Partial<PodSpec>[] = [
  { containers: [{ [GPU]: '1', cpu: '1', memory: '1Gi' }] },
  { containers: [{ [GPU]: '3', cpu: '1' }] },
  { containers: [{ cpu: '3', memory: '1Gi' }] },
  { qos: 'Burstable', containers: [{ [GPU]: '2' }] },
  { qos: 'Burstable', containers: [{ cpu: '2' }] },
];

function machine(m: Machine, n: number): NodeSpec {
  const zones = Array.from({ length: m.zones }, (_, z) => ({ name: `node-${z}`, allocatable: { [GPU]: String(m.perZone), cpu: '4' } }));
  return {
    name: `n${n}`,
    allocatable: { cpu: String(m.cpu), memory: '64Gi', pods: '50', ...(m.gpus > 0 ? { [GPU]: String(m.gpus) } : {}) },
    ...(m.policy === 'absent' ? {} : { topology: { policy: m.policy, zones } }),
  };
}

/** The nodes that take the pod, best first by the summed scores of spec 03 section 8, over all nodes or some. */
function bySum(c: OpenCluster, pod: string, isGpuTask: boolean, isSpread: boolean, nodes: readonly number[]): number[] {
  const { s, numa } = c;
  const { facts, ledger: l } = s.state;
  const request = s.request(s.view.pods.shapeRow[c.pod(pod)]!);
  const kind = numa.kindOf(request, false);
  const verdicts = kind === null ? null : numa.verdictsOf(kind);
  const allocatable = isGpuTask ? facts.allocGpu : facts.allocMilliCpu;
  const free = (n: number): number => (isGpuTask ? l.idleGpu[n]! + l.releasingGpu[n]! : l.idleMilliCpu[n]! + l.releasingMilliCpu[n]!);
  const offered = nodes.filter((n) => allocatable[n] !== 0).map(free);
  const min = Math.min(...offered);
  const max = Math.max(0, ...offered);
  const sum = (n: number): number => {
    const isNow = request.milliCpu <= l.idleMilliCpu[n]! && request.wholeGpus <= l.idleGpu[n]! && verdicts?.mustWait[n] !== 1;
    let score = isNow ? 1000 : 0;
    if (!isGpuTask && facts.allocGpu[n] === 0) score += 10;
    if (isSpread) score += allocatable[n] === 0 ? 0 : free(n) / allocatable[n]!;
    else if (allocatable[n] !== 0 && max !== 0) score += min === max ? 9 : 9 * (1 - (free(n) - min) / (max - min));
    return score + (verdicts === null ? 0 : isNow ? verdicts.scoreNow[n]! : verdicts.scoreLater[n]!);
  };
  const takes = (n: number): boolean =>
    verdicts?.isRefused[n] !== 1 &&
    request.milliCpu <= l.idleMilliCpu[n]! + l.releasingMilliCpu[n]! &&
    request.wholeGpus <= l.idleGpu[n]! + l.releasingGpu[n]!;
  return nodes.filter(takes).sort((a, b) => sum(b) - sum(a) || a - b);
}

test('tasks go to the node with the largest sum of scores', () => {
  const scenario = fc.record({
    machines: fc.array(anyMachine, { minLength: 2, maxLength: 7 }),
    pods: fc.array(fc.tuple(fc.nat({ max: KINDS.length - 1 }), fc.boolean()), { minLength: 1, maxLength: 10 }),
    isSpread: fc.boolean(),
    some: fc.array(fc.nat({ max: 6 }), { maxLength: 5 }),
  });
  let placed = 0;
  const check = fc.property(scenario, ({ machines, pods, isSpread, some }) => {
    const strategy = isSpread ? 'spread' : 'binpack';
    const spec: ClusterSpec = {
      nodes: machines.map(machine),
      jobs: [{ name: 'j', minMember: 1, pods: pods.map(([kind], k) => ({ name: `p${k}`, containers: [], ...KINDS[kind]! })) }],
      placement: { gpu: strategy, cpu: strategy },
    };
    const view = open({
      ...spec,
      nodes: [...spec.nodes, { ...machine({ gpus: 1, cpu: 1, policy: 'none', zones: 3, perZone: 1 }, 9), name: 'z' }],
    });
    const { s } = view;
    const all = machines.map((_, n) => n).concat(machines.length);
    const subset = [...new Set(some)].filter((n) => n < machines.length).sort((a, b) => a - b);
    pods.forEach(([kind, onSome], k) => {
      const isGpuTask = KINDS[kind]!.containers![0]![GPU] !== undefined;
      const nodes = onSome && subset.length > 0 ? subset : all;
      const [best] = bySum(view, `p${k}`, isGpuTask, isSpread, nodes);
      const st = createStatement(s);
      const mode = nodes === all ? REAL : { pipelineOnly: false, nodes: Int32Array.from(nodes) };
      const isPlaced = placeTask(st, view.pod(`p${k}`), 0, mode);
      expect(isPlaced).toBe(best !== undefined);
      if (best === undefined) return;
      expect(nodeOf(s, view.pod(`p${k}`))).toBe(best);
      placed++;
      // Every third is taken back: indexes must follow undone changes too.
      if (k % 3 === 2) undoTo(st, 0);
      else commit(st);
    });
  });
  fc.assert(check, { seed: 8, numRuns: 400 });
  expect(placed).toBeGreaterThan(1000);
});

interface Books {
  readonly later: readonly (Float64Array | null)[];
  readonly bindable: readonly (Float64Array | null)[];
}

/** What the engine says is available, by node. */
function booksOf({ numa }: OpenCluster): Books {
  const read = (into: 'laterInto' | 'bindableInto') =>
    numa.table.nodes.map((zones) => {
      if (zones === null) return null;
      const out = new Float64Array(zones.allocatable.length);
      numa.ledger[into](zones, out);
      return out;
    });
  return { later: read('laterInto'), bindable: read('bindableInto') };
}

/** The same, counted: records at open, states and zones of all tasks, and the binds of the statement. */
function recount(c: OpenCluster, st: Statement, records: ReadonlyMap<number, ZonePlacement>, handled: ReadonlySet<number>): Books {
  const { s, numa } = c;
  const later = numa.table.nodes.map((zones) => (zones === null ? null : Float64Array.from(zones.allocatable)));
  const now = later.map((row) => row?.slice() ?? null);
  const take = (rows: readonly (Float64Array | null)[], zones: ZonePlacement): void =>
    zones.cell.forEach((cell, i) => {
      rows[zones.node]![cell] = rows[zones.node]![cell]! - zones.amount[i]!;
    });
  for (const [p, zones] of records) {
    take(now, zones);
    // Nobody gives back the zones of a pod that is not handled.
    if (!handled.has(p)) take(later, zones);
  }
  for (let p = 0; p < s.view.pods.rows; p++) {
    const zones = numa.zonesOf(p);
    if (zones !== null && isIn(ACTIVE_ALLOCATED, statusOf(s, p))) take(later, zones);
  }
  for (const op of st.ops) if (op.kind === 'place' && op.status === Status.allocated && op.zones !== null) take(now, op.zones);
  return { later, bindable: later.map((row, n) => row?.map((amount, i) => Math.min(amount, now[n]![i]!)) ?? null) };
}

/** Pods, every other one running with a record of one GPU and one CPU. */
function randomPods(machines: readonly Machine[], kinds: readonly number[]): PodSpec[] {
  return kinds.map((kind, k) => {
    const n = k % machines.length;
    const zone = `node-${k % machines[n]!.zones}`;
    const annotations = { 'kai.scheduler/numa-placement-observed': record([zone, { [GPU]: '1', cpu: '1' }]) };
    return { name: `p${k}`, containers: [], ...KINDS[kind]!, ...(k % 2 === 0 ? { node: `n${n}`, annotations } : {}) };
  });
}

function recordsOf(c: OpenCluster, machines: readonly Machine[], kinds: readonly number[]): Map<number, ZonePlacement> {
  const records = new Map<number, ZonePlacement>();
  for (let k = 0; k < kinds.length; k += 2) {
    const n = k % machines.length;
    const { policy, zones } = machines[n]!;
    if (policy === 'absent' || policy === 'none') continue;
    // Resources of a zone in order: CPU, GPU.
    const first = 2 * (k % zones);
    records.set(c.pod(`p${k}`), { node: n, cell: Int32Array.of(first, first + 1), amount: Float64Array.of(1000, 1) });
  }
  return records;
}

function step(s: Session, st: Statement, op: number, p: number, mark: number): void {
  const status = statusOf(s, p);
  const mode = { pipelineOnly: s.evicted.has(p) || mark % 2 === 1, nodes: null };
  if (op <= 1 && (status === Status.pending || s.evicted.has(p))) placeTask(st, p, 0, mode);
  else if (op <= 2 && isIn(ALLOCATED, status)) evict(st, p, nodeOf(s, p));
  else if (op === 3 && s.evicted.has(p)) restore(st, p, nodeOf(s, p));
  else if (op === 4) undoTo(st, mark % (st.ops.length + 1));
}

test('the zone ledger after any places, evictions, restorations and undos is what a count gives', () => {
  const scenario = fc.record({
    machines: fc.array(anyMachine, { minLength: 1, maxLength: 3 }),
    kinds: fc.array(fc.nat({ max: KINDS.length - 1 }), { minLength: 3, maxLength: 12 }),
    ops: fc.array(fc.tuple(fc.nat({ max: 4 }), fc.nat(), fc.nat({ max: 20 })), { minLength: 5, maxLength: 40 }),
  });
  const seen = { place: 0, evict: 0, restore: 0, moved: 0 };
  const check = fc.property(scenario, ({ machines, kinds, ops }) => {
    const nodes = [...machines.map(machine), machine({ gpus: 4, cpu: 20, policy: 'restricted', zones: 2, perZone: 2 }, 8)];
    const c = open({ nodes, jobs: [{ name: 'j', minMember: 1, pods: randomPods(machines, kinds) }] });
    const records = recordsOf(c, machines, kinds);
    const handled = new Set([...records.keys()].filter((p) => c.numa.zonesOf(p) !== null));
    const st = createStatement(c.s);
    const states = [booksOf(c)];
    for (const [op, which, mark] of ops) {
      step(c.s, st, op, c.pod(`p${which % kinds.length}`), mark);
      expect(booksOf(c)).toEqual(recount(c, st, records, handled));
      // Undone operations leave exactly what was there before them.
      states.length = Math.min(states.length, st.ops.length + 1);
      if (states.length === st.ops.length) states.push(booksOf(c));
      expect(booksOf(c)).toEqual(states[st.ops.length]);
    }
    for (const op of st.ops) {
      if (op.kind !== 'withdraw') seen[op.kind]++;
      if (op.kind === 'place' && op.evictedFrom !== undefined) seen.moved++;
    }
    undoTo(st, 0);
    expect(booksOf(c)).toEqual(states[0]);
    for (const [p, zones] of records) if (handled.has(p)) expect(c.numa.zonesOf(p)).toEqual(zones);
  });
  fc.assert(check, { seed: 5, numRuns: 300 });
  expect(Math.min(...Object.values(seen))).toBeGreaterThan(50);
});
