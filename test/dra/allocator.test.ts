import fc from 'fast-check';
import { expect, test } from 'vitest';
import { allocated, claim, exactly, GPU_CLASS, node, openCluster, pod, slice } from './cluster.ts';

/** A device of the test: a colour to match, a size to select by. */
interface TestDevice {
  readonly pool: 'a' | 'b';
  readonly name: string;
  readonly colour: string;
  readonly size: number;
  readonly isTaken: boolean;
}

interface TestRequest {
  readonly isAll: boolean;
  readonly count: number;
  /** Devices of at least this size; 0 = no selector. */
  readonly minSize: number;
}

interface TestClaim {
  readonly requests: readonly TestRequest[];
  /** Numbers of the requests whose devices must share a colour; null = no constraint. */
  readonly sameColour: readonly number[] | null;
}

/** Upstream's search, word for word: every device in every order, the first full solution. */
function plainAllocate(devices: readonly TestDevice[], claims: readonly TestClaim[]): string[] | null | 'problem' {
  const wanted: { claim: number; request: number; all: TestDevice | null }[] = [];
  for (const [c, { requests }] of claims.entries()) {
    let total = 0;
    for (const [r, request] of requests.entries()) {
      const matching = devices.filter((d) => d.size >= request.minSize);
      const each = request.isAll ? matching : Array.from({ length: request.count }, () => null);
      if (request.isAll && matching.length === 0) return null;
      total += each.length;
      for (const all of each) wanted.push({ claim: c, request: r, all });
    }
    if (total > 32) return 'problem';
  }
  const used: TestDevice[] = [];
  let isProblem = false;
  const fill = (at: number): boolean => {
    const want = wanted[at];
    if (want === undefined) return true;
    const { requests, sameColour } = claims[want.claim]!;
    for (const device of want.all === null ? devices : [want.all]) {
      if (device.isTaken || used.includes(device) || device.size < requests[want.request]!.minSize) continue;
      const isBound = sameColour?.includes(want.request) === true;
      const peers = used.filter((_, i) => wanted[i]!.claim === want.claim && sameColour?.includes(wanted[i]!.request) === true);
      if (isBound && peers.some((peer) => peer.colour !== device.colour)) {
        if (want.all !== null) isProblem = true;
        continue;
      }
      used.push(device);
      if (fill(at + 1)) return true;
      used.pop();
      if (isProblem) return false;
    }
    return false;
  };
  if (fill(0)) return used.map((d) => `${d.pool}/${d.name}`);
  return isProblem ? 'problem' : null;
}

const deviceArbitrary = fc.record({
  pool: fc.constantFrom<'a' | 'b'>('a', 'b'),
  colour: fc.constantFrom('red', 'blue', 'green'),
  size: fc.integer({ min: 0, max: 2 }),
  isTaken: fc.boolean(),
});
const claimArbitrary: fc.Arbitrary<TestClaim> = fc
  .record({
    requests: fc.array(
      fc.record({
        isAll: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
        count: fc.integer({ min: 1, max: 3 }),
        minSize: fc.integer({ min: 0, max: 2 }),
      }),
      { minLength: 1, maxLength: 2 },
    ),
    sameColour: fc.option(fc.subarray([0, 1], { minLength: 1 })),
  })
  .map(({ requests, sameColour }) => ({ requests, sameColour: sameColour?.filter((r) => r < requests.length) ?? null }));

test('the allocator finds what the plain search finds, device by device', () => {
  let found = 0;
  let refused = 0;
  fc.assert(
    fc.property(fc.array(deviceArbitrary, { maxLength: 7 }), fc.array(claimArbitrary, { minLength: 1, maxLength: 2 }), (drawn, claims) => {
      const devices: TestDevice[] = drawn
        .map((d, i) => ({ ...d, isTaken: d.isTaken && i % 2 === 0, name: `d${i}` }))
        .sort((x, y) => (x.pool === y.pool ? 0 : x.pool < y.pool ? -1 : 1));
      const expected = plainAllocate(devices, claims);
      const selector = (minSize: number): object =>
        minSize === 0 ? {} : { selectors: [{ cel: { expression: `device.attributes["gpu.example.com"].size >= ${minSize}` } }] };
      const c = openCluster({
        nodes: [node('n')],
        deviceClasses: [GPU_CLASS],
        resourceSlices: (['a', 'b'] as const).map((pool) =>
          slice(
            pool,
            pool === 'a' ? { nodeName: 'n' } : { allNodes: true },
            devices
              .filter((d) => d.pool === pool)
              .map(({ name, colour, size }) => ({ name, attributes: { colour: { string: colour }, size: { int: size } } })),
          ),
        ),
        resourceClaims: [
          ...claims.map(({ requests, sameColour }, i) =>
            claim(
              `c${i}`,
              requests.map(({ isAll, count, minSize }, r) =>
                exactly(`r${r}`, count, { allocationMode: isAll ? 'All' : 'ExactCount', ...selector(minSize) }),
              ),
              {},
              sameColour === null || sameColour.length === 0
                ? {}
                : { constraints: [{ requests: sameColour.map((r) => `r${r}`), matchAttribute: 'gpu.example.com/colour' }] },
            ),
          ),
          claim(
            'taken',
            [exactly('r')],
            allocated(
              'r',
              devices.filter((d) => d.isTaken).map((d) => `${d.pool}/${d.name}`),
            ),
          ),
        ],
        pods: [
          pod(
            'p',
            claims.map((_, i) => `x${i}=c${i}`),
          ),
        ],
      });
      const [p, n] = [c.pod('ns/p'), c.node('n')];
      const said = c.dra.check(p, n);
      const isPlaced = c.dra.place(p, n, 'used');
      expect(isPlaced).toBe(said === null);
      // The bound before the search may refuse first, with the simpler text.
      if (expected === 'problem') expect(said).toMatch(/^cannot allocate (DRA claims: |all DRA claims$)/);
      else if (expected === null) expect(said).toBe('cannot allocate all DRA claims');
      else {
        const results = c.dra
          .allocationsOf(p)
          .flatMap(({ allocation }) => (allocation as { devices: { results: { pool: string; device: string }[] } }).devices.results);
        expect(results.map((r) => `${r.pool}/${r.device}`)).toEqual(expected);
      }
      if (isPlaced) found++;
      else refused++;
    }),
    { seed: 20260101, numRuns: 400 },
  );
  expect(Math.min(found, refused)).toBeGreaterThan(50);
});

test('a claim that no order of many devices satisfies is refused at once', () => {
  const below = (n: number): object => ({ selectors: [{ cel: { expression: `device.attributes["gpu.example.com"].index < ${n}` } }] });
  const devices = Array.from({ length: 32 }, (_, i) => ({
    name: `d${i}`,
    attributes: { colour: { string: `c${i % 4}` }, index: { int: i } },
  }));
  const c = openCluster({
    nodes: [node('n')],
    deviceClasses: [GPU_CLASS],
    resourceSlices: [slice('n', { nodeName: 'n' }, devices)],
    resourceClaims: [
      claim('nine', [exactly('a', 9)], {}, { constraints: [{ matchAttribute: 'gpu.example.com/colour' }] }),
      claim('pair', [exactly('a', 5), exactly('b', 4)], {}, { constraints: [{ matchAttribute: 'gpu.example.com/colour' }] }),
      claim('rest', [exactly('a', 16), exactly('b', 16, below(15))]),
      // Only the last 16 devices leave the first 16 to the second request.
      claim('just', [exactly('a', 16), exactly('b', 16, below(16))]),
    ],
    pods: ['nine', 'pair', 'rest', 'just'].map((name) => pod(name, [`x=${name}`])),
  });
  expect(c.dra.check(c.pod('ns/just'), c.node('n'))).toBeNull();
  for (const name of ['nine', 'pair', 'rest']) {
    expect(c.dra.check(c.pod(`ns/${name}`), c.node('n'))).toMatch(/^cannot allocate (all DRA claims|DRA claims: no solution within)/);
  }
});
