import { afterAll, expect, test } from 'vitest';
import { createAuditor, formatFinding } from '../../src/audit/audit.ts';
import type { SchedulerConfig } from '../../src/base/config.ts';
import { loadConfig } from '../../src/config/loadConfig.ts';
import { createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { snapshotOf } from '../determinism/compare.ts';
import { CLUSTER_NOW_MS, randomCluster } from '../support/randomCluster.ts';

const CLUSTERS = Number(process.env.KAI_RANDOM_CLUSTERS ?? 250);
const runner = createCycleRunner({ workers: 0 });
afterAll(() => runner.close());

/** Findings of the real engine on random clusters, with the seed, and how many decisions there were by kind. */
async function auditEngine(config: SchedulerConfig): Promise<{ findings: string[]; kinds: Map<string, number> }> {
  const audit = createAuditor();
  const findings: string[] = [];
  const kinds = new Map<string, number>();
  for (let seed = 0; seed < CLUSTERS; seed++) {
    const objects = randomCluster(seed);
    const { decisions, report } = await runner.run(snapshotOf(objects), config, CLUSTER_NOW_MS);
    for (const { action, kind } of decisions) kinds.set(`${action} ${kind}`, (kinds.get(`${action} ${kind}`) ?? 0) + 1);
    for (const f of audit({ objects, config, nowMs: CLUSTER_NOW_MS, decisions, report }))
      findings.push(`cluster ${seed}: ${formatFinding(f)}`);
  }
  return { findings, kinds };
}

test(`allocate: nothing is wrong on ${CLUSTERS} random clusters, and the queue sums are those reported`, async () => {
  const { findings, kinds } = await auditEngine(loadConfig({ actions: ['allocate'] }).config);
  expect(findings).toEqual([]);
  expect(kinds.get('allocate bind')).toBeGreaterThan(CLUSTERS);
});

test(`all actions: nothing is wrong on ${CLUSTERS} random clusters`, async () => {
  const { findings, kinds } = await auditEngine(loadConfig({}).config);
  expect(findings.slice(0, 20)).toEqual([]);
  for (const action of ['consolidation', 'reclaim', 'preempt']) expect(kinds.get(`${action} evict`) ?? 0).toBeGreaterThan(0);
});
