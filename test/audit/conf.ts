import { findCaseFiles, loadCase } from '../conformance/caseFormat.ts';
import { configOf, createWriter } from '../conformance/wiring.ts';
import { EmbeddedCluster } from '../../src/simulator/cluster.ts';
import { LIST_NAMES, type ClusterObjects } from '../../src/base/objects.ts';
import { createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { createAuditor, formatFinding } from '../../src/audit/audit.ts';
import { snapshotOptionsFrom } from '../../src/config/schedulerParams.ts';
const runner = createCycleRunner({ workers: 0 });
const rules = new Map<string, number>();
let cases = 0, bad = 0;
for (const file of findCaseFiles(process.argv[2]!)) {
  const c = loadCase(file);
  const config = configOf(c.input);
  const cluster = new EmbeddedCluster({ writer: createWriter(config, c.input), startMs: c.nowMs, kubelet: { bindDelayMs: 0, terminationGraceMs: 0, isRecreated: () => true } });
  cluster.load(c.input.objects);
  const leaving = c.input.objects.pods.filter((p) => (p.metadata.deletionTimestamp ?? '') !== '');
  const audit = createAuditor();
  cases++;
  let isBad = false;
  for (let cycle = 1; cycle <= c.cycles + c.quiet; cycle++) {
    if (cycle > 1) cluster.advance(cluster.nowMs + 1000);
    const objects = Object.fromEntries(LIST_NAMES.map((l) => [l, cluster.list(l)])) as unknown as ClusterObjects;
    const view = cluster.seal();
    let out;
    try { out = await runner.run(view, config, cluster.nowMs); } catch (e) { console.log(c.id, 'ERROR', (e as Error).message); break; }
    const { decisions, report } = out;
    for (const f of audit({ objects, config, nowMs: cluster.nowMs, decisions, report, options: snapshotOptionsFrom(config.params, c.input.discovery) })) {
      rules.set(f.rule, (rules.get(f.rule) ?? 0) + 1); isBad = true;
      if ((rules.get(f.rule) ?? 0) <= 6) console.log(c.id, 'cycle', cycle, formatFinding(f));
    }
    cluster.applyDecisions(decisions); cluster.applyReport(report, view);
    if (cycle === 1) for (const pod of leaving) cluster.remove('pods', `${pod.metadata.namespace ?? ''}/${pod.metadata.name}`);
  }
  if (isBad) bad++;
}
console.log(cases, bad, rules);
await runner.close();
