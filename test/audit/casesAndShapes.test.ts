import { existsSync } from 'node:fs';
import { afterAll, expect, test } from 'vitest';
import { ALL_SHAPES } from '../../bench/allShapes.ts';
import { cycleTimeMs } from '../../bench/shapes.ts';
import { createAuditor, formatFinding } from '../../src/audit/audit.ts';
import { loadConfig } from '../../src/config/loadConfig.ts';
import { snapshotOptionsFrom } from '../../src/config/schedulerParams.ts';
import { createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { findCaseFiles, loadCase } from '../conformance/caseFormat.ts';
import { SHARED_CASES } from '../conformance/folders.ts';
import { runCase } from '../conformance/runCase.ts';
import { snapshotOf } from '../determinism/compare.ts';

const NODES = Number(process.env.KAI_SHAPE_NODES ?? 50);
const runner = createCycleRunner({ workers: 0 });
const audit = createAuditor();
afterAll(() => runner.close());

const hasCases = existsSync(SHARED_CASES);
if (!hasCases) console.warn(`skipped: there are no conformance cases at ${SHARED_CASES}`);

test.skipIf(!hasCases)('nothing is wrong in any cycle of any conformance case', async () => {
  const findings: string[] = [];
  let decisions = 0;
  for (const file of findCaseFiles(SHARED_CASES)) {
    const conformanceCase = loadCase(file);
    await runCase(conformanceCase, runner, (cycle) => {
      decisions += cycle.decisions.length;
      const options = snapshotOptionsFrom(cycle.config.params, conformanceCase.input.discovery);
      findings.push(...audit({ ...cycle, options }).map((f) => `${conformanceCase.id}: ${formatFinding(f)}`));
    });
  }
  expect(findings).toEqual([]);
  expect(decisions).toBeGreaterThan(1000);
});

test.each(ALL_SHAPES.map((shape) => [shape.name, shape] as const))(
  `nothing is wrong on ${NODES} nodes of the shape %s`,
  async (_, shape) => {
    const jobs = shape.jobsFor(NODES);
    const objects = shape.build(NODES, jobs);
    for (const config of [loadConfig({}).config, loadConfig({ actions: [...shape.actions] }).config]) {
      const { decisions, report } = await runner.run(snapshotOf(objects), config, cycleTimeMs(jobs));
      const findings = audit({ objects, config, nowMs: cycleTimeMs(jobs), decisions, report });
      expect(findings.map(formatFinding)).toEqual([]);
    }
  },
);
