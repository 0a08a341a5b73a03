import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatProblem } from '../../src/base/errors.ts';
import { LIST_NAMES } from '../../src/base/objects.ts';
import { parseSnapshotDocument } from '../../src/snapshot/import/snapshotDocument.ts';
import { CLUSTER_NOW_MS, randomCluster } from '../support/randomCluster.ts';

const lines = (rawObjects: unknown): string[] => parseSnapshotDocument({ rawObjects }, 'f.json').problems.map(formatProblem);

/** The minimal valid example of spec 01 section 6.2. */
const MINIMAL = {
  config: { actions: 'allocate, reclaim', tiers: [{ plugins: [{ name: 'predicates' }] }] },
  schedulerParams: { schedulerName: 'kai-scheduler', useSchedulingSignatures: true },
  rawObjects: {
    pods: [],
    nodes: [{ metadata: { name: 'n1' }, status: { allocatable: { cpu: '8' } } }],
    queues: null,
    resourceClaims: [],
    nodeResourceTopologies: null,
  },
  discovery: { serverVersion: { major: '1', minor: '34' }, resources: [] },
};

test('the minimal valid snapshot', () => {
  const input = parseSnapshotDocument(MINIMAL, 'snapshot.json');
  expect(input.problems).toEqual([]);
  expect(input.objects.nodes).toEqual(MINIMAL.rawObjects.nodes);
  expect(LIST_NAMES.every((list) => Array.isArray(input.objects[list]))).toBe(true);
  expect([input.config, input.schedulerParams, input.now, input.case]).toEqual([MINIMAL.config, MINIMAL.schedulerParams, null, null]);
});

test('a conformance case', () => {
  const json = { ...MINIMAL, id: 's/a', about: 'x', now: '2026-01-01T12:00:00Z', cycles: 3, expect: { pods: {} }, varied: {} };
  const input = parseSnapshotDocument(json, 'a.json');
  expect(input.case).toEqual({ id: 's/a', about: 'x', expect: { pods: {} }, cycles: 3, quiet: 0 });
  expect(input.now).toBe('2026-01-01T12:00:00Z');
});

describe('what is served', () => {
  const served = (discovery: unknown, rawObjects: unknown = {}): [boolean, boolean] => {
    const { isDraServed, isNodeTopologyServed } = parseSnapshotDocument({ discovery, rawObjects }, '').discovery;
    return [isDraServed, isNodeTopologyServed];
  };
  const server = (minor: string, ...groupVersions: string[]): unknown => ({
    serverVersion: { major: '1', minor },
    resources: groupVersions.map((groupVersion) => ({ groupVersion, resources: [] })),
  });
  const claims = { deviceClasses: [{ metadata: { name: 'gpu' } }] };
  test.each([
    [undefined, {}, [false, false]],
    [undefined, claims, [true, true]],
    [server('34', 'resource.k8s.io/v1'), {}, [true, false]],
    [server('34+', 'resource.k8s.io/v1beta1', 'topology.node.k8s.io/v1alpha2'), {}, [true, true]],
    [server('34', 'resource.k8s.io/v1alpha3'), claims, [false, false]],
    [server('25', 'resource.k8s.io/v1beta1'), claims, [false, false]],
    [{ serverVersion: null, resources: null }, claims, [false, false]],
  ])('%j with %j: %j', (discovery, objects, expected) => expect(served(discovery, objects)).toEqual(expected));
});

test('bad objects: one line naming file, object and field; the rest is used', () => {
  const pod = {
    metadata: { name: 'p', namespace: 't', labels: { a: 1, b: 'x' }, ownerReferences: [{ kind: 'Job' }], deletionTimestamp: null },
    spec: {
      nodeName: 5,
      containers: [{ name: 'c', resources: { requests: { cpu: [], memory: '1Gi' } } }, { resources: {} }, 'text'],
      tolerations: {},
    },
  };
  const { objects, problems } = parseSnapshotDocument({ rawObjects: { pods: [pod] } }, 'f.json');
  expect(problems.map(formatProblem)).toEqual([
    'f.json: Pod t/p: metadata.labels["a"]: expected a string, found the number 1',
    'f.json: Pod t/p: metadata.ownerReferences[0].name: is missing; the entry is not used',
    'f.json: Pod t/p: spec.nodeName: expected a string, found the number 5',
    'f.json: Pod t/p: spec.containers[0].resources.requests["cpu"]: expected a quantity, found a list',
    'f.json: Pod t/p: spec.containers[1].name: is missing; the entry is not used',
    'f.json: Pod t/p: spec.containers[2]: expected an object, found the string "text"',
    'f.json: Pod t/p: spec.tolerations: expected a list, found an object',
  ]);
  expect(objects.pods).toEqual([
    {
      metadata: { name: 'p', namespace: 't', uid: 't/p', labels: { b: 'x' }, ownerReferences: [] },
      spec: { containers: [{ name: 'c', resources: { requests: { memory: '1Gi' } } }] },
    },
  ]);
});

test.each([
  [{ pods: 5 }, 'f.json: snapshot: rawObjects.pods: expected a list, found the number 5'],
  [{ pods: [null] }, 'f.json: Pod at pods[0]: expected an object, found null; the object is not used'],
  [{ nodes: [{}] }, 'f.json: Node at nodes[0]: metadata: expected an object, found nothing; the object is not used'],
  [{ nodes: [{ metadata: {} }] }, 'f.json: Node at nodes[0]: metadata.name: expected a string, found nothing; the object is not used'],
  [{ nodes: [{ metadata: { name: '' } }] }, 'f.json: Node at nodes[0]: metadata.name: not a usable name: ""; the object is not used'],
  [{ pods: [{ metadata: { name: 'a/b' } }] }, 'f.json: Pod at pods[0]: metadata.name: not a usable name: "a/b"; the object is not used'],
  [
    { pods: [{ metadata: { name: 'a', namespace: 1 } }] },
    'f.json: Pod at pods[0]: metadata.namespace: expected a string, found the number 1; the object is not used',
  ],
])('%j', (rawObjects, line) => expect(lines(rawObjects)).toEqual([line]));

test('of equally named objects the last one is used', () => {
  const queue = (priority: number): unknown => ({ metadata: { name: 'q' }, spec: { priority } });
  const { objects, problems } = parseSnapshotDocument({ rawObjects: { queues: [queue(1), queue(2)] } }, 'f.json');
  expect(objects.queues).toEqual([queue(2)]);
  expect(problems.map(formatProblem)).toEqual(['f.json: Queue q: appears more than once; the last one is used']);
});

/** Replaces the value at a random place of a JSON tree. */
function spoiled(value: unknown, path: readonly number[], replacement: unknown): unknown {
  const [step, ...rest] = path;
  if (step === undefined || typeof value !== 'object' || value === null) return replacement;
  const keys = Object.keys(value);
  if (keys.length === 0) return replacement;
  const key = keys[step % keys.length]!;
  const child = spoiled((value as Record<string, unknown>)[key], rest, replacement);
  return Array.isArray(value) ? value.map((item, i) => (String(i) === key ? child : item)) : { ...value, [key]: child };
}

test('whatever is spoiled, the result keeps its contract: read again, it is the same without problems', () => {
  const path = fc.array(fc.nat(50), { minLength: 1, maxLength: 9 });
  fc.assert(
    fc.property(fc.nat(40), fc.array(fc.tuple(path, fc.jsonValue()), { maxLength: 6 }), (seed, faults) => {
      const document = faults.reduce((json: unknown, [at, value]) => spoiled(json, at, value), { rawObjects: randomCluster(seed) });
      const first = parseSnapshotDocument(document, 'f.json');
      const again = parseSnapshotDocument({ rawObjects: first.objects }, 'f.json');
      expect(again.problems).toEqual([]);
      expect(again.objects).toEqual(first.objects);
      if (faults.length === 0) expect(first.problems).toEqual([]);
    }),
    { seed: 5, numRuns: 300 },
  );
});

const CONFORMANCE = process.env.KAI_CONFORMANCE_DIR ?? resolve(import.meta.dirname, '../../../shared/conformance');
const hasConformance = existsSync(CONFORMANCE);
if (!hasConformance) console.warn(`skipped: no conformance cases at ${CONFORMANCE}; set KAI_CONFORMANCE_DIR`);

test.skipIf(!hasConformance)('every conformance case loads without a problem', () => {
  const files = readdirSync(CONFORMANCE, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.json'));
  expect(files.length).toBeGreaterThan(0);
  for (const file of files) {
    const input = parseSnapshotDocument(JSON.parse(readFileSync(join(CONFORMANCE, file), 'utf8')), file);
    expect(input.problems).toEqual([]);
    expect(`${input.case?.id}.json`).toBe(file);
    expect(Number.isNaN(Date.parse(input.now ?? ''))).toBe(false);
  }
});

test('the random clusters of the tests are valid input', () => {
  expect(CLUSTER_NOW_MS).toBeGreaterThan(0);
  expect(parseSnapshotDocument({ rawObjects: randomCluster(1) }, '').objects.pods.length).toBeGreaterThan(0);
});
