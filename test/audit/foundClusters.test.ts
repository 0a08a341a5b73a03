// Random clusters on which the auditor once found something, by what was wrong.
import { afterAll, expect, test } from 'vitest';
import { type AuditDecision, createAuditor } from '../../src/audit/audit.ts';
import { loadConfig } from '../../src/config/loadConfig.ts';
import { createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { snapshotOf } from '../determinism/compare.ts';
import { CLUSTER_NOW_MS, randomCluster } from '../support/randomCluster.ts';

const { config } = loadConfig({});
const runner = createCycleRunner({ workers: 0 });
const audit = createAuditor();
afterAll(() => runner.close());

async function cycleOf(seed: number): Promise<{ decisions: readonly AuditDecision[]; check(of: readonly AuditDecision[]): string[] }> {
  const objects = randomCluster(seed);
  const { decisions, report } = await runner.run(snapshotOf(objects), config, CLUSTER_NOW_MS);
  const check = (of: readonly AuditDecision[]): string[] =>
    audit({ objects, config, nowMs: CLUSTER_NOW_MS, decisions: of, report }).map((f) => f.rule);
  return { decisions, check };
}

test.each([
  ['a promise outlives the gang it belongs to', [3398, 6660]],
  ['evictions are told in another order than they were judged in', [18247, 26954, 39118]],
  ['binds taken back are judged before evictions that came first', [17850, 25876]],
  ['a pod that moves meets itself where it was', [10420, 48824]],
  ['a unit that moved ahead of the reclaimer is not told to be evicted', [716, 2566, 2827]],
] as const)('no longer: %s', async (_, seeds) => {
  for (const seed of seeds) {
    const { decisions, check } = await cycleOf(seed);
    expect(decisions.some((d) => d.kind === 'evict')).toBe(true);
    expect(check(decisions)).toEqual([]);
  }
});

test('promises that are undone are told, and missed when they are not', async () => {
  const { decisions, check } = await cycleOf(3398);
  const undone = decisions.flatMap((d) => d.details?.takenBack ?? []).filter((t) => t.isPromise === true);
  // Seen before: consolidation promised the place, preempt took the rest of the gang.
  expect(undone.map((t) => t.pod)).toEqual(['team-b/job-4-0']);
  expect(decisions.some((d) => d.kind === 'pipeline' && d.pod === 'team-b/job-4-0')).toBe(true);
  const untold = decisions.map((d) => {
    const takenBack = d.details?.takenBack?.filter((t) => t.isPromise !== true);
    return takenBack === undefined ? d : { ...d, details: { ...d.details, takenBack } };
  });
  // The amounts of the place stay on the queues' books.
  expect(check(untold)).toContain('report-mismatch');
});
