import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import yazl from 'yazl';
import { formatProblem } from '../../src/base/errors.ts';
import { loadInputs } from '../../src/snapshot/import/loadInputs.ts';
import { readSnapshotEntry } from '../../src/snapshot/import/zipEntry.ts';

let directory = '';
const at = (name: string): string => join(directory, name);
const put = (name: string, content: string | Buffer): Promise<void> => writeFile(at(name), content);

async function zipOf(entries: Readonly<Record<string, string>>): Promise<Buffer> {
  const zip = new yazl.ZipFile();
  for (const [name, text] of Object.entries(entries)) zip.addBuffer(Buffer.from(text), name);
  zip.end();
  return buffer(zip.outputStream.pipe(new PassThrough()));
}

const MANIFESTS = `# two documents, a comment and an empty one
%YAML 1.2
---
apiVersion: v1
kind: Node
metadata: {name: n1, namespace: nonsense, creationTimestamp: 2026-01-01T00:00:00Z}
status: {allocatable: {cpu: 8, memory: 32Gi}}
--- # a pod without namespace and UID
apiVersion: v1
kind: Pod
metadata:
  name: p
  labels: &labels {app: x}
  annotations:
    <<: *labels
    note: |
      text with
      --- inside
spec:
  containers: [{name: c, resources: {requests: {cpu: 1}}}]
---
---
apiVersion: v1
kind: List
items:
- {apiVersion: scheduling.run.ai/v2, kind: Queue, metadata: {name: q}, spec: {priority: 7}}
- apiVersion: scheduling.run.ai/v2alpha2
  kind: PodGroupList
  items: [{metadata: {name: g, namespace: team}}]
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: e}}
---
{apiVersion: example.com/v1, kind: Queue, metadata: {name: not-ours}}
`;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kai-import-'));
  await put('all.yaml', MANIFESTS);
  await mkdir(at('dir/deep'), { recursive: true });
  await put('dir/b.json', JSON.stringify([{ apiVersion: 'v1', kind: 'Node', metadata: { name: 'b' } }]));
  await put('dir/deep/a.yml', 'apiVersion: v1\nkind: Node\nmetadata: {name: a}\n---\nkey: [unclosed\n---\nname: {}\n');
  await put('dir/notes.txt', 'not read');
  await put('dir/.hidden.yaml', 'not: read');
  await put('dir/broken.json', '{"kind": ');
  await put('dir/snapshot.zip', await zipOf({ 'snapshot.json': JSON.stringify({ rawObjects: { nodes: [{ metadata: { name: 'z' } }] } }) }));
});
afterAll(() => rm(directory, { recursive: true }));

test('manifests: documents, lists, defaults, kinds by group, kinds that are not read', async () => {
  const { objects, problems, ignoredKinds, config, schedulerParams, now, sourceOf } = await loadInputs([at('all.yaml')]);
  expect(problems).toEqual([]);
  expect(objects.nodes[0]).toMatchObject({
    metadata: { name: 'n1', creationTimestamp: '2026-01-01T00:00:00Z' },
    status: { allocatable: { cpu: 8 } },
  });
  expect(objects.nodes[0]?.metadata.namespace).toBeUndefined();
  expect(objects.pods[0]?.metadata).toEqual({
    name: 'p',
    namespace: 'default',
    uid: 'default/p',
    labels: { app: 'x' },
    annotations: { app: 'x', note: 'text with\n--- inside\n' },
  });
  expect(objects.pods[0]?.status).toEqual({ phase: 'Pending' });
  expect(objects.queues.map(({ metadata, spec }) => [metadata.name, spec?.priority])).toEqual([['q', 7]]);
  expect(objects.podGroups.map(({ metadata }) => metadata.name)).toEqual(['g']);
  expect(ignoredKinds).toEqual([
    { apiVersion: 'apps/v1', kind: 'Deployment', count: 2 },
    { apiVersion: 'example.com/v1', kind: 'Queue', count: 1 },
  ]);
  expect([config, schedulerParams, now]).toEqual([null, null, null]);
  expect(sourceOf(objects.pods[0])).toBe(at('all.yaml'));
});

test('a directory: sorted, recursive, broken parts reported and the rest used', async () => {
  const { objects, problems } = await loadInputs([at('dir')]);
  expect(objects.nodes.map(({ metadata }) => metadata.name)).toEqual(['b', 'a', 'z']);
  expect(problems.map(({ source, object }) => [source.slice(directory.length), object])).toEqual([
    ['/dir/broken.json', ''],
    ['/dir/deep/a.yml', 'document at line 4'],
    ['/dir/deep/a.yml', 'document at line 6'],
  ]);
  expect(problems.map(({ message }) => message)).toEqual([
    expect.stringMatching(/^not valid JSON: /),
    expect.stringMatching(/^not valid YAML: .*\(line \d\)$/),
    'is no Kubernetes object: apiVersion or kind is missing',
  ]);
});

test('a pattern, and each file once', async () => {
  const { objects, problems } = await loadInputs([at('dir/*.{json,zip}'), at('dir/b.json'), at('dir/./b.json')]);
  expect(objects.nodes.map(({ metadata }) => metadata.name)).toEqual(['b', 'z']);
  expect(problems).toHaveLength(1);
});

describe('a path that cannot be used is one clear error', () => {
  beforeAll(async () => {
    await put('empty.yaml', '# nothing\n');
    await put('other.json', '{"hello": 1}');
    await put('cut.zip', (await zipOf({ 'snapshot.json': '{}' })).subarray(0, 40));
    await put('foreign.zip', await zipOf({ 'other.json': '{}' }));
    await put('tabs.yaml', 'a:\n\t- b\n');
    await mkdir(at('nothing'));
  });
  test.each([
    ['missing.yaml', 'NO_INPUT', /no such file or directory$/],
    ['*.nothing', 'NO_INPUT', /no file matches$/],
    ['nothing', 'NO_INPUT', /no \.yaml, \.yml, \.json or \.zip file in it$/],
    ['empty.yaml', 'BAD_INPUT', /holds no Kubernetes object and no snapshot$/],
    ['other.json', 'BAD_INPUT', /is no Kubernetes object: apiVersion or kind is missing$/],
    ['dir/broken.json', 'BAD_INPUT', /not valid JSON: [^\n]+$/],
    ['tabs.yaml', 'BAD_INPUT', /not valid YAML: [^\n]+\(line 2\)$/],
    ['cut.zip', 'BAD_ZIP', /not a readable zip file: [^\n]+$/],
    ['foreign.zip', 'NO_SNAPSHOT_ENTRY', /holds no entry snapshot\.json$/],
  ])('%s', async (name, code, message) => {
    await expect(loadInputs([at(name)])).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    await expect(loadInputs([at(name)])).rejects.toThrow(at(name));
  });
});

test('a zip entry larger than the bound is refused before it is unpacked', async () => {
  const bomb = await zipOf({ 'snapshot.json': ' '.repeat(100_000) });
  await expect(readSnapshotEntry(bomb, 'x.zip', 99_999)).rejects.toMatchObject({ code: 'INPUT_TOO_LARGE' });
  // A central directory that states less than what comes out does not get past the bound either.
  const lying = Buffer.from(bomb);
  const directoryAt = lying.indexOf(Buffer.from([0x50, 0x4b, 0x01, 0x02]));
  lying.writeUInt32LE(10, directoryAt + 24);
  await expect(readSnapshotEntry(lying, 'x.zip', 99_999)).rejects.toMatchObject({ code: 'BAD_ZIP' });
});

test('YAML aliases that unfold without end are refused', async () => {
  const levels = Array.from(
    { length: 12 },
    (_, i) =>
      `l${i}: &l${i} [${Array(9)
        .fill(i === 0 ? 'x' : `*l${i - 1}`)
        .join(', ')}]`,
  );
  await put('laughs.yaml', `apiVersion: v1\nkind: Node\nmetadata: {name: ok}\n---\n${levels.join('\n')}\n---\nself: &s {again: *s}\n`);
  const { objects, problems } = await loadInputs([at('laughs.yaml')]);
  expect(objects.nodes).toHaveLength(1);
  expect(problems.map((problem) => formatProblem(problem).slice(directory.length))).toEqual([
    '/laughs.yaml: document at line 4: aliases unfold to more than can be read',
    '/laughs.yaml: document at line 17: aliases unfold to more than can be read',
  ]);
});
