import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ClusterObjects, LIST_NAMES } from '../../src/base/objects.ts';
import { loadConfig } from '../../src/config/loadConfig.ts';
import {
  type SnapshotExport,
  schedulerParamsDocument,
  snapshotChunks,
  snapshotDocument,
} from '../../src/snapshot/export/snapshotDocument.ts';
import { writeSnapshotZip } from '../../src/snapshot/export/snapshotZip.ts';
import { loadInputs } from '../../src/snapshot/import/loadInputs.ts';
import { parseSnapshotDocument } from '../../src/snapshot/import/snapshotDocument.ts';
import { seededRandom, shuffled } from '../support/draw.ts';
import { emptyObjects, randomCluster } from '../support/randomCluster.ts';

let directory = '';
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kai-export-'));
});
afterAll(() => rm(directory, { recursive: true }));

const { config } = loadConfig({
  file: 'queueDepthPerAction: {reclaim: 20}\nusageDBConfig: {clientType: prometheus}',
  params: {
    partitionParams: { NodePoolLabelKey: 'pool', NodePoolLabelValue: 'a' },
    maxNumberConsolidationPreemptees: -1,
    detailedFitErrors: true,
  },
});

function exportOf(objects: ClusterObjects, more: Partial<SnapshotExport> = {}): SnapshotExport {
  return { objects, config, discovery: null, isDraServed: true, isNodeTopologyServed: true, now: '2026-01-01T12:00:00Z', ...more };
}

function sortedByKey(objects: ClusterObjects): unknown {
  const key = ({ metadata }: { readonly metadata: { readonly name: string; readonly namespace?: string } }): string =>
    `${metadata.namespace ?? ''}\0${metadata.name}`;
  return Object.fromEntries(LIST_NAMES.map((list) => [list, objects[list].toSorted((a, b) => (key(a) < key(b) ? -1 : 1))]));
}

test('a zip reads back as the same objects, configuration, parameters and time, and is the same for any order', async () => {
  for (const seed of [1, 2, 3]) {
    const objects = parseSnapshotDocument({ rawObjects: randomCluster(seed) }, '').objects;
    const path = join(directory, `${seed}.zip`);
    await writeSnapshotZip(exportOf(objects, { includeSensitive: true }), createWriteStream(path));
    const read = await loadInputs([path]);
    expect(read.problems).toEqual([]);
    expect(read.objects).toEqual(sortedByKey(objects));
    expect(loadConfig({ file: read.config, params: read.schedulerParams }).config).toEqual(config);
    expect([read.now, read.discovery.isDraServed, read.discovery.isNodeTopologyServed]).toEqual(['2026-01-01T12:00:00Z', true, true]);

    const random = seededRandom(seed);
    const mixed = Object.fromEntries(
      LIST_NAMES.map((list) => [list, shuffled(objects[list] as readonly unknown[], random)]),
    ) as unknown as ClusterObjects;
    await writeSnapshotZip(exportOf(mixed, { includeSensitive: true }), createWriteStream(join(directory, 'mixed.zip')));
    expect((await readFile(join(directory, 'mixed.zip'))).equals(await readFile(path))).toBe(true);
  }
});

test('the streamed text is the document', () => {
  for (const served of [true, false]) {
    const content = exportOf(randomCluster(4), { isDraServed: served, isNodeTopologyServed: served, now: null });
    const document = JSON.parse([...snapshotChunks(content)].join('')) as Record<string, unknown>;
    expect(document).toEqual(JSON.parse(JSON.stringify(snapshotDocument(content))));
    expect(Object.keys(document)).toEqual(['config', 'schedulerParams', 'rawObjects', 'discovery']);
    const { resourceClaims, nodeResourceTopologies } = document.rawObjects as Record<string, unknown>;
    expect([resourceClaims === null, nodeResourceTopologies === null]).toEqual([!served, !served]);
  }
});

test('parameters that are zero are left out, durations are nanoseconds', () => {
  expect(schedulerParamsDocument(config.params)).toEqual({
    schedulerName: 'kai-scheduler',
    partitionParams: { NodePoolLabelKey: 'pool', NodePoolLabelValue: 'a' },
    maxNumberConsolidationPreemptees: -1,
    detailedFitErrors: true,
    queueLabelKey: 'kai.scheduler/queue',
    stuckInReleasingThreshold: 120_000_000_000,
  });
});

test('secrets are left out unless asked for', () => {
  const applied = { 'kubectl.kubernetes.io/last-applied-configuration': '{"secret": 1}', 'gpu-fraction': '0.5' };
  const objects = {
    ...emptyObjects(),
    configMaps: [{ metadata: { name: 'c', namespace: 't', uid: 'u', annotations: applied }, data: { password: 'secret' } }],
    pods: [
      {
        metadata: { name: 'p', namespace: 't', uid: 'p', annotations: applied, managedFields: [{ manager: 'secret' }] },
        spec: {
          nodeName: 'n',
          containers: [
            {
              name: 'c',
              image: 'secret',
              command: ['secret'],
              resources: { requests: { cpu: '1' } },
              env: [
                { name: 'TOKEN', value: 'secret' },
                { name: 'REF', valueFrom: { configMapKeyRef: { name: 'c', key: 'k' } } },
              ],
              envFrom: [{ secretRef: { name: 'secret' } }, { configMapRef: { name: 'c' } }],
            },
          ],
        },
      },
    ],
  };
  const before = structuredClone(objects);
  expect([...snapshotChunks(exportOf(objects))].join('')).not.toContain('secret');
  expect((snapshotDocument(exportOf(objects)).rawObjects as ClusterObjects).pods).toEqual([
    {
      metadata: { name: 'p', namespace: 't', uid: 'p', annotations: { 'gpu-fraction': '0.5' } },
      spec: {
        nodeName: 'n',
        containers: [
          {
            name: 'c',
            resources: { requests: { cpu: '1' } },
            envFrom: [{}, { configMapRef: { name: 'c' } }],
            env: [{ name: 'REF', valueFrom: { configMapKeyRef: { name: 'c', key: 'k' } } }],
          },
        ],
      },
    },
  ]);
  expect([...snapshotChunks(exportOf(objects, { includeSensitive: true }))].join('').match(/secret/g)?.length).toBeGreaterThan(5);
  expect(objects).toEqual(before);
});

test('a stream that fails rejects', async () => {
  const broken = new Writable({ write: (_chunk, _encoding, done) => done(new Error('disk full')) });
  await expect(writeSnapshotZip(exportOf(randomCluster(5)), broken)).rejects.toThrow('disk full');
});

test('an object that cannot be written rejects instead of ending the zip early', async () => {
  const objects = { ...emptyObjects(), nodes: [{ metadata: { name: 'n' }, spec: { size: 1n } }] } as unknown as ClusterObjects;
  const sink = new Writable({ write: (_chunk, _encoding, done) => done() });
  await expect(writeSnapshotZip(exportOf(objects), sink)).rejects.toThrow(/BigInt/);
});

test('what upstream does not have is there only when it is used, and reads back', () => {
  const bare = snapshotDocument(exportOf(emptyObjects())) as { readonly config: object; readonly rawObjects: object };
  expect([...Object.keys(bare.config), ...Object.keys(bare.rawObjects)].filter((key) => /safeEviction|podDisruption/i.test(key))).toEqual(
    [],
  );
  const safeEviction = { respectPodDisruptionBudgets: true, requireCommittedPlace: false, maxEvictionsPerWorkloadPerHour: 2 };
  const safe = loadConfig({ file: { safeEviction } }).config;
  const budget = { metadata: { name: 'b', namespace: 'ns' }, spec: { selector: {} }, status: { disruptionsAllowed: 1 } };
  const read = parseSnapshotDocument(
    snapshotDocument(exportOf({ ...emptyObjects(), podDisruptionBudgets: [budget] }, { config: safe })),
    'file',
  );
  expect(read.objects.podDisruptionBudgets).toEqual([budget]);
  expect(loadConfig({ file: read.config }).config.safeEviction).toEqual(safeEviction);
});

test('a budget from a manifest; wrong fields are reported', () => {
  const rawObjects = {
    podDisruptionBudgets: [
      { metadata: { name: 'b' }, spec: { selector: { matchLabels: { a: 1 } } }, status: { disruptionsAllowed: 'many' } },
    ],
  };
  const { objects, problems } = parseSnapshotDocument({ rawObjects }, 'file');
  expect(objects.podDisruptionBudgets).toMatchObject([{ metadata: { name: 'b', namespace: 'default' } }]);
  expect(problems.map(({ object, field }) => `${object} ${field}`)).toEqual([
    'PodDisruptionBudget default/b spec.selector.matchLabels["a"]',
    'PodDisruptionBudget default/b status.disruptionsAllowed',
  ]);
});
