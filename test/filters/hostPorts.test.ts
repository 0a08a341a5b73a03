import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { HostPort } from '../../src/base/constraints.ts';
import { HostPortIndex } from '../../src/engine/filters/hostPorts.ts';
import { fakeView } from './fakeView.ts';

const port = (hostPort: number, hostIP = '', protocol = ''): HostPort => ({ hostPort, hostIP, protocol });

function indexOf(pods: readonly (readonly HostPort[])[], nodeCount: number): HostPortIndex {
  return new HostPortIndex(fakeView({ pods: pods.map((hostPorts) => ({ spec: { hostPorts } })) }), nodeCount);
}

test.each<[string, HostPort, HostPort, boolean]>([
  ['same port', port(80), port(80), true],
  ['another port', port(80), port(81), false],
  ['absent protocol is TCP', port(80), port(80, '', 'TCP'), true],
  ['another protocol', port(80, '', 'UDP'), port(80, '', 'TCP'), false],
  ['absent address is 0.0.0.0', port(80), port(80, '0.0.0.0'), true],
  ['taken on all, wanted on one', port(80), port(80, '10.0.0.1'), true],
  ['taken on one, wanted on all', port(80, '10.0.0.1'), port(80), true],
  ['same address', port(80, '10.0.0.1'), port(80, '10.0.0.1'), true],
  ['another address', port(80, '10.0.0.1'), port(80, '10.0.0.2'), false],
  ['port 0 is none', port(0), port(0), false],
])('%s', (_, taken, wanted, isConflict) => {
  const index = indexOf([[taken], [wanted]], 2);
  index.add(0, 1);
  expect(index.conflicts(1, 1)).toBe(isConflict);
  expect(index.conflicts(1, 0)).toBe(false);
  index.remove(0, 1);
  expect(index.conflicts(1, 1)).toBe(false);
});

test('only pods with a port need the filter', () => {
  const index = indexOf([[], [port(0)], [port(80)]], 1);
  expect([0, 1, 2].map((pod) => index.needs(pod))).toEqual([false, false, true]);
});

test('equals a search through the placed pods after any adds and removes', () => {
  const anyPort = fc.record({
    hostPort: fc.constantFrom(80, 81),
    hostIP: fc.constantFrom('', '0.0.0.0', '10.0.0.1', '10.0.0.2'),
    protocol: fc.constantFrom('', 'TCP', 'UDP'),
  });
  const pods = fc.array(fc.array(anyPort, { maxLength: 3 }), { minLength: 1, maxLength: 5 });
  const steps = fc.array(fc.record({ pod: fc.nat(4), node: fc.nat(1), isRemoval: fc.boolean() }), { maxLength: 25 });
  fc.assert(
    fc.property(pods, steps, (ports, moves) => {
      const index = indexOf(ports, 2);
      const placed: { pod: number; node: number }[] = [];
      for (const { pod, node, isRemoval } of moves) {
        if (isRemoval) {
          const [gone] = placed.splice(pod % Math.max(placed.length, 1), 1);
          if (gone !== undefined) index.remove(gone.pod, gone.node);
        } else {
          placed.push({ pod: pod % ports.length, node });
          index.add(pod % ports.length, node);
        }
        for (let wanted = 0; wanted < ports.length; wanted++) {
          for (const at of [0, 1]) {
            const taken = placed.filter((p) => p.node === at).flatMap((p) => ports[p.pod]!);
            expect(index.conflicts(wanted, at)).toBe(ports[wanted]!.some((w) => taken.some((t) => clash(w, t))));
          }
        }
      }
    }),
    { seed: 4, numRuns: 200 },
  );
});

function clash(a: HostPort, b: HostPort): boolean {
  const addresses = [a, b].map((p) => (p.hostIP === '' ? '0.0.0.0' : p.hostIP));
  const protocols = [a, b].map((p) => (p.protocol === '' ? 'TCP' : p.protocol));
  if (a.hostPort !== b.hostPort || protocols[0] !== protocols[1]) return false;
  return addresses[0] === addresses[1] || addresses.includes('0.0.0.0');
}
