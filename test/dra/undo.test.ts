import fc from 'fast-check';
import { expect, test } from 'vitest';
import { allocated, claim, type DraCluster, deviceClass, exactly, node, openCluster, pod, slice } from './cluster.ts';

const CLASS = deviceClass('gpu.example.com', { extendedResourceName: 'nvidia.com/gpu' });
const NODES = ['n1', 'n2'];
const PODS = ['a', 'b', 'c', 'd', 'e', 'r1', 'r2'];

/** Two nodes, a device for both, own and shared claims, an extended-resource pod, two running pods on one claim. */
function cluster(): DraCluster {
  const c = openCluster({
    nodes: NODES.map((name) => node(name)),
    deviceClasses: [CLASS],
    resourceSlices: [
      slice('n1', { nodeName: 'n1' }, ['g0', 'g1', 'g2']),
      slice('n2', { nodeName: 'n2' }, ['g0', 'g1']),
      slice('net', { allNodes: true }, ['s0']),
    ],
    resourceClaims: [
      claim('common', [exactly('r')]),
      claim('own-b', [exactly('r', 2)]),
      claim('own-c', [exactly('r', 2)], { status: { reservedFor: [{ resource: 'pods', name: 'c', uid: 'uid-c' }] } }),
      claim('idle', [exactly('r')], allocated('r', ['n2/g1'])),
      claim('running', [exactly('r')], allocated('r', ['n1/g0'], ['r1', 'r2'])),
    ],
    pods: [
      pod('a', ['x=common']),
      pod('b', ['x=common', 'y=own-b']),
      pod('c', ['x=own-c']),
      pod('d', ['x=idle']),
      pod('e', [], { containers: [{ name: 'main', resources: { requests: { 'nvidia.com/gpu': 2 } } }] }),
      pod('r1', ['x=running'], { nodeName: 'n1' }),
      pod('r2', ['x=running'], { nodeName: 'n1' }),
    ],
  });
  for (const name of ['r1', 'r2']) c.dra.openPod(c.pod(`ns/${name}`), c.node('n1'), 'used');
  return c;
}

/** Everything that the session tells. */
function observe(c: DraCluster): unknown {
  return {
    charged: NODES.map((n) => c.dra.chargedGpus(c.node(n))),
    pods: PODS.map((name) => {
      const p = c.pod(`ns/${name}`);
      return {
        key: c.dra.checkKey(p),
        precheck: c.dra.precheck(p, `ns/${name}`, 'q'),
        checks: NODES.map((n) => [c.dra.check(p, c.node(n)), c.dra.sharedCreditOf(p, c.node(n))]),
        allocations: c.dra.allocationsOf(p),
        extended: c.dra.extendedAllocationOf(p),
      };
    }),
  };
}

type Op = {
  readonly kind: 'place' | 'leave' | 'evict' | 'unevict' | 'state' | 'mark' | 'rollback';
  readonly pod: number;
  readonly node: number;
  readonly state: number;
};
const STATES = ['used', 'pipelined', 'releasing'] as const;
const opArbitrary: fc.Arbitrary<Op> = fc.record({
  kind: fc.constantFrom('place', 'place', 'leave', 'evict', 'unevict', 'state', 'mark', 'rollback'),
  pod: fc.nat(PODS.length - 1),
  node: fc.nat(NODES.length - 1),
  state: fc.nat(2),
});

/** What a pod was last known to hold on a node: a plain twin of the charges. */
interface TwinCharge {
  state: (typeof STATES)[number];
  readonly devices: readonly string[];
  readonly extra: number;
}

function twinTotals(charges: ReadonlyMap<string, TwinCharge>): unknown {
  return NODES.map((n) => {
    const totals = { used: 0, releasing: 0, pipelined: 0 };
    const holders = new Map<string, Set<string>>();
    for (const [key, { state, devices, extra }] of charges) {
      if (!key.endsWith(`@${n}`)) continue;
      totals[state] += extra;
      for (const d of devices) holders.set(d, (holders.get(d) ?? new Set()).add(state));
    }
    for (const states of holders.values()) totals[states.size === 1 ? ([...states][0] as keyof typeof totals) : 'used']++;
    return totals;
  });
}

function chargeOf(c: DraCluster, p: number, state: (typeof STATES)[number]): TwinCharge {
  const devices = c.dra
    .allocationsOf(p)
    .flatMap(
      ({ allocation }) => (allocation as { devices: { results: { pool: string; device: string }[] } } | undefined)?.devices.results ?? [],
    )
    .map((r) => `${r.pool}/${r.device}`);
  return { state, devices, extra: c.dra.gpuCountOf(p) - devices.length };
}

test('rollback restores everything; charges are those of the plain twin', () => {
  let rolledBack = 0;
  let placed = 0;
  fc.assert(
    fc.property(fc.array(opArbitrary, { minLength: 4, maxLength: 40 }), (ops) => {
      const c = cluster();
      let charges = new Map<string, TwinCharge>(['r1', 'r2'].map((name) => [`${name}@n1`, chargeOf(c, c.pod(`ns/${name}`), 'used')]));
      let marks: {
        readonly mark: number;
        readonly seen: unknown;
        readonly charges: Map<string, TwinCharge>;
        readonly evicted: Set<number>;
      }[] = [];
      let evicted = new Set<number>();
      const start = c.dra.mark();
      const before = observe(c);
      for (const op of ops) {
        const [p, n, state] = [c.pod(`ns/${PODS[op.pod]!}`), c.node(NODES[op.node]!), STATES[op.state]!];
        const key = `${PODS[op.pod]!}@${NODES[op.node]!}`;
        const isOnNode = charges.has(key);
        switch (op.kind) {
          case 'place': {
            if ([...charges.keys()].some((k) => k.startsWith(`${PODS[op.pod]!}@`)) && !evicted.has(op.pod)) break;
            const isFitting = c.dra.check(p, n) === null;
            const isPlaced = c.dra.place(p, n, state);
            expect(isPlaced).toBe(isFitting);
            if (!isPlaced) break;
            placed++;
            evicted.delete(op.pod);
            charges.set(key, chargeOf(c, p, state));
            break;
          }
          case 'leave':
            if (!isOnNode || evicted.has(op.pod) || PODS[op.pod]!.startsWith('r')) break;
            c.dra.unplace(p, n);
            charges.delete(key);
            break;
          case 'evict':
            if (!isOnNode || evicted.has(op.pod)) break;
            c.dra.evict(p, n);
            evicted.add(op.pod);
            charges.set(key, { ...charges.get(key)!, state: 'releasing' });
            break;
          case 'unevict':
            if (!isOnNode || !evicted.has(op.pod)) break;
            if (c.dra.unevict(p, n, state)) {
              evicted.delete(op.pod);
              charges.set(key, { ...charges.get(key)!, state });
            }
            break;
          case 'state':
            if (!isOnNode) break;
            c.dra.setState(p, n, state);
            charges.set(key, { ...charges.get(key)!, state });
            break;
          case 'mark':
            marks.push({ mark: c.dra.mark(), seen: observe(c), charges: new Map(charges), evicted: new Set(evicted) });
            break;
          case 'rollback': {
            const last = marks.at(-1 - (op.state % Math.max(1, marks.length)));
            if (last === undefined) break;
            marks = marks.slice(0, marks.indexOf(last) + 1);
            c.dra.rollback(last.mark);
            expect(observe(c)).toEqual(last.seen);
            charges = new Map(last.charges);
            evicted = new Set(last.evicted);
            rolledBack++;
            break;
          }
        }
        // The extended-resource pod is charged as an ordinary GPU request, elsewhere.
        expect(NODES.map((name) => c.dra.chargedGpus(c.node(name)))).toEqual(twinTotals(charges));
      }
      c.dra.rollback(start);
      expect(observe(c)).toEqual(before);
    }),
    { seed: 20260102, numRuns: 150 },
  );
  expect(placed).toBeGreaterThan(100);
  expect(rolledBack).toBeGreaterThan(50);
});

test('placing and taking back one after the other leaves nothing behind', () => {
  fc.assert(
    fc.property(
      fc.shuffledSubarray(['a', 'b', 'c', 'd', 'e'], { minLength: 2 }),
      fc.array(fc.nat(1), { minLength: 5, maxLength: 5 }),
      (names, where) => {
        const c = cluster();
        const before = observe(c);
        const placed = names
          .map((name, i) => [c.pod(`ns/${name}`), c.node(NODES[where[i]!]!)] as const)
          .filter(([p, n]) => c.dra.place(p, n, 'used'));
        for (const [p, n] of [...placed].sort(([a], [b]) => a - b)) c.dra.unplace(p, n);
        expect(observe(c)).toEqual(before);
      },
    ),
    { seed: 20260103, numRuns: 100 },
  );
});
