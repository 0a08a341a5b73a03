import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');
let directory = '';
const at = (name: string): string => join(directory, name);

interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function node(...args: string[]): Promise<Run> {
  return new Promise((done) => {
    execFile(process.execPath, args, { cwd: ROOT, encoding: 'utf8' }, (error, stdout, stderr) => {
      done({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}
const kai = (...args: string[]): Promise<Run> => node('src/cli/main.ts', ...args);

const CLUSTER = `
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {allocatable: {cpu: 8, memory: 32Gi, nvidia.com/gpu: 4, pods: 110}}
---
apiVersion: scheduling.run.ai/v2
kind: Queue
metadata: {name: q}
spec: {resources: {gpu: {quota: 2, limit: -1, overQuotaWeight: 1}, cpu: {quota: -1, limit: -1}, memory: {quota: -1, limit: -1}}}
---
apiVersion: scheduling.run.ai/v2alpha2
kind: PodGroup
metadata: {name: g, namespace: team}
spec: {queue: q, minMember: 1, priorityClassName: 5}
---
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: team, annotations: {pod-group-name: g}}
spec:
  schedulerName: kai-scheduler
  containers: [{name: a, resources: {requests: {cpu: 1, nvidia.com/gpu: 1, memory: 1Q}}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
`;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kai-cli-'));
  await writeFile(at('cluster.yaml'), CLUSTER);
});
afterAll(() => rm(directory, { recursive: true }));

describe('wrong use: code 2, one line on stderr', () => {
  test.each([
    [['dcide'], /^error: unknown command 'dcide' \(Did you mean decide\?\)\n$/],
    [['decide'], /^error: missing required argument 'file'\n$/],
    [['decide', 'x', '--now', 'today'], /^error: [^\n]+RFC 3339[^\n]+\n$/],
    [['decide', 'x', '--workers', 'many'], /^error: [^\n]+auto, 0 or a number[^\n]+\n$/],
    [['decide', 'x', '--output', 'xml'], /^error: [^\n]+Allowed choices are text, json\.\n$/],
    [['decide', 'x', '--actions', 'allocate,fly'], /^error: there is no action "fly"; the actions are allocate[^\n]*\n$/],
    [['decide', 'x', '--fast'], /^error: unknown option '--fast'\n$/],
    [['snapshot', 'convert', 'x', '--to', 'zip'], /^error: --to zip needs --out FILE\n$/],
  ])('kai %j', async (args, stderr) => {
    expect(await kai(...args)).toEqual({ code: 2, stdout: '', stderr: expect.stringMatching(stderr) });
  });
  test('kai alone shows the help', async () => {
    const { code, stdout, stderr } = await kai();
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/simulate[\s\S]+decide[\s\S]+snapshot/);
  });
});

test('--help is no error', async () => {
  const runs = await Promise.all([kai('--help'), kai('decide', '--help'), kai('snapshot', 'convert', '--help')]);
  expect(runs.map(({ code, stderr }) => [code, stderr])).toEqual([
    [0, ''],
    [0, ''],
    [0, ''],
  ]);
});

test('an input that cannot be read: code 1, one line on stderr', async () => {
  await writeFile(at('broken.json'), '{');
  expect(await kai('decide', at('nothing.yaml'))).toEqual({
    code: 1,
    stdout: '',
    stderr: `error: ${at('nothing.yaml')}: no such file or directory\n`,
  });
  expect(await kai('snapshot', 'info', at('broken.json'))).toEqual({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(/^error: [^\n]+not valid JSON[^\n]+\n$/),
  });
  const unwritable = await kai('snapshot', 'convert', at('cluster.yaml'), '--to', 'zip', '--out', at('no/such/dir.zip'));
  expect([unwritable.code, unwritable.stderr.trimEnd().split('\n').at(-1)]).toEqual([
    1,
    expect.stringMatching(/^error: .*cannot be written: ENOENT/),
  ]);
});

const PROBLEMS = [
  /cluster\.yaml: PodGroup team\/g: spec\.priorityClassName: expected a string, found the number 5$/,
  /cluster\.yaml: Pod team\/p: spec\.containers\[0\]\.resources\.requests.*memory.*: not a quantity: "1Q"/,
  /^apps\/v1 Deployment: 1 not used/,
];

test('snapshot info: one JSON document, problems on stderr with the file they come from', async () => {
  const { code, stdout, stderr } = await kai('snapshot', 'info', at('cluster.yaml'), '--output', 'json');
  expect(code).toBe(0);
  expect(stderr.trimEnd().split('\n')).toEqual(PROBLEMS.map((line) => expect.stringMatching(line)));
  const info = JSON.parse(stdout) as Record<string, unknown>;
  expect(info).toMatchObject({
    now: null,
    objects: { pods: 1, nodes: 1, queues: 1, podGroups: 1 },
    ignoredKinds: [{ apiVersion: 'apps/v1', kind: 'Deployment', count: 1 }],
  });
  expect(info.problems).toHaveLength(2);
  const text = await kai('snapshot', 'info', at('cluster.yaml'));
  expect(text.stdout).toMatch(/^pods +1$/m);
});

test('snapshot convert: zip, json and kais say the same', async () => {
  const source = at('cluster.yaml');
  for (const form of ['zip', 'json', 'kais']) {
    expect((await kai('snapshot', 'convert', source, '--to', form, '--out', at(`out.${form}`))).code).toBe(0);
  }
  const infos = await Promise.all(['out.zip', 'out.json', 'out.kais'].map((name) => kai('snapshot', 'info', at(name), '--output', 'json')));
  const rows = infos.map(({ stdout }) => {
    const { snapshot } = JSON.parse(stdout) as { snapshot: { tables: { table: string; rows: number }[] } };
    return Object.fromEntries(snapshot.tables.map(({ table, rows: count }) => [table, count]));
  });
  expect(rows[0]).toMatchObject({ nodes: 1, pods: 1, podGroups: 1, queues: 1 });
  expect(rows[1]).toEqual(rows[0]);
  expect(rows[2]).toEqual(rows[0]);
  const printed = await kai('snapshot', 'convert', source, '--to', 'json');
  expect(printed.stdout).toBe(await readFile(at('out.json'), 'utf8'));
  const back = await kai('snapshot', 'convert', at('out.kais'), '--to', 'json');
  expect([back.code, back.stderr]).toEqual([1, expect.stringMatching(/^error: .*holds tables, not the Kubernetes objects/)]);
});

test.each([
  ['20.19.5', 1],
  ['24.11.9', 1],
  ['24.12.0', 0],
  ['26.10.0', 0],
])('check-node on Node %s ends with %d', async (version, expected) => {
  const fake = `data:text/javascript,Object.defineProperty(process, "versions", { value: { node: "${version}" } })`;
  const { code, stderr } = await node('--import', fake, 'src/cli/check-node.js');
  expect(code).toBe(expected);
  if (expected === 0) expect(stderr).toBe('');
  else expect(stderr).toMatch(new RegExp(`^kai needs Node >= 24\\.12, found ${version} .*run npm ci without --ignore-scripts\n$`));
});
