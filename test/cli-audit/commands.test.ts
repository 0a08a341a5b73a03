// `kai audit` and `kai explain` as a person runs them: the whole program in a process of its own.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { AuditDocument } from '../../src/cli/audit.ts';
import type { ExplainDocument } from '../../src/cli/explain.ts';
import { preemptScenario } from '../audit/scenarios.ts';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');
const folder = mkdtempSync(join(tmpdir(), 'kai-audit-'));
afterAll(() => rmSync(folder, { recursive: true }));

function kai(...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], { cwd: folder, encoding: 'utf8' });
  return { code: status, out: stdout, err: stderr };
}

function write(name: string, content: unknown): string {
  writeFileSync(join(folder, name), JSON.stringify(content));
  return name;
}

const NOW = ['--now', '2026-01-01T12:00:00Z'];
const { objects } = preemptScenario();
const cluster = write('cluster.json', { rawObjects: objects });

test('the cycle that is run here, then the same decisions from a file', () => {
  const own = kai('audit', cluster, ...NOW);
  expect(own).toMatchObject({ code: 0, err: '' });
  expect(own.out).toMatch(
    /^audit of 3 decisions at 2026-01-01T12:00:00.000Z \(cycle run here\), actions allocate, .*\n\nnothing is wrong\n$/,
  );
  const decisions = JSON.parse(kai('decide', cluster, ...NOW, '--workers', '0', '--output', 'json').out) as { decisions: object[] };
  const file = write('decisions.json', decisions);
  // Time and actions of the cycle come with the decisions.
  const recorded = kai('audit', cluster, '--decisions', file, '--output', 'json');
  expect(recorded.code).toBe(0);
  expect(JSON.parse(recorded.out)).toMatchObject({
    now: '2026-01-01T12:00:00.000Z',
    source: file,
    decisions: 3,
    findings: [],
  } satisfies Partial<AuditDocument>);
});

test('findings are printed, and the exit code is 1', () => {
  const decisions = JSON.parse(kai('decide', cluster, ...NOW, '--workers', '0', '--output', 'json').out) as {
    decisions: { pod: string }[];
  };
  const file = write('broken.json', { ...decisions, decisions: decisions.decisions.filter((d) => d.pod !== 'ns/l0') });
  const text = kai('audit', cluster, '--decisions', file);
  expect(text.code).toBe(1);
  expect(text.err).toMatch(/^error: \d findings\n$/);
  expect(text.out).toContain('partial-unit');
  const json = JSON.parse(kai('audit', cluster, '--decisions', file, '--output', 'json').out) as AuditDocument;
  expect(json.findings.map((f) => f.rule)).toEqual(expect.arrayContaining(['node-overcommit', 'partial-unit']));
});

test('what cannot be used is said in one line', () => {
  const line = (...args: string[]): string => {
    const { code, err, out } = kai(...args);
    expect([code, out]).toEqual([1, '']);
    expect(err.trim().split('\n')).toHaveLength(1);
    return err;
  };
  expect(line('audit', cluster, '--decisions', 'nowhere.json')).toContain('nowhere.json: cannot be read as JSON');
  expect(line('audit', cluster, '--decisions', write('none.json', {}))).toContain('it has no list "decisions"');
  expect(line('audit', cluster, '--decisions', write('half.json', { decisions: [{ kind: 'bind' }] }))).toContain(
    'decisions[0]: no decision',
  );
  const saved = join(folder, 'cluster.kais');
  expect(kai('snapshot', 'convert', cluster, '--to', 'kais', '--out', saved).code).toBe(0);
  expect(line('audit', saved)).toContain('holds no objects');
  // Explaining needs tables only.
  expect(kai('explain', saved, ...NOW).out).toContain('ns/high waits in queue team');
});

test('explain: all, one pod group, and one that is not there', () => {
  const all = kai('explain', cluster, ...NOW);
  expect(all).toMatchObject({ code: 0, err: '' });
  expect(all.out).toContain('ns/high waits in queue team (1 promised a place)\n  because  1 pod is promised a place on n1');
  expect(all.out).toContain('ns/low in queue team lost 2 pods to preempt for ns/high');
  const one = JSON.parse(kai('explain', cluster, 'ns/low', ...NOW, '--output', 'json').out) as ExplainDocument;
  expect(one).toMatchObject({ now: '2026-01-01T12:00:00.000Z', waiting: [], victims: [{ podGroup: 'ns/low' }] });
  const missing = kai('explain', cluster, 'ns/ghost', ...NOW);
  expect(missing).toMatchObject({ code: 2, out: '', err: 'error: "ns/ghost" is neither a file nor a pod group of the input\n' });
});
